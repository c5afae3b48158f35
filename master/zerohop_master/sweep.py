"""The sweep: what crashes and cut requests leave behind.

Contents that were written but never committed have no state in the metadata. A worker lists what the under-store
holds; what is unknown and old enough gets a tombstone first, so that a commit that comes late fails, and is then
deleted. The tombstone stays for a day and goes the way of all dead contents.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import Final

from zerohop.model import WorkerInfo, session_of
from zerohop_master import keys
from zerohop_master.collector import delete_bytes
from zerohop_master.contents import REFERENCE
from zerohop_master.kv.interface import Lease
from zerohop_master.namespace import Namespace
from zerohop_master.rows import CONTENT, ContentState
from zerohop_master.transaction import Transaction, commit_internally
from zerohop_master.worker_calls import ContentStore

__all__ = ["CommitAges", "Sweep"]

_log = logging.getLogger(__name__)
_TOMBSTONE_MS: Final = 24 * 3600 * 1000
_RESULTS_KEPT_MS: Final = 3600 * 1000
_BATCH: Final = 2000
_MAX_BATCHES: Final = 100
"""In one sweep: the next one goes on."""
_SETTLED_S: Final = 15 * 60.0
"""Many times as long as anybody repeats a mutation whose outcome he does not know."""
_MARK_EVERY_S: Final = 60.0
_MAX_MARKS: Final = 30
"""More than are made in that time, so that one that is old enough is always among them."""


class Sweep:
    """Finds orphans through the workers, and removes results of mutations that nobody will ask for again."""

    def __init__(self, namespace: Namespace, contents: ContentStore) -> None:
        self._namespace = namespace
        self._contents = contents
        self._results = CommitAges()

    async def sweep_worker(self, lease: Lease, worker: WorkerInfo, workers: Sequence[WorkerInfo]) -> int:
        """Goes through everything that `worker` lists; answers how many orphans were deleted.

        `workers` are all live ones. What belongs to the present session of another one is that worker's to disown.
        Raises LeaseLost, and what the calls to the workers raise.
        """
        others = [other for other in workers if other.worker_id != worker.worker_id]
        foreign_sessions = {other.session for other in others}
        after, deleted = b"", 0
        while True:
            page = await self._contents.contents(worker, after, self._namespace.settings.orphan_after_s)
            candidates = [one for one in page.contents if session_of(one) not in foreign_sessions]
            orphans = await self._bury(lease, candidates)
            if orphans:
                await delete_bytes(self._contents, orphans, [worker, *others])
                deleted += len(orphans)
            if not page.next_after or page.next_after <= after:
                break
            after = page.next_after
        if deleted:
            _log.info("swept %d orphans found by worker %s", deleted, worker.worker_id)
        return deleted

    async def _bury(self, lease: Lease, contents: Sequence[bytes]) -> list[bytes]:
        """Commits tombstones for what is unknown; answers those contents, and the ones that are dead already."""

        async def body(transaction: Transaction) -> list[bytes]:
            await transaction.hold(lease)
            rows = await self._namespace.store.get([keys.content_state(content) for content in contents])
            orphans = []
            for content, row in zip(contents, rows, strict=True):
                if row is None:
                    transaction.require(keys.content_state(content), 0)
                    tombstone = ContentState(live=False)
                    transaction.put(keys.content_state(content), CONTENT.encode(tombstone))
                    forget_ms = self._namespace.now_ms() + _TOMBSTONE_MS
                    transaction.put(keys.deletion(forget_ms, content), REFERENCE)
                if row is None or not CONTENT.decode(row.value).live:
                    orphans.append(content)
            return orphans

        return await commit_internally(self._namespace.store, body) if contents else []

    async def drop_results(self, lease: Lease, now_ms: int, now_s: float) -> None:
        """Removes results of mutations that nobody sends again.

        They are ordered by the clocks of their makers, and an hour old by these. Wall clocks jump, and a result that is
        gone too early lets a mutation happen twice: so the number of its commit must be of long ago as well. `now_s` is
        on this master's monotonic clock.
        """
        settled = self._results.settled(now_s)
        before = keys.mutation(max(0, now_ms - _RESULTS_KEPT_MS).to_bytes(6, "big"))
        start = keys.MUTATIONS
        last = 0
        for _ in range(_MAX_BATCHES):
            rows = await self._namespace.store.scan(start, before, limit=_BATCH)
            if not rows:
                break
            await self._drop(lease, [row.key for row in rows if row.version <= settled])
            last = max(last, *(row.version for row in rows))
            start = rows[-1].key + b"\0"
        self._results.saw(last, now_s)

    async def _drop(self, lease: Lease, results: Sequence[bytes]) -> None:
        async def body(transaction: Transaction) -> None:
            await transaction.hold(lease)
            for row_key in results:
                transaction.delete(row_key)

        if results:
            await commit_internally(self._namespace.store, body)


class CommitAges:
    """Which commits were made a quarter of an hour ago or earlier: a state machine without I/O.

    A restarted master knows nothing of the time before it, so it answers nothing in its first quarter of an hour.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque(maxlen=_MAX_MARKS)

    def saw(self, version: int, now_s: float) -> None:
        """The commit of this number has been made by now."""
        if not self._seen or now_s - self._seen[-1][0] >= _MARK_EVERY_S:
            self._seen.append((now_s, version))

    def settled(self, now_s: float) -> int:
        """The last number that is known to be so old; 0 for none."""
        return max((seen for at_s, seen in self._seen if now_s - at_s >= _SETTLED_S), default=0)

"""The sweep: what crashes and cut requests leave behind.

Contents that were written but never committed have no state in the metadata. A worker lists what the under-store
holds; what is unknown and old enough gets a tombstone first, so that a commit that comes late fails, and is then
deleted. The tombstone stays for a day and goes the way of all dead contents.
"""

from __future__ import annotations

import logging
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

__all__ = ["Sweep"]

_log = logging.getLogger(__name__)
_TOMBSTONE_MS: Final = 24 * 3600 * 1000
_RESULTS_KEPT_MS: Final = 3600 * 1000
_BATCH: Final = 2000


class Sweep:
    """Finds orphans through the workers, and removes results of mutations that nobody will ask for again."""

    def __init__(self, namespace: Namespace, contents: ContentStore) -> None:
        self._namespace = namespace
        self._contents = contents

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

    async def drop_results(self, lease: Lease, now_ms: int) -> int:
        """Removes one batch of mutation results that are an hour old, by the clock of the mutation's maker."""
        before = max(0, now_ms - _RESULTS_KEPT_MS).to_bytes(6, "big")

        async def body(transaction: Transaction) -> int:
            await transaction.hold(lease)
            rows = await transaction.scan(keys.MUTATIONS, keys.mutation(before), limit=_BATCH)
            for row in rows:
                transaction.delete(row.key)
            return len(rows)

        return await commit_internally(self._namespace.store, body)

"""The collector: deletes contents that nothing refers to any more, once no reader can be reading them.

    live, no reference --commit--> dead --workers delete the bytes--> forgotten

The first step is fenced by the lease and by the content having no reference. From then on no commit can refer to
the content again, so the bytes may go. A crash between any two steps is picked up at the `g` row, which goes last.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from zerohop.errors import ZerohopError
from zerohop.model import WorkerInfo
from zerohop_master import keys
from zerohop_master.contents import References
from zerohop_master.kv.interface import Lease, Row
from zerohop_master.namespace import Namespace
from zerohop_master.rows import CONTENT, MANIFEST, ContentState
from zerohop_master.transaction import Transaction, commit_internally
from zerohop_master.worker_calls import ContentStore

__all__ = ["Collector", "delete_bytes"]

_log = logging.getLogger(__name__)

_BATCH: Final = 200
"""Contents a run: one commit to kill them, one call to each worker, one commit to forget them."""


class Collector:
    """Contents are deleted `grace_s` after their last reference went, and after every read that began before."""

    def __init__(self, namespace: Namespace, contents: ContentStore, grace_s: float) -> None:
        self._namespace = namespace
        self._contents = contents
        self._grace_ms = int(grace_s * 1000)

    async def run_once(
        self, lease: Lease, now_ms: int, oldest_read_ms: int, workers: Sequence[WorkerInfo]
    ) -> int:
        """Deletes one batch of what is due; answers how many were looked at (0: nothing is due, or no worker there).

        Raises LeaseLost, and what the call to the workers raises: the next run goes on.
        """
        before_ms = min(now_ms - self._grace_ms, oldest_read_ms - 1)
        if before_ms < 0:
            return 0
        start, end = keys.DELETIONS, keys.deletion(before_ms + 1, b"")
        due = await self._namespace.store.scan(start, end, limit=_BATCH)
        if not due:
            return 0
        dead = await self._kill(lease, due)
        plain = [row for row in due if (state := dead.get(row.key)) and not state.manifest]
        if plain and workers:
            contents = [keys.content_of_deletion(row.key) for row in plain]
            await delete_bytes(self._contents, contents, workers)
            await self._forget(lease, plain)
        for row in due:
            if (state := dead.get(row.key)) and state.manifest:
                await self._dissolve(lease, row)
        return 0 if plain and not workers else len(due)

    async def _kill(self, lease: Lease, due: Sequence[Row]) -> dict[bytes, ContentState]:
        """Commits live -> dead; answers the states of those that are dead, by key of the `g` row."""

        async def body(transaction: Transaction) -> dict[bytes, ContentState]:
            await transaction.hold(lease)
            contents = [keys.content_of_deletion(row.key) for row in due]
            rows = await transaction.get(*map(keys.content_state, contents))
            dead: dict[bytes, ContentState] = {}
            for row, content, state_row in zip(due, contents, rows, strict=True):
                state = None if state_row is None else CONTENT.decode(state_row.value)
                if state is None:
                    transaction.delete(row.key)  # forgotten already: this row was left behind
                    continue
                if state.live:
                    start, end = keys.span(keys.references(content))
                    if await transaction.scan(start, end, limit=1):
                        _log.error("content %s is due for deletion, but in use: kept", content.hex())
                        transaction.delete(row.key)
                        continue
                    transaction.require_empty(start, end)
                    state = ContentState(
                        live=False, length=state.length, manifest=state.manifest, holders=state.holders
                    )
                    transaction.put(keys.content_state(content), CONTENT.encode(state))
                dead[row.key] = state
            return dead

        return await commit_internally(self._namespace.store, body)

    async def _forget(self, lease: Lease, rows: Sequence[Row]) -> None:
        """The bytes are gone: so go the rows."""

        async def body(transaction: Transaction) -> None:
            await transaction.hold(lease)
            contents = [keys.content_of_deletion(row.key) for row in rows]
            states = await transaction.get(*map(keys.content_state, contents))
            for row, content, state_row in zip(rows, contents, states, strict=True):
                transaction.delete(row.key)
                if state_row is not None:
                    transaction.delete(state_row.key)
                    for worker_id in CONTENT.decode(state_row.value).holders:
                        transaction.delete(keys.unpersisted(worker_id, content))

        await commit_internally(self._namespace.store, body)

    async def _dissolve(self, lease: Lease, deletion: Row) -> None:
        """A dead manifest lets go of its contents, a row at a time, and is then forgotten."""
        manifest = keys.content_of_deletion(deletion.key)
        start, end = keys.span(keys.manifest_rows(manifest))

        async def drop_row(transaction: Transaction) -> bool:
            await transaction.hold(lease)
            for row in await transaction.scan(start, end, limit=1):
                transaction.require(row.key, row.version)
                listed = MANIFEST.decode(row.value)
                references = References(transaction, self._namespace.now_ms())
                for segment, number in zip(listed.segments, listed.numbers, strict=True):
                    if segment.length:
                        references.drop([segment.content], keys.part_owner(manifest, number))
                await references.settle()
                transaction.delete(row.key)
                return True
            return False

        while await commit_internally(self._namespace.store, drop_row):
            pass
        await self._forget(lease, [deletion])


async def delete_bytes(store: ContentStore, contents: Sequence[bytes], workers: Sequence[WorkerInfo]) -> None:
    """Has the contents deleted from the under-store by one worker, and their blocks dropped by the others.

    Raises what the last worker raised when none could. A worker that does not answer keeps its blocks for now: nobody
    can ask for them, and they are evicted like any others.
    """
    done = False
    failure: ZerohopError | None = None
    for worker in workers:
        try:
            await store.delete(worker, contents, under_store=not done)
            done = True
        except ZerohopError as error:
            failure = error
            _log.info("worker %s could not delete %d contents: %s", worker.worker_id, len(contents), error)
    if not done and failure is not None:
        raise failure

"""Background work that commits have left to be done: part rows to clean, results to forget, uploads to reopen.

Each piece is a `t` row, written by the commit that caused it and removed when the work is done. The work itself goes
in bounded batches that may each be repeated, so that a crash at any point costs nothing but time.
"""

from __future__ import annotations

from typing import Final

from zerohop_master import keys
from zerohop_master.completion import reopen
from zerohop_master.contents import References
from zerohop_master.due_work import CLEAN_PARTS, DROP_ENDED, DROP_OBJECTS, PURGE_BUCKET, REOPEN_UPLOAD
from zerohop_master.kv.interface import Lease, Row
from zerohop_master.namespace import Namespace
from zerohop_master.rows import CLEAN_UP, OBJECT, PART, STALLED, UPLOAD
from zerohop_master.transaction import Transaction, commit_internally
from zerohop_master.uploads import abort_in

__all__ = ["Upkeep"]

_BATCH: Final = 100
_PARTS_PER_COMMIT: Final = 500
_UPLOADS_PER_COMMIT: Final = 100
_OBJECTS_PER_COMMIT: Final = 500


class Upkeep:
    """Carries out due work, fenced by a lease."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    async def run_once(self, lease: Lease, now_ms: int) -> int:
        """Does a batch of what is due to its end; answers how many pieces (0: nothing is due). Raises LeaseLost."""
        start, end = keys.DUE_WORK, keys.due_work(now_ms + 1, b"", b"")
        due = await self._namespace.store.scan(start, end, limit=_BATCH)
        for row in due:
            while await self._step(lease, row, now_ms):
                pass
        return len(due)

    async def _step(self, lease: Lease, row: Row, now_ms: int) -> bool:
        """One commit of a piece of work; whether there is more to do. The last one removes the row."""
        kind, identity = row.key[9:10], row.key[10:]

        async def body(transaction: Transaction) -> bool:
            await transaction.hold(lease)
            more = False
            if kind == CLEAN_PARTS:
                more = await self._clean_parts(transaction, row, now_ms)
            elif kind == PURGE_BUCKET:
                more = await _purge_bucket(transaction, identity, now_ms)
            elif kind == DROP_OBJECTS:
                more = await _drop_objects(transaction, identity, now_ms)
            elif kind == REOPEN_UPLOAD:
                await _reopen_stalled(transaction, row)
            else:
                assert kind == DROP_ENDED, row.key
                transaction.delete(keys.ended_upload(identity))
            if not more:
                transaction.delete(row.key)
            return more

        return await commit_internally(self._namespace.store, body)

    async def _clean_parts(self, transaction: Transaction, row: Row, now_ms: int) -> bool:
        """The parts of an ended upload go; those that its object does not use let go of their contents."""
        work = CLEAN_UP.decode(row.value)
        start, end = keys.span(keys.parts(work.upload))
        rows = await transaction.scan(start, end, limit=_PARTS_PER_COMMIT)
        references = References(transaction, now_ms)
        for part_row in rows:
            part = PART.decode(part_row.value)
            listed = (
                part.number >> 3 < len(work.listed) and work.listed[part.number >> 3] >> (part.number & 7) & 1
            )
            if part.segment.length and not listed:
                references.drop([part.segment.content], keys.part_owner(work.upload, part.number))
            transaction.require(part_row.key, part_row.version)
            transaction.delete(part_row.key)
        await references.settle()
        return len(rows) == _PARTS_PER_COMMIT


async def _purge_bucket(transaction: Transaction, bucket_id: bytes, now_ms: int) -> bool:
    """The bucket's row is gone, so nothing is added any more; its uploads are aborted."""
    start, end = keys.span(keys.uploads(bucket_id))
    rows = await transaction.scan(start, end, limit=_UPLOADS_PER_COMMIT)
    for row in rows:
        transaction.require(row.key, row.version)
        abort_in(transaction, row.key, now_ms)
    return len(rows) == _UPLOADS_PER_COMMIT


async def _drop_objects(transaction: Transaction, bucket_id: bytes, now_ms: int) -> bool:
    """The bucket was a mount and is gone: cached records go, and local objects let go of their contents."""
    start, end = keys.span(keys.objects(bucket_id))
    rows = await transaction.scan(start, end, limit=_OBJECTS_PER_COMMIT)
    references = References(transaction, now_ms)
    for row in rows:
        transaction.require(row.key, row.version)
        record = OBJECT.decode(row.value)
        references.release_object(bucket_id, record)
        transaction.delete(row.key)
        if record.origin is None:
            transaction.delete(keys.local_object(bucket_id, record.key))
    await references.settle()
    return len(rows) == _OBJECTS_PER_COMMIT


async def _reopen_stalled(transaction: Transaction, row: Row) -> None:
    """The upload's row and this one were written by one commit: as long as their versions agree, nothing moved on."""
    upload_row = await transaction.get_one(STALLED.decode(row.value).upload_row)
    if upload_row is not None and upload_row.version == row.version:
        reopen(transaction, upload_row.key, UPLOAD.decode(upload_row.value))

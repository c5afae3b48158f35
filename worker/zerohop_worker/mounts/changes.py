"""Changes of mounted objects at their origin, by the owner of their keys: one after another for each key.

Each says first, durably, that what is known of the key is outdated, and last what the origin has now. Whatever happens
between the two, a reader asks the origin.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from time import monotonic
from typing import NamedTuple

from zerohop.errors import (
    BodyTooShort,
    Conflict,
    ContentLost,
    InvalidRequest,
    KeyNotFound,
    NeedsBytes,
    OperationConflict,
    PreconditionFailed,
)
from zerohop.model import MountInfo, ObjectRecord, WritePolicy
from zerohop.rpc.call import StreamInCall
from zerohop.rpc.master_api import DeleteOutcome, DeleteResult, ObjectResult
from zerohop.rpc.origin_api import (
    CommitStaged,
    CopyMounted,
    DeleteMounted,
    PersistMounted,
    StagedWrite,
    StageMounted,
)
from zerohop_worker.files import Buffer
from zerohop_worker.mounts.local_bytes import MAX_PART_BYTES
from zerohop_worker.mounts.owner import Known, Owner
from zerohop_worker.mounts.records import (
    attributes_of,
    copied_record,
    is_same,
    validator_of_record,
    written_record,
)
from zerohop_worker.mounts.registry import OpenMount
from zerohop_worker.mounts.staging import StagedWrites
from zerohop_worker.origins.interface import NO_CONDITION, WriteCondition
from zerohop_worker.receiving import next_piece

__all__ = ["Changes", "PartBytes"]

_MAX_KEYS = 1000
_MAX_TRIES = 8

_COMMITS = 32
"""Rows that are removed at a time."""

PartBytes = Callable[[str, ObjectRecord, OpenMount], AsyncGenerator[Buffer | None, None]]
"""The bytes of a local object of a bucket, wherever in the cluster they are; None after each of its parts, where the
origin can have them as parts.
"""


class Changes:
    """Answers the calls that change what the origin holds. `local_bytes` reads what is to be persisted."""

    def __init__(self, owner: Owner, writes: StagedWrites, local_bytes: PartBytes) -> None:
        self._owner = owner
        self._writes = writes
        self._local_bytes = local_bytes

    # ------------------------------------------------------------------------------------------------- writes

    async def stage(self, request: StageMounted, stream: StreamInCall) -> StagedWrite:
        """See `StageMounted`."""
        mount = await self._owner.registry.get(request.mount_id)
        content = self._owner.new_content(mount.info) if request.cache else b""
        staged = self._writes.begin(mount, request.record, content, request.expected_bytes)
        try:
            while piece := await next_piece(stream):
                await staged.write(piece)
            if request.expected_bytes >= 0 and staged.length != request.expected_bytes:
                raise BodyTooShort(
                    f"the body has {staged.length} bytes, {request.expected_bytes} were announced"
                )
            await staged.finish()
        except BaseException:
            await asyncio.shield(self._writes.drop(staged))
            raise
        return StagedWrite(token=self._writes.keep(staged), length=staged.length)

    async def commit(self, request: CommitStaged) -> ObjectResult:
        """See `CommitStaged`."""
        staged = self._writes.take(request.token)
        try:
            record = request.record
            if record.key != staged.key or record.size_bytes != staged.length:
                raise InvalidRequest("the record is not that of the staged bytes")
            mount = staged.mount
            async with self._owner.locks.holding((mount.info.mount_id, record.key)):
                (known,) = await self._owner.begin(mount.info.mount_id, record.key)
                wanted = _Wanted(request.only_if_absent, request.only_if_etag)
                condition = await self._condition(mount, record.key, known, wanted)
                asked_s = monotonic()
                written = await staged.commit(record, condition)
                content = staged.content or self._owner.new_content(mount.info)
                new = written_record(record, written, content)
                return await self._settle(mount.info, new, known, asked_s)
        except BaseException:
            await asyncio.shield(staged.abort())
            raise

    async def _condition(self, mount: OpenMount, key: str, known: Known, wanted: _Wanted) -> WriteCondition:
        """Checks what the writer wants against what is there, and says it in the words of the origin.

        Raises PreconditionFailed, KeyNotFound.
        """
        if not (wanted.only_if_absent or wanted.only_if_etag):
            return NO_CONDITION
        if known.record is not None and known.record.origin is None:
            _check(key, wanted, known.record.etag)
            return (
                NO_CONDITION  # the local object is what was decided on: whatever the origin has goes with it
            )
        try:
            found = await mount.store.head(key)
        except KeyNotFound:
            found = None
        if found is None:
            _check(key, wanted, None)
            return WriteCondition(only_if_absent=wanted.only_if_absent)
        is_known = known.record is not None and is_same(known.record, found)
        etag = known.record.etag if is_known and known.record is not None else found.client_etag
        _check(key, wanted, etag)
        return WriteCondition(only_if_etag=found.validator.etag if mount.store.checks_conditions else "")

    async def _settle(
        self, mount: MountInfo, record: ObjectRecord, known: Known, asked_s: float
    ) -> ObjectResult:
        """The origin has `record` now. A row that was changed meanwhile by a reader who asked before is overruled; a
        local write that came later stays, and goes to the origin in its turn.
        """
        old = known.record
        for _ in range(_MAX_TRIES):
            try:
                result = await self._owner.commit(
                    mount.mount_id, record.key, record, known, asked_s=asked_s, replace_local=True
                )
            except Conflict:
                (known,) = await self._owner.begin(mount.mount_id, record.key)
                if known.record is not None and known.record.origin is None:
                    return _result(mount, record, known.version)
                continue
            if old is not None and old.segments != record.segments:
                self._owner.drop_blocks(old)
            return result
        raise OperationConflict(f"object {record.key!r} changes all the time")

    # ------------------------------------------------------------------------------------ other changes

    async def delete(self, request: DeleteMounted) -> DeleteResult:
        """See `DeleteMounted`."""
        targets = request.targets
        if not 0 < len(targets) <= _MAX_KEYS:
            raise InvalidRequest(f"between 1 and {_MAX_KEYS} keys can be deleted at once")
        mount = await self._owner.registry.get(request.mount_id)
        mount_id = mount.info.mount_id
        keys = list(dict.fromkeys(target.key for target in targets))
        async with self._owner.locks.holding(*((mount_id, key) for key in keys)):
            begun = dict(zip(keys, await self._owner.begin(mount_id, *keys), strict=True))
            failed = await self._refused(mount, request, begun)
            wanted = [key for key in keys if key not in failed]
            asked_s = monotonic()
            if wanted:
                messages = await mount.store.delete(wanted)
                failed |= {key: ("UnderStoreFailed", message) for key, message in messages.items()}
            await self._removed(mount_id, {key: begun[key] for key in wanted if key not in failed}, asked_s)
        outcomes = [
            DeleteOutcome(key=target.key, version_id=target.version_id, error=error, message=message)
            for target in targets
            for error, message in [failed.get(target.key, ("", ""))]
        ]
        return DeleteResult(outcomes=tuple(outcomes))

    async def _refused(
        self, mount: OpenMount, request: DeleteMounted, begun: dict[str, Known]
    ) -> dict[str, tuple[str, str]]:
        failed: dict[str, tuple[str, str]] = {}
        for target, etag in zip(request.targets, request.only_if_etags, strict=False):
            if etag:
                try:
                    await self._condition(mount, target.key, begun[target.key], _Wanted(False, etag))
                except (PreconditionFailed, KeyNotFound) as error:
                    failed[target.key] = (error.code, error.message)
        return failed

    async def _removed(self, mount_id: bytes, begun: dict[str, Known], asked_s: float) -> None:
        """The rows go, a bounded number at a time."""
        slots = asyncio.Semaphore(_COMMITS)

        async def remove(key: str, known: Known) -> None:
            async with slots:
                for _ in range(_MAX_TRIES):
                    try:
                        await self._owner.commit(
                            mount_id, key, None, known, asked_s=asked_s, replace_local=True
                        )
                    except Conflict:
                        (known,) = await self._owner.begin(mount_id, key)
                        continue
                    self._owner.drop_blocks(known.record)
                    return
                raise OperationConflict(f"object {key!r} changes all the time")

        rows = {key: known for key, known in begun.items() if known.record is not None}
        await asyncio.gather(*(remove(key, known) for key, known in rows.items()))
        unknown = next((key for key in begun if key not in rows), None)
        if unknown is not None:
            await self._owner.begin(mount_id, unknown)  # pages that were listed meanwhile are outdated

    async def copy(self, request: CopyMounted) -> ObjectResult:
        """See `CopyMounted`."""
        mount = await self._owner.registry.get(request.mount_id)
        mount_id, key = mount.info.mount_id, request.record.key
        known = await self._owner.known(mount_id, request.source_key)
        source = known.record
        if known.version != request.source_version or source is None:
            raise Conflict("the source has changed since it was looked up")
        if source.origin is None:
            raise NeedsBytes("the origin does not have the source yet")
        async with self._owner.locks.holding((mount_id, key)):
            (known,) = await self._owner.begin(mount_id, key)
            wanted = _Wanted(request.only_if_absent, request.only_if_etag)
            condition = await self._condition(mount, key, known, wanted)
            asked_s = monotonic()
            written = await mount.store.copy(
                request.source_key,
                validator_of_record(source),
                key,
                attributes_of(request.record),
                condition,
            )
            copied = copied_record(request.record, source, written)
            record = written_record(copied, written, self._owner.new_content(mount.info))
            return await self._settle(mount.info, record, known, asked_s)

    async def persist(self, request: PersistMounted) -> ObjectResult:
        """See `PersistMounted`."""
        mount = await self._owner.registry.get(request.mount_id)
        mount_id = mount.info.mount_id
        async with self._owner.locks.holding((mount_id, request.key)):
            known = await self._owner.known(mount_id, request.key)
            if known.record is None:
                raise KeyNotFound(f"there is no object {request.key!r}", key=request.key)
            if known.version != request.row_version or known.record.origin is not None:
                return _result(mount.info, known.record, known.version)
            return await self._persist(mount, request.bucket, known)

    async def _persist(self, mount: OpenMount, bucket: str, known: Known) -> ObjectResult:
        record = known.record
        assert record is not None
        content = self._owner.new_content(mount.info)
        is_cached = mount.info.write_policy is not WritePolicy.THROUGH
        staged = self._writes.begin(mount, record, content if is_cached else b"", record.size_bytes)
        if record.part_count:
            staged.keep_parts(MAX_PART_BYTES)
        try:
            async with aclosing(self._local_bytes(bucket, record, mount)) as pieces:
                async for piece in pieces:
                    if piece is None:
                        await staged.end_part()
                    else:
                        await staged.write([piece])
            if staged.length != record.size_bytes:
                raise ContentLost(f"{staged.length} of {record.size_bytes} bytes are there")
            await staged.finish()
            await self._owner.begin(mount.info.mount_id, record.key)
            asked_s = monotonic()
            written = await staged.commit(record, NO_CONDITION)
        except BaseException:
            await asyncio.shield(self._writes.drop(staged))
            raise
        self._writes.release(staged)
        new = written_record(record, written, staged.content or content)
        return await self._settle(mount.info, new, known, asked_s)


class _Wanted(NamedTuple):
    only_if_absent: bool
    only_if_etag: str


def _check(key: str, wanted: _Wanted, etag: str | None) -> None:
    """Raises PreconditionFailed, KeyNotFound; `etag` is None where there is nothing."""
    if wanted.only_if_absent and etag is not None:
        raise PreconditionFailed(f"object {key!r} exists", condition="If-None-Match")
    if wanted.only_if_etag:
        if etag is None:
            raise KeyNotFound(f"there is no object {key!r}", key=key)
        if wanted.only_if_etag not in ("*", etag):
            raise PreconditionFailed(f"object {key!r} has another ETag", condition="If-Match")


def _result(mount: MountInfo, record: ObjectRecord, row_version: int) -> ObjectResult:
    return ObjectResult(
        record=record, row_version=row_version, bucket_owner=mount.owner, mount_id=mount.mount_id
    )

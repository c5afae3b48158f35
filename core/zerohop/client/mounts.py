"""Mounted objects: asking the worker that owns a key, which alone talks to the origin about it."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from zerohop.client.liveness import while_it_answers
from zerohop.client.placement import origin_key, rank
from zerohop.client.repeats import REPEATABLE, delays_s
from zerohop.client.worker_links import WorkerLinks
from zerohop.errors import (
    DeadlineExceeded,
    NotSupported,
    NoWorker,
    OriginNeeded,
    Overloaded,
    PeerUnavailable,
    ZerohopError,
)
from zerohop.model import Caller, ObjectRecord, OriginRef, WorkerInfo
from zerohop.rpc.master_api import DeleteOutcome, DeleteResult, DeleteTarget, ObjectPage, ObjectResult
from zerohop.rpc.message import Request
from zerohop.rpc.mutation import new_mutation_id
from zerohop.rpc.origin_api import (
    CheckWrite,
    CommitStaged,
    CopyMounted,
    DeleteMounted,
    DiscardStaged,
    ListMounted,
    LocatePart,
    PartPlace,
    PersistMounted,
    ReadMountedTags,
    ResolveMounted,
    StagedWrite,
    StageMounted,
    WriteMountedTags,
)
from zerohop.rpc.streams import StreamSink

__all__ = ["MountedObjects", "MountedWrite", "WhatIsRead", "mount_needed"]

R = TypeVar("R")

_ASK_TIMEOUT_S: Final = 60.0
"""For a question to an origin, with the retries that the owner makes."""

_PATIENCE_S: Final = 5.0
"""How long a question goes on being asked when no worker can be reached: one that was restarted is back within it."""

_CHANGE_TIMEOUT_S: Final = 300.0
"""For a change at an origin: completing an upload of many parts takes it minutes."""

_PERSIST_TIMEOUT_S: Final = 6 * 3600.0
"""For bringing an object of any size to a slow origin."""

_STALL_S: Final = 120.0
"""An owner that takes no byte for so long has failed; it waits itself for the origin."""


def mount_needed(error: OriginNeeded) -> bytes:
    """The id of the mount whose origin has to be asked."""
    return bytes.fromhex(error.details["mount"])


@dataclass(frozen=True, slots=True)
class WhatIsRead:
    """The bytes that a reader wants of an object that may not be known yet: `size` from `offset` on (-1: to the end),
    or the last `size` (`offset` -1); 0: none.
    """

    offset: int = 0
    size: int = 0


NOTHING: Final = WhatIsRead()
ALL: Final = WhatIsRead(0, -1)


@dataclass(frozen=True, slots=True)
class MountedWrite:
    """A staged write at the worker that holds it. `commit` or `discard` must follow."""

    worker_id: str
    staged: StagedWrite


class MountedSink:
    """A body on its way to the owner of its key."""

    def __init__(self, worker_id: str, stream: StreamSink[StagedWrite]) -> None:
        self._worker_id = worker_id
        self._stream = stream

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends bytes; returns when there is room for more. Raises what the owner raises, transport errors."""
        await self._stream.write(data)

    async def finish(self) -> MountedWrite:
        """Ends the body, and waits until it is staged."""
        return MountedWrite(self._worker_id, await self._stream.finish())


class MountedObjects:
    """All methods raise what `zerohop.rpc.origin_api` names at the calls that they make, NoWorker, transport errors."""

    def __init__(self, workers: WorkerLinks) -> None:
        self._workers = workers

    async def resolve(
        self,
        caller: Caller,
        mount_id: bytes,
        bucket: str,
        key: str,
        read: WhatIsRead = NOTHING,
        *,
        force: bool = False,
        row_version: int = -1,
        generation: int = -1,
    ) -> ObjectResult:
        """What the object is at the origin now; `row_version` and `generation` are those of `OriginNeeded`, if the
        master was asked just now. Raises KeyNotFound; Conflict where a local write hides it.
        """
        request = ResolveMounted(
            caller=caller,
            mount_id=mount_id,
            bucket=bucket,
            key=key,
            read_offset=read.offset,
            read_bytes=read.size,
            force=force,
            row_version=row_version,
            generation=generation,
        )
        return await self._ask(mount_id, key, request)

    async def page(self, request: ListMounted) -> ObjectPage:
        """One page of a listing."""
        return await self._ask(request.mount_id, request.prefix, request)

    async def delete(
        self,
        caller: Caller,
        mount_id: bytes,
        bucket: str,
        targets: Sequence[DeleteTarget],
        only_if_etags: Sequence[str] = (),
    ) -> DeleteResult:
        """Deletes keys, each by its owner; outcomes in the order of the targets. A target whose owner failed has the
        error as its outcome.
        """
        by_owner: dict[str, list[int]] = defaultdict(list)
        for position, target in enumerate(targets):
            by_owner[(await self._owners(mount_id, target.key))[0].worker_id].append(position)
        outcomes: dict[int, DeleteOutcome] = {}
        for positions in by_owner.values():
            request = DeleteMounted(
                caller=caller,
                mount_id=mount_id,
                bucket=bucket,
                targets=tuple(targets[position] for position in positions),
                only_if_etags=tuple(only_if_etags[position] for position in positions)
                if only_if_etags
                else (),
                mutation=new_mutation_id(),
            )
            try:
                done = await self._change(mount_id, targets[positions[0]].key, request)
            except ZerohopError as error:
                if len(by_owner) == 1:
                    raise
                failed = (_failed(targets[position], error) for position in positions)
                outcomes |= dict(zip(positions, failed, strict=True))
            else:
                outcomes |= dict(zip(positions, done.outcomes, strict=True))
        return DeleteResult(outcomes=tuple(outcomes[position] for position in range(len(targets))))

    @asynccontextmanager
    async def write(
        self, mount_id: bytes, record: ObjectRecord, *, cache: bool, expected_bytes: int = -1
    ) -> AsyncIterator[MountedSink]:
        """Stages a body at the owner of its key. Leaving without `finish` leaves nothing."""
        request = StageMounted(
            mount_id=mount_id, key=record.key, record=record, cache=cache, expected_bytes=expected_bytes
        )
        refusals: list[str] = []
        for worker in await self._owners(mount_id, record.key):
            opening = self._workers.client(worker.worker_id).open_stream_in(request, timeout_s=_STALL_S)
            try:
                stream = await opening.__aenter__()
            except (PeerUnavailable, Overloaded) as error:
                self._avoid(worker.worker_id, error)
                refusals.append(f"{worker.worker_id}: {error.message}")
                continue
            try:
                yield MountedSink(worker.worker_id, stream)
            except BaseException as error:
                if not await opening.__aexit__(type(error), error, error.__traceback__):
                    raise
            else:
                await opening.__aexit__(None, None, None)
            return
        raise NoWorker("no worker takes the body: " + "; ".join(refusals))

    async def commit(
        self,
        caller: Caller,
        mount_id: bytes,
        bucket: str,
        written: MountedWrite,
        record: ObjectRecord,
        *,
        only_if_absent: bool = False,
        only_if_etag: str = "",
    ) -> ObjectResult:
        """Makes a staged write the object. Raises PreconditionFailed, KeyNotFound."""
        request = CommitStaged(
            caller=caller,
            mount_id=mount_id,
            bucket=bucket,
            token=written.staged.token,
            record=record,
            only_if_absent=only_if_absent,
            only_if_etag=only_if_etag,
            mutation=new_mutation_id(),
        )
        return await self._workers.client(written.worker_id).call(request, timeout_s=_CHANGE_TIMEOUT_S)

    async def discard(self, written: MountedWrite) -> None:
        """The staged write will not be committed. Best effort: it expires."""
        try:
            request = DiscardStaged(tokens=(written.staged.token,))
            await self._workers.client(written.worker_id).call(request, timeout_s=2.0)
        except ZerohopError:
            return

    async def persist(
        self, caller: Caller, mount_id: bytes, bucket: str, key: str, row_version: int
    ) -> ObjectResult:
        """Brings a local object to the origin. Raises ContentLost, ContentNotFound, KeyNotFound."""
        request = PersistMounted(
            caller=caller,
            mount_id=mount_id,
            bucket=bucket,
            key=key,
            row_version=row_version,
            mutation=new_mutation_id(),
        )
        return await self._change(mount_id, key, request, _PERSIST_TIMEOUT_S)

    async def copy(self, request: CopyMounted) -> ObjectResult:
        """The origin's own copy. Raises NeedsBytes, KeyNotFound, Conflict, PreconditionFailed."""
        return await self._change(request.mount_id, request.record.key, request)

    async def check_write(self, caller: Caller, mount_id: bytes, bucket: str, record: ObjectRecord) -> None:
        """Raises InvalidRequest, NotSupported for an object that the origin cannot hold."""
        request = CheckWrite(caller=caller, mount_id=mount_id, bucket=bucket, record=record)
        await self._ask(mount_id, record.key, request)

    async def tags(self, caller: Caller, mount_id: bytes, bucket: str, key: str) -> dict[str, str]:
        """The tags of the object at the origin. Raises KeyNotFound, NotSupported."""
        request = ReadMountedTags(caller=caller, mount_id=mount_id, bucket=bucket, key=key)
        return (await self._ask(mount_id, key, request)).tags

    async def tags_of(self, caller: Caller, bucket: str, found: ObjectResult) -> Mapping[str, str]:
        """The tags of an object that was looked up, which stand in its record unless its origin has them. None where
        the origin cannot tell them.
        """
        record = found.record
        if record.origin is None or not record.origin.tag_count:
            return record.tags
        try:
            return await self.tags(caller, found.mount_id, bucket, record.key)
        except NotSupported:
            return {}

    async def part(self, caller: Caller, bucket: str, found: ObjectResult, number: int) -> PartPlace:
        """Where a part of a mounted object begins. Raises InvalidPart (there is none of that number), NotSupported,
        OriginChanged.
        """
        record = found.record
        assert record.origin is not None, "the master knows the parts of all others"
        request = LocatePart(
            caller=caller,
            bucket=bucket,
            key=record.key,
            ref=OriginRef(found.mount_id, record.key, record.origin.etag, record.origin.modified_ms),
            size_bytes=record.size_bytes,
            number=number,
        )
        return await self._ask(found.mount_id, record.key, request)

    async def set_tags(
        self, caller: Caller, mount_id: bytes, bucket: str, key: str, tags: dict[str, str]
    ) -> None:
        """Replaces them. Raises KeyNotFound, NotSupported."""
        request = WriteMountedTags(caller=caller, mount_id=mount_id, bucket=bucket, key=key, tags=tags)
        await self._change(mount_id, key, request)

    async def _owners(self, mount_id: bytes, key: str) -> list[WorkerInfo]:
        """The owner of a key, and who takes its place when it cannot be reached. Raises NoWorker."""

        def order() -> list[WorkerInfo]:
            by_id = {worker.worker_id: worker for worker in self._workers.all}
            avoided = self._workers.avoided()
            ranked = rank(origin_key(mount_id, key), by_id)
            ranked.sort(key=lambda worker_id: worker_id in avoided)
            return [by_id[worker_id] for worker_id in ranked]

        return await self._workers.fresh(order)

    async def _ask(self, mount_id: bytes, key: str, request: Request[R]) -> R:
        """Asks the owner what changes nothing: the next worker, too, when that one dies or hangs over it. What a second
        one commits of it stands on the row's version, and the origin is only read. Raises DeadlineExceeded.
        """
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        pauses = delays_s(iter(random.random, None))
        while True:
            refusals: list[str] = []
            for worker in await self._owners(mount_id, key):
                left_s = began_s + _ASK_TIMEOUT_S - loop.time()
                try:
                    client = self._workers.client(worker.worker_id)
                    async with while_it_answers(client):
                        return await client.call(request, timeout_s=left_s)
                except REPEATABLE as error:
                    if loop.time() - began_s >= _ASK_TIMEOUT_S:
                        raise DeadlineExceeded(
                            f"no answer about {key!r} of the mount within {_ASK_TIMEOUT_S:g} s"
                        ) from error
                    self._avoid(worker.worker_id, error)
                    refusals.append(f"{worker.worker_id}: {error.message}")
            pause_s = next(pauses)
            if loop.time() + pause_s - began_s > _PATIENCE_S:
                raise NoWorker("no worker answers for the mount: " + "; ".join(refusals))
            await asyncio.sleep(pause_s)
            if self._workers.refresh is not None:
                await self._workers.refresh()

    async def _change(
        self, mount_id: bytes, key: str, request: Request[R], timeout_s: float = _CHANGE_TIMEOUT_S
    ) -> R:
        """Has the owner change something; the next worker only where the one before has certainly not begun."""
        refusals: list[str] = []
        for worker in await self._owners(mount_id, key):
            try:
                return await self._workers.client(worker.worker_id).call(request, timeout_s=timeout_s)
            except (PeerUnavailable, Overloaded) as error:
                self._avoid(worker.worker_id, error)
                refusals.append(f"{worker.worker_id}: {error.message}")
        raise NoWorker("no worker answers for the mount: " + "; ".join(refusals))

    def _avoid(self, worker_id: str, error: ZerohopError) -> None:
        if not isinstance(error, Overloaded):
            self._workers.avoid(worker_id)


def _failed(target: DeleteTarget, error: ZerohopError) -> DeleteOutcome:
    return DeleteOutcome(
        key=target.key, version_id=target.version_id, error=error.code, message=error.message
    )

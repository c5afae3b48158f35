"""Answering for the keys that this worker owns: what they are at the origin, and so in the namespace.

The truth is at the origin, and what is known of it is a row at the master. Each answer is committed on the version of
the row that it replaces: an answer that was overtaken by another is thrown away and the question asked anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable
from time import monotonic
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from zerohop.errors import (
    Conflict,
    InvalidRequest,
    KeyNotFound,
    OperationConflict,
    OriginChanged,
    OutOfSpace,
    ZerohopError,
)
from zerohop.key_locks import KeyLocks
from zerohop.model import MountInfo, ObjectRecord, OriginRef
from zerohop.rpc.master_api import BeginMounted, CommitMounted, GetMounted, ObjectResult
from zerohop.rpc.message import Request
from zerohop.rpc.mutation import new_mutation_id
from zerohop.rpc.origin_api import ResolveMounted
from zerohop_worker.block_store import BlockStore
from zerohop_worker.mounts.absences import Absences
from zerohop_worker.mounts.discoveries import Discoveries
from zerohop_worker.mounts.records import (
    is_same,
    new_content,
    record_of,
    refreshed_record,
    target_of,
    validator_of_record,
)
from zerohop_worker.mounts.registry import OpenMount, Registry
from zerohop_worker.mounts.runs import MAX_RUN_BLOCKS, Runs
from zerohop_worker.origins.interface import OpenedRead, OriginObject

__all__ = ["Known", "Master", "Owner"]

_log = logging.getLogger(__name__)
R = TypeVar("R")

_CALL_TIMEOUT_S = 10.0
_TELL_S = 2.0
"""A read that breaks off because its object has changed waits so long for the master to be told."""

_MAX_TRIES = 8
"""Of a question that changes by others overtake."""


_CAME_BYTES = 64 << 10
"""Of the object, along with what is known of it: as much as a reader can be sent at once."""


_ANSWER_FIRST_S = 0.002
"""For so long nothing more of a body is taken, once its first bytes are known: receiving and writing it would keep the
loop from sending them, for 15 ms where all cores were busy.
"""


class Master(Protocol):
    """The way to the master."""

    async def call(self, request: Request[R], *, timeout_s: float) -> R: ...


class Known(NamedTuple):
    """The row of a key: its version (0: none) and record, and whether that is still good without asking anybody."""

    version: int
    record: ObjectRecord | None
    believed: bool = False


class _Asking(NamedTuple):
    """A question under way, and its answer where that is known before all is done."""

    task: asyncio.Task[ObjectResult]
    early: asyncio.Future[ObjectResult]


class Owner:
    """`block_size_bytes` is that of mounts without one of their own."""

    def __init__(self, registry: Registry, runs: Runs, store: BlockStore) -> None:
        self.registry = registry
        self.runs = runs
        self.store = store
        self.locks = KeyLocks()  # held while a key is changed at the origin
        self.block_size_bytes = 4 << 20
        self.master: Master | None = None
        self._absences = Absences()
        self._discoveries = Discoveries()
        self._asking: dict[Hashable, _Asking] = {}
        self._telling: set[asyncio.Task[None]] = set()
        runs.sources.on_changed = self.outdated

    # ----------------------------------------------------------------------------------- rows at the master

    async def call(self, request: Request[R]) -> R:
        """Asks the master."""
        assert self.master is not None, "a worker that serves has one"
        return await self.master.call(request, timeout_s=_CALL_TIMEOUT_S)

    async def known(self, mount_id: bytes, key: str) -> Known:
        """The row as it stands."""
        rows = await self.call(GetMounted(mount_id=mount_id, keys=(key,)))
        return Known(rows.versions[0], rows.records[0], rows.believed[0])

    async def begin(self, mount_id: bytes, *keys: str) -> list[Known]:
        """They are about to be changed at the origin: from now on nobody believes what was known of them."""
        rows = await self.call(BeginMounted(mount_id=mount_id, keys=keys, mutation=new_mutation_id()))
        return [Known(version, record) for version, record in zip(rows.versions, rows.records, strict=True)]

    async def commit(
        self,
        mount_id: bytes,
        key: str,
        record: ObjectRecord | None,
        known: Known,
        *,
        asked_s: float,
        replace_local: bool = False,
    ) -> ObjectResult:
        """`record` is what the origin has since `asked_s`, on the monotonic clock. Raises Conflict."""
        result = await self.call(
            CommitMounted(
                mount_id=mount_id,
                key=key,
                record=record,
                expected_version=known.version,
                replace_local=replace_local,
                age_ms=int((monotonic() - asked_s) * 1000),
                mutation=new_mutation_id(),
            )
        )
        self._discoveries.note(mount_id, key, monotonic())
        return result

    async def outdated(self, ref: OriginRef) -> None:
        """The object has changed at the origin: it is to be asked anew. Best effort: the TTL is the promise. Returns
        when the master knows, so that who reads again after the error finds the new one; but it does not wait long.
        """
        task = asyncio.create_task(self._outdated(ref), name=f"outdated {ref.key}")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)
        await asyncio.wait((task,), timeout=_TELL_S)

    async def _outdated(self, ref: OriginRef) -> None:
        try:
            await self.call(
                BeginMounted(mount_id=ref.mount_id, keys=(ref.key,), write=False, mutation=new_mutation_id())
            )
        except ZerohopError as error:
            _log.info("the master was not told that %r has changed: %s", ref.key, error)

    def new_content(self, mount: MountInfo) -> bytes:
        """An id for the cached bytes of a version of an object of the mount."""
        return new_content(mount, self.block_size_bytes)

    def drop_blocks(self, record: ObjectRecord | None) -> None:
        """Nobody reads that version any more: its blocks here make room for others. Those elsewhere are evicted."""
        if record is not None and record.origin is not None:
            for segment in record.segments:
                self.store.index.drop_content(segment.content)
            self.store.settle()

    # -------------------------------------------------------------------------------------------- questions

    async def resolve(self, request: ResolveMounted) -> ObjectResult:
        """See `ResolveMounted`. One question to the origin for all who ask about a key at a time.

        Who comes after an early answer, as a reader does who has just had it, waits for its row and asks on: the
        origin may have changed since, and the row says for how long it is believed.
        """
        name = (request.mount_id, request.key, request.force)
        is_first = True
        while (asking := self._asking.get(name)) is not None and asking.early.done():
            is_first = False
            await asyncio.wait((asking.task,))
        if asking is None:
            early: asyncio.Future[ObjectResult] = asyncio.get_running_loop().create_future()
            task = asyncio.create_task(self._resolve(request, early, is_first=is_first))
            asking = self._asking[name] = _Asking(task, early)
            asking.task.add_done_callback(lambda done: self._answered(name, done))
        await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        return _for(request, asking.early.result()) if asking.early.done() else asking.task.result()

    def _answered(self, name: Hashable, task: asyncio.Task[ObjectResult]) -> None:
        del self._asking[name]
        if not task.cancelled():
            task.exception()  # whoever waits has it; with nobody left it is of no interest

    async def _resolve(
        self, request: ResolveMounted, early: asyncio.Future[ObjectResult], *, is_first: bool
    ) -> ObjectResult:
        """`early` gets the answer when the rest of the work is for those who ask later."""
        mount = await self.registry.get(request.mount_id)
        for number in range(_MAX_TRIES):
            async with self.locks.holding((request.mount_id, request.key)):
                # Who asks has it from the master that there is no row: the commit finds out if that has changed.
                is_new = is_first and number == 0 and self._is_unknown(request)
                known = Known(0, None) if is_new else await self.known(request.mount_id, request.key)
                record = known.record
                if record is not None and record.origin is None:
                    raise Conflict("a local write hides what the origin has: look it up again")
                if record is not None and known.believed and not request.force:
                    return _result(mount.info, known, record)
                if record is None and not request.force:
                    self._check_absence(mount.info, request)
                asked_s = monotonic()
                try:
                    if record is None:
                        return await self._discover(mount, request, known, early)
                    return await self._validate(mount, request, known, record)
                except (Conflict, OriginChanged):
                    if early.done():
                        raise  # what was answered was so; whoever asks next is told what is so now
                    continue
                except KeyNotFound:
                    if request.generation >= 0:
                        self._absences.note(request.mount_id, request.key, request.generation, asked_s)
                    raise
        raise OperationConflict(f"object {request.key!r} changes all the time")

    def _is_unknown(self, request: ResolveMounted) -> bool:
        is_recent = self._discoveries.is_recent(request.mount_id, request.key, monotonic())
        return request.row_version == 0 and not is_recent

    def _check_absence(self, mount: MountInfo, request: ResolveMounted) -> None:
        """Raises KeyNotFound where the origin was found not to have the key a moment ago."""
        ttl_s, now_s = mount.metadata_ttl_s, monotonic()
        if self._absences.is_believed(request.mount_id, request.key, request.generation, ttl_s, now_s):
            raise KeyNotFound(f"there is no object {request.key!r}", key=request.key)

    async def _discover(
        self,
        mount: OpenMount,
        request: ResolveMounted,
        known: Known,
        early: asyncio.Future[ObjectResult],
    ) -> ObjectResult:
        """Nothing is known. If bytes are wanted, one read tells of the object and begins to fill the cache.

        Who waits for those bytes does not wait for the row as well, 2 to 10 ms of 70: it spares others the question,
        and until it stands they come here, where they wait for it. A write that comes in between makes the
        commit fail, and was not over when the read began.
        """
        asked_s = monotonic()
        opened: OpenedRead | None = None
        block_bytes = mount.info.block_size_bytes or self.block_size_bytes
        if request.read_bytes and self._is_ours(request, max(0, request.read_offset) // block_bytes):
            try:
                opened = await _open(mount, request, block_bytes)
            except InvalidRequest:
                opened = None  # the range is beyond the end: the record tells, and no bytes are read
        if opened is None:
            found = await mount.store.head(request.key)
            assert found is not None
            return await self._found(mount, known, found, asked_s)
        try:
            record = record_of(mount.info, opened.found, self.block_size_bytes)
            begun, came = False, opened.at_hand(_CAME_BYTES)
            if record.segments and opened.length and self._is_ours(request, opened.first // block_bytes):
                begun = self._start(mount, record, opened, _ANSWER_FIRST_S if came else 0.0)
            if not begun:
                await opened.close()
        except BaseException:
            await opened.close()
            raise
        if begun:
            unversioned = _result(mount.info, known, record)
            early.set_result(
                msgspec.structs.replace(unversioned, fetched=True, came=came, came_at=opened.first)
            )
        result = await self.commit(request.mount_id, request.key, record, known, asked_s=asked_s)
        return msgspec.structs.replace(result, fetched=begun)

    def _is_ours(self, request: ResolveMounted, index: int) -> bool:
        """Blocks further back are other workers' to fetch: their readers go there, and would fetch them again."""
        return self.runs.sources.is_home(request.mount_id, request.key, index)

    def _start(self, mount: OpenMount, record: ObjectRecord, opened: OpenedRead, wait_s: float) -> bool:
        """Begins to fill the cache with what comes, after `wait_s`; whether that was possible."""
        target = target_of(mount.info, record)
        try:
            self.runs.start(
                target,
                opened.first,
                opened.first + opened.length,
                ask_peers=False,
                opened=opened,
                wait_s=wait_s,
            )
        except OutOfSpace:
            return False
        return True

    async def _validate(
        self, mount: OpenMount, request: ResolveMounted, known: Known, record: ObjectRecord
    ) -> ObjectResult:
        asked_s = monotonic()
        try:
            found = await mount.store.head(request.key, unless=validator_of_record(record))
        except KeyNotFound:
            await self.commit(request.mount_id, request.key, None, known, asked_s=asked_s)
            self.drop_blocks(record)
            raise
        if found is None or is_same(record, found):
            now = record if found is None else refreshed_record(record, found)
            is_known = record.origin is not None and record.origin.validated_ms > 0 and now == record
            if mount.info.metadata_ttl_s == 0 and is_known:
                # It is asked again at the next read, whatever stands there.
                return _result(mount.info, known, record)
            return await self.commit(request.mount_id, request.key, now, known, asked_s=asked_s)
        result = await self._found(mount, known, found, asked_s)
        self.drop_blocks(record)
        return result

    async def _found(
        self, mount: OpenMount, known: Known, found: OriginObject, asked_s: float
    ) -> ObjectResult:
        record = record_of(mount.info, found, self.block_size_bytes)
        return await self.commit(mount.info.mount_id, found.key, record, known, asked_s=asked_s)

    async def close(self) -> None:
        """Ends what is under way."""
        tasks = [*(asking.task for asking in self._asking.values()), *self._telling]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def _open(mount: OpenMount, request: ResolveMounted, block_bytes: int) -> OpenedRead:
    """A read of what is wanted, at most up to the end of the run of blocks that it begins in; from the middle of a
    block only to its end, since its front is fetched before what follows (see `Runs`).
    """
    extent_bytes = block_bytes * MAX_RUN_BLOCKS
    if request.read_offset < 0:
        return await mount.store.open(request.key, -min(request.read_bytes, extent_bytes), None)
    offset = request.read_offset
    end_bytes = block_bytes if offset % block_bytes else extent_bytes
    length = end_bytes - offset % end_bytes
    if request.read_bytes > 0:
        length = min(length, request.read_bytes)
    return await mount.store.open(request.key, offset, length)


def _for(request: ResolveMounted, result: ObjectResult) -> ObjectResult:
    """The answer for one of those who have asked together: bytes only for whom they are the first, be they hundreds."""
    offset, size = request.read_offset, request.read_bytes
    start = max(0, result.record.size_bytes - size) if offset < 0 else offset
    came = result.came if start == result.came_at else b""
    came = came[:size] if size >= 0 else came
    return result if came is result.came else msgspec.structs.replace(result, came=came)


def _result(mount: MountInfo, known: Known, record: ObjectRecord) -> ObjectResult:
    return ObjectResult(
        record=record, row_version=known.version, bucket_owner=mount.owner, mount_id=mount.mount_id
    )

"""The queue of writes that origins do not have yet: local objects of mounts, brought there by the owners of their keys.

The queue is the `w` rows, so that a restart goes on with it. A row goes only with the commit that says that the origin
has the object (or that the object was deleted): whatever fails, the only copy stays, and is tried again for ever.

Concurrency: one loop decides, on the rows and on what runs; it may be done twice, by two masters, without harm, since
the owner of a key takes its changes in turn and does nothing for a row that is another one by then.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from zerohop.errors import KeyNotFound, MountNotFound, ZerohopError
from zerohop.model import ADMIN, BucketRecord, MountInfo
from zerohop.tasks import TaskGroup
from zerohop_master import keys
from zerohop_master.jobs.cluster_calls import ClusterCalls
from zerohop_master.jobs.retries import is_of_all_keys, pause_ms, was_tried
from zerohop_master.kv.interface import Row
from zerohop_master.namespace import Namespace
from zerohop_master.rows import BUCKET, LOCAL_OBJECT, MOUNT, LocalObject
from zerohop_master.transaction import Transaction, commit_internally

__all__ = ["PersistQueue", "mounted_buckets"]

_log = logging.getLogger(__name__)

_OF_A_MOUNT: Final = 8
_IN_ALL: Final = 32
"""Objects on their way at a time: enough to fill a connection, few enough to leave workers to readers."""

_PAGE: Final = 250
_PAGES_A_TURN: Final = 8
_LONGEST_MOUNT_PAUSE_MS: Final = 60_000
"""Of a mount whose origin fails: so often it is tried with one object."""

_IDLE_S: Final = 1.0
"""A turn comes at least so often: watches are hints."""

_MAX_MOUNTS: Final = 1000
_NEVER_MS: Final = 1 << 62


@dataclass(slots=True)
class _Line:
    """What is known of one mount's part of the queue. `failures` of its origin, in a row."""

    running: set[bytes] = field(default_factory=set)  # keys of rows
    failures: int = 0
    paused_until_ms: int = 0
    cursor: bytes = b""  # where the round goes on; b"": at its beginning
    generation: int = -1  # of the mount, when the round began
    due_ms: int = 0  # when the next of those is due that this round has passed over

    def may_start(self, now_ms: int) -> int:
        """How many more may be begun. After a failure of the origin it is tried with one."""
        if now_ms < self.paused_until_ms:
            return 0
        return (1 if self.failures else _OF_A_MOUNT) - len(self.running)


class PersistQueue:
    """`is_holding` says whether this master does the housekeeping, and so this. `run` it in a task."""

    def __init__(
        self, namespace: Namespace, calls: ClusterCalls, tasks: TaskGroup, is_holding: Callable[[], bool]
    ) -> None:
        self._namespace = namespace
        self._calls = calls
        self._tasks = tasks
        self._is_holding = is_holding
        self._lines: dict[bytes, _Line] = {}  # by mount
        self._wake = asyncio.Event()

    def hurry(self) -> None:
        """Rows were changed so that they are due."""
        for line in self._lines.values():
            line.paused_until_ms = line.due_ms = 0
        self._wake.set()

    async def run(self) -> None:
        """For ever."""
        self._tasks.start("watch of local objects", self._watch())
        while True:
            self._wake.clear()
            try:
                if self._is_holding():
                    await self._turn()
            except ZerohopError as error:
                _log.warning("the queue of writes for origins waits: %s", error)
            try:
                async with asyncio.timeout(_IDLE_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _watch(self) -> None:
        async for _ in self._namespace.store.watch(keys.LOCAL_OBJECTS):
            self._wake.set()

    async def _turn(self) -> None:
        self._calls.look()
        found = {mount.mount_id: (mount, bucket) async for mount, bucket in mounted_buckets(self._namespace)}
        self._lines = {
            mount_id: line
            for mount_id, line in self._lines.items()
            if mount_id in found or line.running  # a mount that is gone has only to end what runs
        }
        for mount, bucket in found.values():
            await self._serve(self._lines.setdefault(mount.mount_id, _Line()), mount, bucket)

    async def _serve(self, line: _Line, mount: MountInfo, bucket: BucketRecord) -> None:
        """Begins with what is due of one mount, as far as there is room."""
        now_ms = self._namespace.now_ms()
        if not self._room(line, now_ms):
            return
        if not line.cursor:
            (row,) = await self._namespace.store.get([keys.mount_generation(mount.mount_id)])
            generation = 0 if row is None else row.version
            if generation == line.generation and now_ms < line.due_ms:
                return
            line.generation, line.due_ms = generation, _NEVER_MS
        start, end = keys.span(keys.local_objects(bucket.bucket_id))
        for _ in range(_PAGES_A_TURN):
            rows = await self._namespace.store.scan(line.cursor or start, end, limit=_PAGE)
            for row in rows:
                line.cursor = row.key
                if not self._consider(line, mount, bucket, row, now_ms):
                    return
            if len(rows) < _PAGE:
                line.cursor = b""
                return
            line.cursor += b"\0"
        self._wake.set()  # there is more, and others are to have their turn

    def _consider(self, line: _Line, mount: MountInfo, bucket: BucketRecord, row: Row, now_ms: int) -> bool:
        """Begins with the row if it is due; False when there is no room for it."""
        local = LOCAL_OBJECT.decode(row.value)
        if not local.queued or row.key in line.running:
            return True
        if local.next_ms > now_ms:
            line.due_ms = min(line.due_ms, local.next_ms)
            return True
        if not self._room(line, now_ms):
            return False
        line.running.add(row.key)
        self._tasks.start(f"persist in {bucket.name}", self._persist(line, mount, bucket, row, local))
        return True

    def _room(self, line: _Line, now_ms: int) -> bool:
        running = sum(len(one.running) for one in self._lines.values())
        return running < _IN_ALL and line.may_start(now_ms) > 0

    async def _persist(
        self, line: _Line, mount: MountInfo, bucket: BucketRecord, row: Row, local: LocalObject
    ) -> None:
        key = keys.key_of_local_object(row.key)
        try:
            await self._bring(mount, bucket, key)
        except MountNotFound:
            return
        except ZerohopError as error:
            await self._failed(line, bucket, row, local, error)
        else:
            if line.failures:
                _log.info("the origin of mount %s answers again", bucket.name)
            line.failures = 0
        finally:
            line.running.discard(row.key)
            self._wake.set()

    async def _bring(self, mount: MountInfo, bucket: BucketRecord, key: str) -> None:
        (row,) = await self._namespace.store.get([keys.object_row(bucket.bucket_id, key)])
        if row is None:
            raise KeyNotFound("there is no such object any more")
        await self._calls.mounts.persist(ADMIN, mount.mount_id, bucket.name, key, row.version)

    async def _failed(
        self, line: _Line, bucket: BucketRecord, row: Row, local: LocalObject, error: ZerohopError
    ) -> None:
        """Puts the key off, and the whole mount where others would fail as well."""
        now_ms = self._namespace.now_ms()
        key = keys.key_of_local_object(row.key)
        if is_of_all_keys(error):
            line.failures += 1
            pause = pause_ms(line.failures, random.random(), longest_ms=_LONGEST_MOUNT_PAUSE_MS)
            line.paused_until_ms = now_ms + pause
            _log.warning("writes for the origin of mount %s wait %d ms: %s", bucket.name, pause, error)
        else:
            _log.warning("object %r of mount %s is not persisted yet: %s", key, bucket.name, error)
        if not was_tried(error):
            line.due_ms = 0
            return
        attempts = local.attempts + 1
        next_ms = now_ms + pause_ms(attempts, random.random())
        noted = msgspec.structs.replace(
            local, attempts=attempts, next_ms=next_ms, error=f"{error.code}: {error.message}"[:500]
        )

        async def body(transaction: Transaction) -> None:
            found = await transaction.get_one(row.key)
            if found is not None and found.version == row.version:  # else another write stands there
                transaction.put(row.key, LOCAL_OBJECT.encode(noted))

        line.due_ms = min(line.due_ms, next_ms)
        await commit_internally(self._namespace.store, body)


async def mounted_buckets(namespace: Namespace) -> AsyncIterator[tuple[MountInfo, BucketRecord]]:
    """All mounts with the buckets that they are."""
    start, end = keys.span(keys.MOUNTS)
    rows = await namespace.store.scan(start, end, limit=_MAX_MOUNTS)
    mounts = [MOUNT.decode(row.value).mount for row in rows]
    found = await namespace.store.get([keys.bucket(mount.bucket) for mount in mounts])
    for mount, row in zip(mounts, found, strict=True):
        if row is not None and (bucket := BUCKET.decode(row.value)).mount_id == mount.mount_id:
            yield mount, bucket

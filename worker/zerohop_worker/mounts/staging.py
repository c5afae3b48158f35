"""Bodies on their way to an origin: staged where nobody sees them, until their writer says that they are sound."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from time import monotonic

from zerohop.errors import ContentNotFound, OutOfSpace, Overloaded, ZerohopError
from zerohop.model import ObjectRecord
from zerohop_worker.block_store import BlockStore
from zerohop_worker.content_sinks import BlockSink, split
from zerohop_worker.files import Buffer
from zerohop_worker.mounts.records import attributes_of
from zerohop_worker.mounts.registry import OpenMount
from zerohop_worker.origins.interface import OriginObject, StagedObject, WriteCondition

__all__ = ["Staged", "StagedWrites"]

_log = logging.getLogger(__name__)

_PART_BYTES = 16 << 20
"""Held in memory for one part. A body that is no longer is one request to the origin, with the ETag that S3 gives to
such a one."""

_MAX_PARTS = 10_000
_MAX_STAGED = 512
"""Bodies at a time."""

_MAX_HELD_BYTES = 1 << 30
"""Of all bodies, in memory: who comes while that much is held, or may be of those that are coming, is sent away."""

_EXPIRES_S = 300.0
"""After which a staged write that nobody commits is removed: its proxy has died, or its commit was lost."""


class Staged:
    """One body. Calls follow one another, from one task at a time.

    `content`: the id under which its blocks are cached, b"" for a body that is not to be. A tier that takes no more
    only costs the cache, never the write.
    """

    def __init__(
        self,
        mount: OpenMount,
        record: ObjectRecord,
        blocks: BlockSink | None,
        content: bytes,
        expected_bytes: int,
    ) -> None:
        self.mount = mount
        self.key = record.key
        self.content = content
        self.length = 0
        self.finished_s = 0.0
        self._record = record
        self._blocks = blocks
        self._held: list[Buffer] = []  # what no request has taken yet
        self.held_bytes = 0
        self._object: StagedObject | None = None
        self._part_bytes = _part_bytes(mount, expected_bytes)
        self._expected_bytes = expected_bytes

    @property
    def most_held_bytes(self) -> int:
        """How much of it stands in memory, or will."""
        if self.finished_s:
            return self.held_bytes
        expected_bytes = self._part_bytes if self._expected_bytes < 0 else self._expected_bytes
        return max(self.held_bytes, min(self._part_bytes, expected_bytes))

    async def write(self, buffers: Sequence[Buffer]) -> None:
        """Appends; the buffers must stay as they are. Raises OriginRefused, UnderStoreFailed."""
        if self._blocks is not None:
            try:
                await self._blocks.write(buffers)
            except OutOfSpace:
                await self._uncached()
        self._held += buffers
        added = sum(len(buffer) for buffer in buffers)
        self.held_bytes += added
        self.length += added
        while self.held_bytes > self._part_bytes:
            await self._send_part(self._part_bytes)

    def keep_parts(self, max_part_bytes: int) -> None:
        """Parts are ended by `end_part`, so long as they are no longer than that."""
        self._part_bytes = min(max_part_bytes, self.mount.store.max_part_bytes)

    async def end_part(self) -> None:
        """What was written since the last part ended is one part, whatever its size."""
        if self.held_bytes:
            await self._send_part(self.held_bytes)

    async def _send_part(self, size_bytes: int) -> None:
        if self._object is None:
            self._object = self.mount.store.stage(self.key, attributes_of(self._record))
        part, self._held = split(self._held, size_bytes)
        self.held_bytes -= size_bytes
        await self._object.write_part(part)

    async def _uncached(self) -> None:
        if self._blocks is not None:
            blocks, self._blocks = self._blocks, None
            await blocks.abort()
            self.content = b""

    async def finish(self) -> None:
        """The body is complete; it waits for its commit."""
        if self._blocks is not None:
            try:
                await self._blocks.finish()
            except OutOfSpace:
                await self._uncached()
        if self._object is not None and self.held_bytes:
            await self._send_part(self.held_bytes)
        self.finished_s = monotonic()

    async def commit(self, record: ObjectRecord, condition: WriteCondition) -> OriginObject:
        """Makes it the object at the origin. Raises PreconditionFailed, OriginRefused, UnderStoreFailed."""
        if self._object is not None:
            return await self._object.commit(condition)
        return await self.mount.store.put(self.key, self._held, attributes_of(record), condition)

    async def abort(self) -> None:
        """Leaves nothing at the origin nor, where it was not committed, in the cache."""
        if self._object is not None:
            await self._object.abort()
        await self._uncached()
        self._held.clear()


def _part_bytes(mount: OpenMount, expected_bytes: int) -> int:
    """So that the longest body fits into the parts that an upload may have."""
    wanted = max(_PART_BYTES, -(-expected_bytes // _MAX_PARTS))
    return min(max(wanted, mount.store.min_part_bytes), mount.store.max_part_bytes)


class StagedWrites:
    """The staged bodies of this worker, by token."""

    def __init__(self, store: BlockStore) -> None:
        self._store = store
        self._writing: set[Staged] = set()
        self._staged: dict[bytes, Staged] = {}
        self._expiry: asyncio.TimerHandle | None = None
        self._aborting: set[asyncio.Task[None]] = set()

    def begin(self, mount: OpenMount, record: ObjectRecord, content: bytes, expected_bytes: int) -> Staged:
        """A new body; `content` b"": not to be cached. `keep` or `drop` must follow. Raises Overloaded."""
        bodies = [*self._writing, *self._staged.values()]
        if len(bodies) >= _MAX_STAGED or sum(one.most_held_bytes for one in bodies) >= _MAX_HELD_BYTES:
            raise Overloaded("the worker has all the bodies for origins that it can hold")
        blocks = None
        if content:
            blocks = BlockSink(self._store, content, expected_bytes, durable=False, unpersisted=False)
        staged = Staged(mount, record, blocks, content, expected_bytes)
        self._writing.add(staged)
        return staged

    def keep(self, staged: Staged) -> bytes:
        """It is complete and waits for its commit, under the token that is answered."""
        self._writing.discard(staged)
        token = os.urandom(16)
        self._staged[token] = staged
        if self._expiry is None:
            self._expiry = asyncio.get_running_loop().call_later(_EXPIRES_S, self._expire)
        return token

    def release(self, staged: Staged) -> None:
        """It was committed by who began it."""
        self._writing.discard(staged)

    async def drop(self, staged: Staged) -> None:
        """It did not come to its end."""
        self._writing.discard(staged)
        await staged.abort()

    def take(self, token: bytes) -> Staged:
        """The body of that token, once. Raises ContentNotFound."""
        staged = self._staged.pop(token, None)
        if staged is None:
            raise ContentNotFound(
                "there is no such staged write: it came too late, or belongs to another worker"
            )
        return staged

    def discard(self, tokens: Sequence[bytes]) -> None:
        """These will not be committed."""
        for token in tokens:
            staged = self._staged.pop(token, None)
            if staged is not None:
                self._abort_later(staged)

    def _expire(self) -> None:
        self._expiry = None
        now_s = monotonic()
        late = [token for token, one in self._staged.items() if now_s - one.finished_s >= _EXPIRES_S]
        if late:
            _log.warning("%d staged writes were never committed: removed", len(late))
        self.discard(late)
        if self._staged:
            self._expiry = asyncio.get_running_loop().call_later(_EXPIRES_S / 4, self._expire)

    def _abort_later(self, staged: Staged) -> None:
        task = asyncio.create_task(_aborted(staged))
        self._aborting.add(task)
        task.add_done_callback(self._aborting.discard)

    async def close(self) -> None:
        """Removes what was not committed."""
        if self._expiry is not None:
            self._expiry.cancel()
        self.discard(list(self._staged))
        if self._aborting:
            await asyncio.wait(self._aborting)


async def _aborted(staged: Staged) -> None:
    try:
        await staged.abort()
    except ZerohopError as error:
        _log.info("a staged write of %r was not removed: %s", staged.key, error)

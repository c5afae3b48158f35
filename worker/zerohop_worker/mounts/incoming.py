"""One block of a mounted object on its way into the cache."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator

from zerohop.errors import UnderStoreFailed, ZerohopError
from zerohop_worker.block_writer import BlockWriter
from zerohop_worker.cache_copy import BlockId
from zerohop_worker.cached_bytes import FILE_BYTES, FilePart

__all__ = ["IncomingBlock"]

_READ_BYTES = 256 << 10

_RECENT_BYTES = 1 << 20
"""What came last stands in memory, too: readers who keep up take it from there, and spare a copy out of the file."""


class IncomingBlock:
    """Readers follow it while it grows. A reader that wants the middle of a cold block has its bytes fetched first:
    then [`tail_start`, end) comes before the rest, and stands in memory until the block is complete.

    Concurrency: one task feeds it. What is available only grows, and descriptors stay valid until the last reader
    has left.
    """

    def __init__(self, block: BlockId, size_bytes: int, tail_start: int) -> None:
        self.block = block
        self.size_bytes = size_bytes
        self.tail_start = tail_start if tail_start else size_bytes
        self.source = ""
        self.done = False
        self.error: ZerohopError | None = None
        self._tail = bytearray()
        self._front_bytes = 0  # in the staged file
        self._came_bytes = 0  # of the front; those that are not in the file are in `_recent`
        self._recent: deque[tuple[int, bytes | memoryview]] = (
            deque()
        )  # with their offsets, one behind another
        self._writer: BlockWriter | None = None
        self._users = 1  # the feeder, and readers
        self._waiters: list[asyncio.Future[None]] = []

    # ------------------------------------------------------------------------------------------- its feeder

    def staged_by(self, writer: BlockWriter) -> None:
        """From now on `writer` has what `front` tells of."""
        self._writer = writer

    def came(self, data: bytes | memoryview, source: str) -> None:
        """The next bytes of the front, which stay as they are. `front` tells when they are in the staged file."""
        self._recent.append((self._came_bytes, data))
        self._came_bytes += len(data)
        self.source = source
        self._wake()

    def front(self, size_bytes: int, source: str) -> None:
        """So many bytes from the beginning of the block are in the staged file."""
        self._front_bytes, self.source = size_bytes, source
        if size_bytes > self._came_bytes:
            self._came_bytes = size_bytes
        self._forget(self._came_bytes - _RECENT_BYTES)
        self._wake()

    def _forget(self, before: int) -> None:
        """Lets go of recent bytes that end before that offset and are in the file."""
        before = min(before, self._front_bytes)
        while self._recent and self._recent[0][0] + len(self._recent[0][1]) <= before:
            self._recent.popleft()

    def tail(self, data: bytes | memoryview, source: str) -> None:
        """The next bytes from `tail_start` on."""
        self._tail += data
        self.source = source
        self._wake()

    @property
    def tail_bytes(self) -> bytes:
        """What came of the tail."""
        return bytes(self._tail)

    def ended(self, error: ZerohopError | None) -> None:
        """All is there, or no more will come. Called once."""
        self.done, self.error = True, error
        if error is None:
            self._forget(self._came_bytes - _RECENT_BYTES)
        self._wake()
        self._leave()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    # ----------------------------------------------------------------------------------------- its readers

    async def complete(self) -> None:
        """Returns when the block is in the cache. Raises what it failed of."""
        while not self.done:
            await self._change()
        if self.error is not None:
            raise self.error

    async def read(
        self, start: int, stop: int, *, as_files: bool = False
    ) -> AsyncGenerator[bytes | memoryview | FilePart, None]:
        """Bytes [start, stop) of the block, as they come. Raises what it failed of, after what did come.

        `as_files`: as in `Reading.read`.
        """
        self._users += 1
        try:
            while start < stop:
                data = self._available(start, stop, as_files=as_files)
                if data:
                    start += len(data)
                    yield data
                elif self.error is not None:
                    raise self.error
                elif self.done:
                    raise UnderStoreFailed("a block ended early")
                else:
                    await self._change()
        finally:
            self._leave()

    def _available(self, start: int, stop: int, *, as_files: bool) -> bytes | memoryview | FilePart:
        """What can be had at `start` now: at most 256 KiB from the file, or a piece as it came; b"" for nothing yet.
        A part of the file instead where that is worth it.
        """
        in_tail = start - self.tail_start
        if 0 <= in_tail < len(self._tail):
            return bytes(self._tail[in_tail : min(in_tail + _READ_BYTES, stop - self.tail_start)])
        if self._recent and self._recent[0][0] <= start < self._came_bytes:
            return self._remembered(start, stop)
        if self._writer is None or start >= self._front_bytes:
            return b""
        ready = min(stop, self._front_bytes) - start
        if as_files and ready >= FILE_BYTES:
            return FilePart(self._writer.read_fds[-1], start, start + ready, None)
        size_bytes = min(_READ_BYTES, ready)
        # Written a moment ago, so in memory on any tier: cheaper here than in a thread.
        data = os.pread(self._writer.read_fds[-1], size_bytes, start)
        if not data:
            raise UnderStoreFailed("a staged block has become shorter")
        return data

    def _remembered(self, start: int, stop: int) -> bytes | memoryview:
        offset, data = next(piece for piece in reversed(self._recent) if piece[0] <= start)
        if offset == start and offset + len(data) <= stop:
            return data
        return memoryview(data)[start - offset : stop - offset]

    async def _change(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def _leave(self) -> None:
        self._users -= 1
        if not self._users:
            self._tail.clear()
            self._recent.clear()
            if self._writer is not None:
                for fd in self._writer.read_fds:
                    os.close(fd)
                self._writer.read_fds.clear()

"""Read-through: blocks that are not cached come from their origin, once for any number of concurrent readers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing

from zerohop.errors import OutOfSpace, UnderStoreFailed, ZerohopError
from zerohop.model import block_size_of
from zerohop_worker.block_store import BlockStore
from zerohop_worker.block_writer import BlockWriter
from zerohop_worker.cache_copy import BlockId
from zerohop_worker.origin import UNDER, Origin

__all__ = ["Fetch", "Fetching"]

_MAX_FETCHES = 64
"""Blocks that are fetched at a time; others wait. As many as an object store takes well from one client."""

_READ_BYTES = 256 << 10


class Fetch:
    """One block on its way in. Readers follow the staged file while it grows.

    Concurrency: `available_bytes` only grows, and the descriptor stays valid until the last reader has left.
    """

    def __init__(
        self, block: BlockId, content_length: int, size_bytes: int, writer: BlockWriter, peer: str | None
    ) -> None:
        self.block = block
        self.content_length = content_length
        self.size_bytes = size_bytes
        self.peer = peer  # the worker that is asked first
        self.source = UNDER  # where the last bytes came from
        self.available_bytes = 0
        self.error: ZerohopError | None = None
        self.done = False
        self._writer = writer
        self._users = 1  # the fetch itself, and readers
        self._waiters: list[asyncio.Future[None]] = []

    def progressed(self, available_bytes: int) -> None:
        """More bytes can be read."""
        self.available_bytes = available_bytes
        self._wake()

    def ended(self, error: ZerohopError | None) -> None:
        """All is there, or no more will come."""
        self.done, self.error = True, error
        self._wake()
        self._leave()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def _change(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    async def complete(self) -> None:
        """Returns when the block is in the cache. Raises what the fetch failed of."""
        while not self.done:
            await self._change()
        if self.error is not None:
            raise self.error

    async def read(self, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Bytes [start, stop) of the block, as they come. Raises what the fetch failed of, after what did come."""
        self._users += 1
        try:
            while start < stop:
                while self.available_bytes <= start:
                    if self.error is not None:
                        raise self.error
                    if self.done:
                        raise UnderStoreFailed("a block ended early")
                    await self._change()
                size_bytes = min(_READ_BYTES, stop - start, self.available_bytes - start)
                # Written a moment ago, so in memory on any tier: cheaper here than in a thread.
                data = os.pread(self._writer.read_fds[-1], size_bytes, start)
                if not data:
                    raise UnderStoreFailed("a staged block has become shorter")
                start += len(data)
                yield data
        finally:
            self._leave()

    def _leave(self) -> None:
        self._users -= 1
        if not self._users:
            for fd in self._writer.read_fds:
                os.close(fd)
            self._writer.read_fds.clear()


class Fetching:
    """The fetches under way, by block."""

    def __init__(self, store: BlockStore, origin: Origin) -> None:
        self._store = store
        self._origin = origin
        self._fetches: dict[BlockId, Fetch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(_MAX_FETCHES)

    def fetch(self, content: bytes, content_length: int, index: int, *, ask_peers: bool = True) -> Fetch:
        """The fetch of a block: the one under way, or a new one, which no reader's end cancels.

        Raises OutOfSpace when no tier has room for it. Call it only for a block that is not cached. With
        `ask_peers` the worker that the block belongs to is asked before the under-store.
        """
        block = (content, index)
        if (known := self._fetches.get(block)) is not None:
            return known
        block_size = block_size_of(content)
        size_bytes = min(block_size, content_length - index * block_size)
        writer = self._store.writer(block, size_bytes, readable=True)
        if writer is None:
            raise OutOfSpace("no tier of the cache has room for the block")
        peer = self._origin.peer_for(content, index) if ask_peers else None
        fetch = self._fetches[block] = Fetch(block, content_length, size_bytes, writer, peer)
        task = asyncio.create_task(self._run(fetch, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return fetch

    def asks_peer(self, block: BlockId) -> bool:
        """Whether the block is on its way from another worker."""
        fetch = self._fetches.get(block)
        return fetch is not None and fetch.peer is not None

    async def _run(self, fetch: Fetch, writer: BlockWriter) -> None:
        error: ZerohopError | None = None
        try:
            async with self._slots:
                await self._fill(fetch, writer)
        except ZerohopError as failure:
            error = failure
        except asyncio.CancelledError:
            error = UnderStoreFailed("the worker is shutting down")
            raise
        except OSError as failure:
            error = UnderStoreFailed(f"a block could not be fetched: {failure}")
        finally:
            await writer.abort()
            del self._fetches[fetch.block]
            fetch.ended(error)

    async def _fill(self, fetch: Fetch, writer: BlockWriter) -> None:
        content, index = fetch.block
        offset = index * block_size_of(content)
        pieces = self._origin.read(content, fetch.content_length, offset, fetch.size_bytes, peer=fetch.peer)
        async with aclosing(pieces):
            async for source, data in pieces:
                fetch.source = source
                await writer.write([data])
                fetch.progressed(writer.size_bytes)
        await writer.finish()

    async def stop(self) -> None:
        """Cancels what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

"""Where the bytes of a content that is being written go: into blocks of the cache, and into the under-store."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from zerohop.errors import ContentLost, OutOfSpace
from zerohop.model import block_size_of
from zerohop_worker.block_store import BlockStore
from zerohop_worker.block_writer import BlockWriter
from zerohop_worker.files import Buffer

__all__ = ["BlockSink", "split"]

_log = logging.getLogger(__name__)


def split(buffers: Sequence[Buffer], first: int) -> tuple[list[Buffer], list[Buffer]]:
    """The first `first` bytes of the buffers, and the rest. Copies nothing."""
    head: list[Buffer] = []
    for position, buffer in enumerate(buffers):
        if len(buffer) > first:
            view = memoryview(buffer)
            return [*head, view[:first]], [view[first:], *buffers[position + 1 :]]
        head.append(buffer)
        first -= len(buffer)
    return head, []


class BlockSink:
    """Cuts a content into blocks of the cache. Raises OutOfSpace once no tier takes one; then `abort` it.

    `expected_bytes` is the length of the content, or -1: a last block of known length takes no more room than it needs.
    """

    def __init__(
        self, store: BlockStore, content: bytes, expected_bytes: int, *, durable: bool, unpersisted: bool
    ) -> None:
        self._store = store
        self._content = content
        self._expected_bytes = expected_bytes
        self._durable, self._unpersisted = durable, unpersisted
        self._block_size = block_size_of(content)
        self._writer: BlockWriter | None = None
        self._sealed = 0  # blocks that are complete in the cache
        self.written_bytes = 0

    async def write(self, buffers: Sequence[Buffer]) -> None:
        """Appends."""
        rest = list(buffers)
        while rest:
            room = self._block_size - self.written_bytes % self._block_size
            piece, rest = split(rest, room)
            if self._writer is None:
                self._writer = self._next_block()
            await self._writer.write(piece)
            self.written_bytes += sum(len(buffer) for buffer in piece)
            if self.written_bytes % self._block_size == 0:
                await self._seal()

    def _next_block(self) -> BlockWriter:
        index = self.written_bytes // self._block_size
        size_bytes = self._block_size
        if self._expected_bytes >= 0:
            size_bytes = min(size_bytes, self._expected_bytes - self.written_bytes)
        writer = self._store.writer(
            (self._content, index), size_bytes, durable=self._durable, unpersisted=self._unpersisted
        )
        if writer is None:
            raise OutOfSpace("no tier of the cache can take the block")
        return writer

    async def _seal(self) -> None:
        assert self._writer is not None
        await self._writer.finish()
        self._writer = None
        self._sealed += 1

    async def finish(self) -> None:
        """The content is complete."""
        if self._writer is not None:
            await self._seal()

    async def written(self) -> AsyncGenerator[bytes, None]:
        """What was written so far, from the start. Raises ContentLost when a block of it cannot be read."""
        for index in range(self._sealed):
            async with aclosing(self._store.block_bytes((self._content, index))) as pieces:
                async for data in pieces:
                    yield data
        if self._writer is not None:
            try:
                tail = await self._writer.staged_bytes()
            except OSError as error:
                raise ContentLost(f"an unfinished block cannot be read: {error}") from error
            for data in tail:
                yield data

    async def abort(self) -> None:
        """Leaves no block of it."""
        if self._writer is not None:
            await self._writer.abort()
            self._writer = None
        self._store.index.drop_content(self._content)
        self._store.settle()

"""A block open for reading by descriptor: counted, so that it is closed only when nobody uses it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Protocol, Self

from zerohop.errors import Corrupt

__all__ = ["Lender", "OpenBlock", "block_bytes"]

_CHUNK_BYTES = 1 << 20
"""Read at once: enough that the cost of a step does not show, little enough to keep many readers in memory."""


class Lender(Protocol):
    """Who passed the descriptor, is told of its use, and closes it in the end."""

    is_broken: bool
    """Whether the connection that the descriptor came over is gone."""

    def used(self, key: tuple[bytes, int]) -> None:
        """The block (content, index) was read."""

    def take_back(self, block: OpenBlock) -> None:
        """Nobody uses the block any more."""


class OpenBlock:
    """A read-only descriptor of one whole block of `length` bytes; `source` is the tier it was in ("MEM", "SSD",
    "HDD", or "UNDER" when it was fetched for this opening), `tier` the tier in any case.

    Whoever is handed one holds a reference and gives it back once, by `release` or by `with block:`. The descriptor
    stays valid until then, whatever the cache or the worker decide: read it with `os.pread` or `os.sendfile` with an
    offset, since its file position is shared. Never close it.
    """

    __slots__ = ("_references", "content", "fd", "index", "lender", "length", "source", "tier")

    def __init__(
        self, fd: int, content: bytes, index: int, length: int, source: str, lender: Lender, tier: str = ""
    ) -> None:
        self.fd = fd
        self.content = content
        self.index = index
        self.length = length
        self.source = source
        self.tier = tier or source
        self.lender = lender
        self._references = 1

    @property
    def references(self) -> int:
        """How many holders there are."""
        return self._references

    def acquire(self) -> Self:
        """Takes another reference."""
        assert self._references > 0, "the block is closed already"
        self._references += 1
        return self

    def release(self) -> None:
        """Gives one reference back; the last one closes the descriptor."""
        self._references -= 1
        if self._references == 0:
            self.lender.take_back(self)
        assert self._references >= 0, "released more often than acquired"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


async def block_bytes(block: OpenBlock, offset: int, size: int) -> AsyncGenerator[bytes, None]:
    """Bytes [offset, offset + size) of the block, in pieces. The caller keeps his reference. Raises Corrupt."""
    position, end = offset, offset + size
    while position < end:
        size = min(_CHUNK_BYTES, end - position)
        if block.source == "MEM":
            chunk = os.pread(block.fd, size, position)
        else:
            chunk = await asyncio.to_thread(os.pread, block.fd, size, position)
        if not chunk:
            raise Corrupt(f"a block of {block.length} bytes ends at byte {position}")
        position += len(chunk)
        yield chunk

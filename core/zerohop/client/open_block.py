"""A block open for reading by descriptor: counted, so that it is closed only when nobody uses it."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

__all__ = ["OpenBlock"]


class OpenBlock:
    """A read-only descriptor of one whole block of `length` bytes; `source` is the tier it was in ("MEM", "SSD",
    "HDD", or "UNDER" when it was fetched for this opening).

    Whoever is handed one holds a reference and gives it back once, by `release` or by `with block:`. The descriptor
    stays valid until then, whatever the cache or the worker decide: read it with `os.pread` or `os.sendfile` with an
    offset, since its file position is shared. Never close it.
    """

    __slots__ = ("_closed", "_references", "content", "fd", "index", "length", "source")

    def __init__(
        self, fd: int, content: bytes, index: int, length: int, source: str, closed: Callable[[OpenBlock], None]
    ) -> None:
        self.fd = fd
        self.content = content
        self.index = index
        self.length = length
        self.source = source
        self._references = 1
        self._closed = closed

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
            self._closed(self)
        assert self._references >= 0, "released more often than acquired"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

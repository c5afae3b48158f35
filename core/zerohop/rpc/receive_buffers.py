"""Memory that a connection receives into, used again once nobody looks at what came in it.

An event loop that makes a new object for each read has the kernel find, zero and take back its pages, and copies the
bytes into it from a buffer of its own. Without that a read of 256 MiB through a proxy from a worker of another host
took 0.95 of the processor time before, a PUT of 64 MiB 0.97.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ReceiveBuffers"]

_FIRST_BYTES: Final = 32 << 10
"""Enough for calls; a connection that fills it carries bulk bytes."""

_BUFFER_BYTES: Final = 256 << 10
"""One read of a socket at full speed. It stays in the processor's cache until the bytes go on."""

_MAX_KEPT: Final = 12
"""One that is received into, what waits to be written elsewhere, and what is being written (of a PUT, a MiB each). More
are made when needed, and not kept: each has to be zeroed.
"""


class ReceiveBuffers:
    """Of one connection. `next` gives the memory for a read, `received` what the read has put there.

    A read that fills less than half of it is copied out: many small pieces that wait for a slow reader must not hold a
    buffer each.
    """

    def __init__(self, first_bytes: int = _FIRST_BYTES, full_bytes: int = _BUFFER_BYTES) -> None:
        """`full_bytes` for each read, once one has filled `first_bytes`."""
        self._first_bytes, self._full_bytes = first_bytes, full_bytes
        self._size_bytes = first_bytes
        self._kept: list[bytearray] = []
        self._current: memoryview | None = None

    def next(self) -> memoryview:
        """Memory to receive into. A view, as a loop may fill slices of it."""
        if self._current is None:
            self._current = memoryview(next(filter(_is_free, self._kept), None) or self._new())
        return self._current

    def _new(self) -> bytearray:
        buffer = bytearray(self._size_bytes)
        if len(self._kept) < _MAX_KEPT:
            self._kept.append(buffer)
        return buffer

    def received(self, size_bytes: int) -> bytes | memoryview:
        """The first `size_bytes` of that memory. A view of it is read-only, and stays as it is."""
        assert self._current is not None
        if size_bytes == self._size_bytes == self._first_bytes:
            self._size_bytes = self._full_bytes
            self._kept.clear()
            view, self._current = self._current, None
            return bytes(view)
        if size_bytes < self._full_bytes // 2:
            return bytes(self._current[:size_bytes])
        view, self._current = self._current, None
        return view.toreadonly()[:size_bytes]


def _is_free(buffer: bytearray) -> bool:
    """Whether no view of it is left: Python refuses to change the size of a buffer that has one."""
    try:
        buffer.append(0)
    except BufferError:
        return False
    del buffer[-1]
    return True

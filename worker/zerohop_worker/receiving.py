"""Bytes of a content as they arrive: gathered into pieces that are worth a call in a thread."""

from __future__ import annotations

from typing import Protocol

__all__ = ["MAX_WRITES", "PIECE_BYTES", "ByteStream", "next_piece"]

PIECE_BYTES = 1 << 20
"""Written by one call in a thread: large enough to make the hop cheap, small enough to overlap."""

MAX_WRITES = 512
"""Contents that are taken at a time: bounds memory to about 1.7 GiB in the worst case, two pieces and a socket's buffer
each.
"""


class ByteStream(Protocol):
    """The receiving end of a stream: empty at its end."""

    async def read(self, max_bytes: int = ...) -> memoryview: ...


async def next_piece(stream: ByteStream) -> list[memoryview]:
    """The next `PIECE_BYTES` of the stream as they came, fewer at its end, [] after it."""
    piece: list[memoryview] = []
    size_bytes = 0
    while size_bytes < PIECE_BYTES and (chunk := await stream.read(PIECE_BYTES - size_bytes)):
        piece.append(chunk)
        size_bytes += len(chunk)
    return piece

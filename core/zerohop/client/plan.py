"""Which parts of which contents make up a byte range of an object. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from zerohop.model import Segment, block_size_of

__all__ = ["BlockSpan", "Piece", "block_spans", "pieces"]


class Piece(NamedTuple):
    """Bytes [offset, offset + size) of a content of `length` bytes."""

    content: bytes
    length: int
    offset: int
    size: int


class BlockSpan(NamedTuple):
    """Bytes [offset, offset + size) of block number `block` of a content."""

    block: int
    offset: int
    size: int


def pieces(segments: Iterable[Segment], first_offset: int, start: int, stop: int) -> Iterator[Piece]:
    """The parts of `segments` that make up bytes [start, stop) of the object, in order.

    `first_offset` is where in the object the first segment begins (0, or that of a manifest page). Segments are
    taken one by one and none after the last that is needed; bytes that the segments do not reach are left out.
    """
    begin = first_offset
    if begin >= stop:
        return
    for segment in segments:
        end = begin + segment.length
        low, high = max(begin, start), min(end, stop)
        if low < high:
            yield Piece(segment.content, segment.length, low - begin, high - low)
        begin = end
        if begin >= stop:
            return


def block_spans(piece: Piece) -> Iterator[BlockSpan]:
    """The blocks that a piece touches, in order, with the bytes of each that belong to it."""
    block_size_bytes = block_size_of(piece.content)
    position, end = piece.offset, piece.offset + piece.size
    while position < end:
        block, offset = divmod(position, block_size_bytes)
        size = min(block_size_bytes - offset, end - position)
        yield BlockSpan(block, offset, size)
        position += size

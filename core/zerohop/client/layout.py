"""From an object to the contents that hold its bytes, wherever their list stands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol, TypeVar

from zerohop.client.plan import Piece, pieces
from zerohop.errors import Internal
from zerohop.model import Segment
from zerohop.rpc.master_api import ObjectResult, ReadManifest
from zerohop.rpc.message import Request

__all__ = ["HeldPiece", "object_pieces", "object_segments"]

R = TypeVar("R")


class HeldPiece(NamedTuple):
    """A part of a content, and the workers that hold it while it is not persisted."""

    piece: Piece
    holders: tuple[str, ...]


class Master(Protocol):
    """The way to the master."""

    async def call(self, request: Request[R]) -> R: ...


async def object_pieces(
    client: Master, result: ObjectResult, start: int, stop: int
) -> AsyncIterator[HeldPiece]:
    """What makes up bytes [start, stop) of an object that is not inline, in order. Costs the range, not the object:
    of a long list only the pages that are needed are read. Raises Internal when the list does not reach `stop`.
    """
    position = start
    while position < stop:
        if not result.record.manifest:
            first_offset, segments, holders = 0, result.record.segments, result.holders
        else:
            page = await client.call(ReadManifest(manifest=result.record.manifest, offset=position))
            first_offset, segments, holders = page.first_offset, page.segments, page.holders
        began = position
        for piece in pieces(segments, first_offset, position, stop):
            yield HeldPiece(piece, holders.get(piece.content, ()))
            position += piece.size
        if position == began:
            raise Internal(f"the contents of {result.record.key!r} end at byte {position}, before {stop}")


async def object_segments(client: Master, result: ObjectResult) -> AsyncIterator[Segment]:
    """The whole contents of an object that is not inline, in order."""
    async for held in object_pieces(client, result, 0, result.record.size_bytes):
        yield Segment(held.piece.content, held.piece.length)

"""From an object to the contents that hold its bytes, wherever their list stands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol, TypeVar

from zerohop.client.plan import Piece, pieces
from zerohop.errors import Internal
from zerohop.model import OriginRef, Segment
from zerohop.rpc.master_api import ObjectResult, ReadManifest
from zerohop.rpc.message import Request

__all__ = ["HeldPiece", "Master", "object_pieces", "object_segments", "origin_of"]

R = TypeVar("R")


class HeldPiece(NamedTuple):
    """A part of a content, the workers that hold it while it is not persisted, and where it comes from if it is the
    cached copy of a mounted object.
    """

    piece: Piece
    holders: tuple[str, ...]
    origin: OriginRef | None = None


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
    origin = origin_of(result)
    while position < stop:
        if not result.record.manifest:
            first_offset, segments, holders = 0, result.record.segments, result.holders
        else:
            page = await client.call(ReadManifest(manifest=result.record.manifest, offset=position))
            first_offset, segments, holders = page.first_offset, page.segments, page.holders
        began = position
        for piece in pieces(segments, first_offset, position, stop):
            yield HeldPiece(piece, holders.get(piece.content, ()), origin)
            position += piece.size
        if position == began:
            raise Internal(f"the contents of {result.record.key!r} end at byte {position}, before {stop}")


def origin_of(result: ObjectResult) -> OriginRef | None:
    """Where the bytes of a mounted object come from; None for an object of the cluster's own."""
    record = result.record
    if record.origin is None:
        return None
    return OriginRef(result.mount_id, record.key, record.origin.etag, record.origin.modified_ms)


async def object_segments(client: Master, result: ObjectResult) -> AsyncIterator[Segment]:
    """The whole contents of an object that is not inline, in order."""
    async for held in object_pieces(client, result, 0, result.record.size_bytes):
        yield Segment(held.piece.content, held.piece.length)

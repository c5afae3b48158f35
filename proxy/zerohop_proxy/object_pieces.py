"""The parts of contents that make up a byte range of an object, whether they stand in its record or in a manifest."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from zerohop.client.cluster import ClusterClient
from zerohop.client.layout import HeldPiece, origin_of
from zerohop.client.plan import pieces
from zerohop.errors import ContentLost
from zerohop.rpc.master_api import ObjectResult, ReadManifest

__all__ = ["object_pieces"]


async def object_pieces(
    cluster: ClusterClient, found: ObjectResult, start: int, stop: int
) -> AsyncGenerator[HeldPiece, None]:
    """Bytes [start, stop) of the object, in order. Reads a page of a manifest when it gets there, so that a range of a
    huge object costs a page. Raises ContentLost when the record covers less than its size.
    """
    record = found.record
    reached = start
    if not record.manifest:
        for piece in pieces(record.segments, 0, start, stop):
            yield HeldPiece(piece, found.holders.get(piece.content, ()), origin_of(found))
            reached += piece.size
    while record.manifest and reached < stop:
        page = await cluster.call(ReadManifest(manifest=record.manifest, offset=reached))
        before = reached
        for piece in pieces(page.segments, page.first_offset, reached, stop):
            yield HeldPiece(piece, page.holders.get(piece.content, ()))
            reached += piece.size
        if reached == before:
            break
    if reached < stop:
        raise ContentLost(f"the record covers {reached} bytes of {record.size_bytes}")

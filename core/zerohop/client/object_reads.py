"""The bytes of an object: from descriptors where a worker of this host passes them, else relayed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from zerohop.client.cluster import ClusterClient
from zerohop.client.layout import HeldPiece, object_pieces
from zerohop.client.open_block import block_bytes
from zerohop.client.plan import block_spans
from zerohop.client.relay import HowToRead
from zerohop.rpc.master_api import ObjectResult

__all__ = ["read_object"]


async def read_object(
    client: ClusterClient, result: ObjectResult, start: int = 0, stop: int | None = None
) -> AsyncGenerator[bytes | memoryview, None]:
    """Bytes [start, stop) of the version that `result` is, in pieces of at most about 1 MiB.

    The caller keeps `client.reading()` from before the lookup until the end. Never ends short: raises as
    `BlockSource.read` does. Close it (`aclosing`) when left early.
    """
    end = result.record.size_bytes if stop is None else min(stop, result.record.size_bytes)
    if result.record.inline:
        if start < end:
            yield memoryview(result.data)[start:end]
        return
    async for held in object_pieces(client, result, start, end):
        async with aclosing(_read_piece(client, held)) as chunks:
            async for chunk in chunks:
                yield chunk


async def _read_piece(client: ClusterClient, held: HeldPiece) -> AsyncGenerator[bytes | memoryview, None]:
    piece, holders, origin = held
    spans = list(block_spans(piece))
    done = 0
    for number, span in enumerate(spans):
        block = await client.blocks.open(
            piece.content, piece.length, span.block, count=len(spans) - number, holders=holders
        )
        if block is None:
            # No descriptors: the rest of the piece in one stream, rather than one a block.
            rest = client.blocks.read(
                piece.content,
                piece.length,
                piece.offset + done,
                piece.size - done,
                holders=holders,
                how=HowToRead(origin),
            )
            async for chunk in rest:
                yield chunk
            return
        with block:
            async for chunk in block_bytes(block, span.offset, span.size):
                yield chunk
        done += span.size

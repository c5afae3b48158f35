"""Reading local objects of mounts, to bring them to their origins: from the workers that hold them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from zerohop.client.layout import HeldPiece, object_pieces
from zerohop.client.relay import relay
from zerohop.client.worker_links import WorkerLinks
from zerohop.model import ADMIN, ObjectRecord
from zerohop.rpc.master_api import LookupObject
from zerohop.rpc.splicing import PipedBytes
from zerohop_worker.files import Buffer
from zerohop_worker.mounts.owner import Owner
from zerohop_worker.mounts.registry import OpenMount

__all__ = ["MAX_PART_BYTES", "LocalBytes"]

MAX_PART_BYTES = 64 << 20
"""A part that its origin is to have as such stands in memory until it is sent."""


class LocalBytes:
    """Implements `PartBytes`."""

    def __init__(self, owner: Owner, links: WorkerLinks) -> None:
        self._owner = owner
        self._links = links

    async def __call__(
        self, bucket: str, record: ObjectRecord, mount: OpenMount
    ) -> AsyncGenerator[Buffer | None, None]:
        """The bytes of the object as it stands now. Raises ContentLost, ContentNotFound, NoWorker, transport errors."""
        found = await self._owner.call(LookupObject(caller=ADMIN, bucket=bucket, key=record.key))
        if found.record.inline:
            yield found.data
            return
        if not found.record.size_bytes:
            return
        pieces = [held async for held in object_pieces(self._owner, found, 0, found.record.size_bytes)]
        as_parts = bool(record.part_count) and _fit(mount, pieces)
        for held in pieces:
            piece = held.piece
            read = relay(self._links, piece.content, piece.length, piece.offset, piece.size, held.holders)
            async with aclosing(read) as chunks:
                async for chunk in chunks:
                    assert not isinstance(chunk, PipedBytes), "only proxies ask for pipes"
                    yield chunk
            if as_parts:
                yield None


def _fit(mount: OpenMount, pieces: Sequence[HeldPiece]) -> bool:
    """Whether the origin takes these as parts: then the object has there the ETag that its writer was told."""
    sizes = [held.piece.size for held in pieces]
    smallest = min(sizes[:-1], default=mount.store.min_part_bytes)
    largest = min(MAX_PART_BYTES, mount.store.max_part_bytes)
    return smallest >= mount.store.min_part_bytes and max(sizes) <= largest

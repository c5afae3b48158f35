"""Reading contents: descriptors of blocks from the worker of this host, or a relay over RPC."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection

from zerohop.client.open_block import OpenBlock

__all__ = ["BlockSource"]


class BlockSource:
    """Where the bytes of contents come from. `client.blocks` is the one of a `ClusterClient`."""

    def cached(self, content: bytes, index: int) -> OpenBlock | None:
        """The block, if its descriptor is at hand; the caller holds a reference. Never waits."""
        raise NotImplementedError

    async def open(
        self, content: bytes, length: int, index: int, *, count: int = 1, holders: Collection[str] = ()
    ) -> OpenBlock | None:
        """The block `index` of a content of `length` bytes, with a reference for the caller.

        `count`: how many blocks from there on the reader is going to want (the others are opened ahead and cached).
        None: no worker passes descriptors of it to this process, read it by `read`. Raises ContentNotFound,
        ContentLost, UnderStoreFailed, transport errors.
        """
        raise NotImplementedError

    def read(
        self, content: bytes, length: int, offset: int, size: int, *, holders: Collection[str] = ()
    ) -> AsyncIterator[bytes | memoryview]:
        """Bytes [offset, offset + size) of a content of `length` bytes, relayed from workers in pieces.

        Goes on at another worker, from the byte reached, when one fails. Never ends short: raises NoWorker,
        ContentNotFound, ContentLost, UnderStoreFailed, transport errors. Close it (`aclosing`) when left early.
        """
        raise NotImplementedError

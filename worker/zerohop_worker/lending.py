"""Descriptors of blocks, lent to processes of this host: `OpenBlocks` and the reports of those who hold them."""

from __future__ import annotations

import os
from collections.abc import Awaitable
from contextlib import suppress

from zerohop.errors import BlockNotFound, InvalidRequest, Overloaded, ZerohopError
from zerohop.model import block_count, is_mounted
from zerohop.rpc.descriptors import DescriptorServer, Holder, Lent
from zerohop.rpc.worker_api import BlockHandle, BlocksOpened, BlockUse, OpenBlocks, ReturnBlocks
from zerohop_worker.block_store import BlockStore
from zerohop_worker.fetching import Fetching
from zerohop_worker.reading import Reading

__all__ = ["Lending"]

_MAX_DESCRIPTORS = 128
"""In one response; the kernel takes 253."""

_READ_AHEAD = 2
"""Blocks that are fetched beyond a missing one, when more were asked for."""


class Lending:
    """Answers cached blocks in the turn of the loop that received the request: 64 take half a millisecond.

    A loan is entered before its descriptor is sent and ends by the holder's report or with its connection.
    """

    def __init__(self, store: BlockStore, reading: Reading, fetching: Fetching) -> None:
        self._store = store
        self._reading = reading
        self._fetching = fetching

    def serve(self, server: DescriptorServer) -> None:
        """Registers the handlers."""
        server.register(OpenBlocks, self.open_blocks, unsent=self._not_lent)
        server.register_notice(BlockUse, self.block_use)

    def open_blocks(self, request: OpenBlocks, holder: Holder) -> Lent | Awaitable[Lent]:
        """See `OpenBlocks`."""
        count = block_count(request.content, request.content_length)
        if not 0 <= request.first_index < count or request.count < 1:
            raise InvalidRequest(f"block {request.first_index} of a content of {count} blocks")
        last = min(count, request.first_index + min(request.count, _MAX_DESCRIPTORS))
        handles, descriptors = self._open_cached(request.content, request.first_index, last, holder)
        if handles:
            return BlocksOpened(blocks=tuple(handles)), descriptors
        if is_mounted(request.content):
            raise BlockNotFound(f"block {request.first_index} is not cached")
        return self._fetch_first(request, last, holder)

    def _open_cached(
        self, content: bytes, first: int, last: int, holder: Holder
    ) -> tuple[list[BlockHandle], list[int]]:
        handles: list[BlockHandle] = []
        descriptors: list[int] = []
        for index in range(first, last):
            copy = self._store.lookup((content, index))
            fd = None
            if copy is not None:
                with suppress(ZerohopError):  # what was opened before it is lent all the same
                    fd = self._store.open(copy)
            if copy is None or fd is None:
                break
            self._store.used(copy)
            self._store.index.holds.lend(copy, holder)
            handles.append(BlockHandle(index=index, length=copy.size_bytes, source=copy.tier))
            descriptors.append(fd)
        return handles, descriptors

    async def _fetch_first(self, request: OpenBlocks, last: int, holder: Holder) -> Lent:
        content, first = request.content, request.first_index
        for index in range(first + 1, min(last, first + 1 + _READ_AHEAD)):
            self._reading.read_ahead(content, request.content_length, index)
        copy, fetched = await self._reading.cached_or_fetched(content, request.content_length, first)
        fd = self._store.open(copy)
        if fd is None:
            raise Overloaded("the block was damaged while it was opened; ask again")
        if holder.closed:
            os.close(fd)
            raise Overloaded("the holder is gone")
        self._store.index.holds.lend(copy, holder)
        if not fetched:
            self._store.used(copy)
        source = "UNDER" if fetched else copy.tier
        handles = [BlockHandle(index=first, length=copy.size_bytes, source=source, tier=copy.tier)]
        more, descriptors = self._open_cached(content, first + 1, last, holder)
        return BlocksOpened(blocks=(*handles, *more)), [fd, *descriptors]

    def _not_lent(self, request: OpenBlocks, opened: BlocksOpened, holder: Holder) -> None:
        for handle in opened.blocks:
            self._store.index.holds.returned(holder, (request.content, handle.index))

    def block_use(self, report: BlockUse, holder: Holder) -> None:
        """See `BlockUse`."""
        for block in report.used:
            self._store.reported(holder, block)
        for block in report.closed:
            self._store.index.holds.returned(holder, block)

    def holder_lost(self, holder: Holder) -> None:
        """The connection is gone: so are its descriptors."""
        self._store.index.holds.gone(holder)

    def ask_back(self) -> None:
        """Tells holders which blocks are wanted back. A holder that does not read its notices is passed over."""
        wanted: dict[Holder, list[tuple[bytes, int]]] = {}
        for block in self._store.index.take_recalls():
            for holder in self._store.index.holds.holders(block):
                if isinstance(holder, Holder):
                    wanted.setdefault(holder, []).append(block)
        for holder, blocks in wanted.items():
            try:
                holder.notify(ReturnBlocks(blocks=tuple(blocks)))
            except Overloaded:
                continue

"""Reading a range of a content as bytes: from the tiers, from blocks on their way in, or from the under-store."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from zerohop.errors import ContentLost, InvalidRequest, OutOfSpace
from zerohop.model import block_size_of
from zerohop_worker.block_store import BlockStore
from zerohop_worker.cache_copy import Copy
from zerohop_worker.cached_bytes import FilePart, cached_bytes
from zerohop_worker.contents import Contents
from zerohop_worker.fetching import Fetching
from zerohop_worker.understore.interface import UnderStore

__all__ = ["Reading"]


class Reading:
    """The ladder of sources, with one decision for each block: cached, being fetched or to be fetched, direct."""

    def __init__(
        self, store: BlockStore, under_store: UnderStore, contents: Contents, fetching: Fetching
    ) -> None:
        self._store = store
        self._under_store = under_store
        self._contents = contents
        self._fetching = fetching

    async def read(
        self,
        content: bytes,
        content_length: int,
        offset: int,
        length: int,
        *,
        cache: bool,
        for_worker: bool = False,
        as_files: bool = False,
    ) -> AsyncGenerator[tuple[str, bytes | FilePart], None]:
        """Exactly the bytes [offset, offset + length), in pieces, each with its source ("MEM", ..., "UNDER").

        `for_worker`: another worker misses them, so no worker is asked for what is missing here. `as_files`: a piece
        may be a part of a file that is to be sent.

        Raises ContentNotFound, ContentLost, UnderStoreFailed; never ends short.
        """
        check_range(content_length, offset, length)
        block_size = block_size_of(content)
        end = offset + length
        while offset < end:
            index = offset // block_size
            stop = min(end, (index + 1) * block_size)
            if cache and stop < end:
                self.read_ahead(content, content_length, index + 1, ask_peers=not for_worker)
            # Two workers whose views differ might wait for each other, if both waited for what the other asks for.
            waits = cache and not (for_worker and self._fetching.asks_peer((content, index)))
            block = self._block(
                content, content_length, offset, stop, cache=waits, ask_peers=not for_worker, as_file=as_files
            )
            async with aclosing(block) as pieces:
                async for source, data in pieces:
                    offset += len(data)
                    yield source, data

    def read_ahead(self, content: bytes, content_length: int, index: int, *, ask_peers: bool = True) -> None:
        """The next block comes in while this one goes out. Only a hint: whatever is wrong, its own turn will tell."""
        if self._store.index.find((content, index)) is None and content not in self._contents.held:
            try:
                self._fetching.fetch(content, content_length, index, ask_peers=ask_peers)
            except OutOfSpace:
                return

    async def _block(
        self,
        content: bytes,
        content_length: int,
        offset: int,
        stop: int,
        *,
        cache: bool,
        ask_peers: bool,
        as_file: bool,
    ) -> AsyncGenerator[tuple[str, bytes | FilePart], None]:
        """Bytes of one block. A source that gives out half-way is followed by the next, from the byte reached."""
        block_size = block_size_of(content)
        index = offset // block_size
        start = index * block_size
        while (copy := await self._store.ready((content, index))) is not None and offset < stop:
            pieces = cached_bytes(self._store, copy, offset - start, stop - start, as_file=as_file)
            async with aclosing(pieces) as cached:
                async for piece in cached:
                    offset += len(piece)
                    yield copy.tier, piece
        if offset < stop and content in self._contents.held:
            raise ContentLost(f"block {index} of content {content.hex()} is gone, and it is nowhere else")
        if offset < stop and cache:
            try:
                fetch = self._fetching.fetch(content, content_length, index, ask_peers=ask_peers)
                async with aclosing(fetch.read(offset - start, stop - start)) as fetched:
                    async for data in fetched:
                        offset += len(data)
                        yield fetch.source, data
                self._store.hits[fetch.source] += 1
            except OutOfSpace:
                pass  # no room to cache it: it is served all the same
        if offset < stop:
            self._store.hits["UNDER"] += 1
            async with aclosing(self._under_store.read(content, offset, stop - offset)) as direct:
                async for data in direct:
                    yield "UNDER", data

    async def cached_or_fetched(self, content: bytes, content_length: int, index: int) -> tuple[Copy, bool]:
        """A usable copy of the block, fetched if need be (then True). Raises OutOfSpace and as `read` does."""
        # A block may be evicted between its arrival and our turn; thrice only if it is hopeless.
        for _ in range(3):
            copy = await self._store.ready((content, index))
            if copy is not None:
                return copy, False
            if content in self._contents.held:
                raise ContentLost(f"block {index} of content {content.hex()} is gone, and it is nowhere else")
            fetch = self._fetching.fetch(content, content_length, index)
            await fetch.complete()
            copy = self._store.lookup((content, index))
            if copy is not None:
                self._store.hits[fetch.source] += 1
                return copy, True
        raise OutOfSpace("the cache cannot keep the block for as long as it takes to open it")


def check_range(content_length: int, offset: int, length: int) -> None:
    """Raises InvalidRequest unless the range is within the content."""
    if not 0 <= offset <= offset + length <= content_length:
        raise InvalidRequest(f"bytes {offset}+{length} are not within a content of {content_length} bytes")

"""Reading contents: descriptors of blocks from a worker of this host, or a relay over RPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from typing import cast

from zerohop.client.descriptor_cache import DescriptorCache, default_max_count
from zerohop.client.descriptor_links import DescriptorLinks
from zerohop.client.hedging import Step
from zerohop.client.open_block import OpenBlock, block_bytes
from zerohop.client.racing import Pieces, Source
from zerohop.client.relay import PLAINLY, HowToRead, relay
from zerohop.client.worker_links import WorkerLinks
from zerohop.errors import (
    BlockNotFound,
    ContentLost,
    ContentNotFound,
    OutOfSpace,
    Overloaded,
    TransportError,
    UnderStoreFailed,
)
from zerohop.model import WorkerInfo, block_count, block_size_of

__all__ = ["DESCRIPTOR_CACHE_BYTES", "BlockSource"]

DESCRIPTOR_CACHE_BYTES = 2 << 30
"""Of blocks whose descriptors are kept. While the worker holds them too they cost nothing; once it has evicted them
it asks for them back, and this bounds what it cannot get at until then."""

_MAX_AHEAD = 4
"""Blocks asked for at once: so that a sequential reader asks rarely, while the first block is not held up by many."""

_OPEN_TIMEOUT_S = 20.0
"""For a worker to pass a block, which it may have to fetch from the under-store first. After it the others are asked,
while the client of an S3 read, who commonly waits for a minute, is still there.
"""

_Key = tuple[bytes, int]


class BlockSource:
    """Where the bytes of contents come from. `client.blocks` is the one of a `ClusterClient`.

    Invariant: a block in the cache was lent by a link that is not broken.
    """

    def __init__(
        self, workers: WorkerLinks, *, max_bytes: int = DESCRIPTOR_CACHE_BYTES, max_count: int | None = None
    ) -> None:
        self._workers = workers
        self._cache = DescriptorCache(max_bytes, default_max_count() if max_count is None else max_count)
        self._links = DescriptorLinks(workers, self._cache)
        self._opening: dict[_Key, _Opening] = {}

    def cached(self, content: bytes, index: int) -> OpenBlock | None:
        """The block, if its descriptor is at hand; the caller holds a reference. Never waits."""
        key = (content, index)
        block = self._cache.get(key)
        if block is None:
            return None
        block.lender.used(key)
        block.source = block.tier  # fetched for an earlier reader, cached for this one
        return block.acquire()

    @property
    def cached_count(self) -> int:
        """Blocks whose descriptors are at hand."""
        return len(self._cache)

    @property
    def cached_bytes(self) -> int:
        """Bytes of these blocks."""
        return self._cache.size_bytes

    async def open(
        self, content: bytes, length: int, index: int, *, count: int = 1, holders: Collection[str] = ()
    ) -> OpenBlock | None:
        """The block `index` of a content of `length` bytes, with a reference for the caller.

        `count`: how many blocks from there on the reader is going to want; some of the others are opened ahead and
        cached. Any number of tasks that want one block ask the worker once.
        None: no worker passes it to this process as a descriptor, read it by `read`. Raises ContentNotFound,
        ContentLost.
        """
        while True:
            if (block := self.cached(content, index)) is not None:
                return block
            opening = self._opening.get((content, index))
            if opening is None:
                worker = self._lender(content, index, holders)
                if worker is None:
                    return None
                opening = self._start(worker, content, length, index, count, holders)
            found, block = await self._in_time(opening, index, holders)
            if found:
                return block

    def can_open(self, content: bytes, index: int, holders: Collection[str] = ()) -> bool:
        """Whether `open` would ask for the block, rather than say at once that no worker passes it."""
        return (content, index) in self._opening or self._lender(content, index, holders) is not None

    async def _in_time(
        self, opening: _Opening, index: int, holders: Collection[str]
    ) -> tuple[bool, OpenBlock | None]:
        """As `_Opening.join`. (True, None) also when its worker is late, and another one is to be asked as well."""
        loop, hedging = asyncio.get_running_loop(), self._workers.hedging
        limit_s = opening.asked_s + hedging.delay_s
        while True:
            try:
                async with asyncio.timeout_at(limit_s):
                    return await opening.join(index)
            except TimeoutError:
                limit_s = loop.time() + hedging.delay_s
            if len(self._workers.for_read(opening.content, index, holders)) < 2:
                continue
            step = hedging.late(opening.worker_id, self._workers.avoided())
            if step is not Step.WAIT:
                opening.is_late = True
                return True, None

    def _lender(self, content: bytes, index: int, holders: Collection[str]) -> WorkerInfo | None:
        """The worker to ask for a descriptor: the best one of all, if it is on this host."""
        order = self._workers.for_read(content, index, holders)
        return order[0] if order and order[0].worker_id in self._workers.local else None

    def _start(
        self,
        worker: WorkerInfo,
        content: bytes,
        length: int,
        index: int,
        count: int,
        holders: Collection[str],
    ) -> _Opening:
        last = min(index + max(1, min(count, _MAX_AHEAD)), block_count(content, length))
        keys = [(content, number) for number in range(index, last)]
        # Blocks that are at hand or on their way are not asked for again; the worker is asked for one run of blocks.
        wanted = keys[:1]
        for key in keys[1:]:
            if key in self._opening or key in self._cache:
                break
            wanted.append(key)
        opening = _Opening(worker.worker_id, content, index)
        self._workers.hedging.asked()
        for key in wanted:
            self._opening[key] = opening
        opening.task = asyncio.create_task(
            self._run(opening, worker, content, length, wanted, holders), name="open blocks"
        )
        opening.task.add_done_callback(opening.settle)
        return opening

    async def _run(
        self,
        opening: _Opening,
        worker: WorkerInfo,
        content: bytes,
        length: int,
        wanted: list[_Key],
        holders: Collection[str],
    ) -> None:
        try:
            blocks = await self._ask(worker, content, length, wanted, holders)
            if blocks:
                waited_s = asyncio.get_running_loop().time() - opening.asked_s
                self._workers.hedging.answered(worker.worker_id, waited_s)
            for block in blocks:
                opening.blocks[block.index] = block
                if not block.lender.is_broken:
                    self._cache.put(block)
        finally:
            for key in wanted:
                del self._opening[key]

    async def _ask(
        self,
        worker: WorkerInfo,
        content: bytes,
        length: int,
        wanted: list[_Key],
        holders: Collection[str],
    ) -> list[OpenBlock]:
        """Opened blocks; none when this worker cannot pass them, so that the reader goes by `read`."""
        try:
            link = self._links.get(worker)
            return await link.open(content, length, wanted[0][1], len(wanted), _OPEN_TIMEOUT_S)
        except (OutOfSpace, Overloaded, BlockNotFound, UnderStoreFailed):
            return []
        except (ContentNotFound, ContentLost):
            # Of what is not in the under-store one worker alone does not know; the relay asks them all.
            if holders:
                return []
            raise
        except TransportError:
            self._workers.avoid(worker.worker_id)
            return []

    def read(
        self,
        content: bytes,
        length: int,
        offset: int,
        size: int,
        *,
        holders: Collection[str] = (),
        how: HowToRead = PLAINLY,
    ) -> AsyncGenerator[bytes | memoryview, None]:
        """Bytes [offset, offset + size) of a content of `length` bytes, relayed from workers in pieces.

        Goes on at another worker, from the byte reached, when one fails or is slow. A block that was asked for by
        `open`, and is late, still serves it if it comes first. Never ends short: raises NoWorker, ContentNotFound,
        ContentLost, UnderStoreFailed, transport errors; OriginChanged and OriginRefused of a mounted content, which
        `how` has to say the origin of. Close it (`aclosing`) when left early.
        """
        pieces = self.pieces(content, length, offset, size, holders=holders, how=how._replace(piped=False))
        return cast("AsyncGenerator[bytes | memoryview, None]", pieces)

    def pieces(
        self,
        content: bytes,
        length: int,
        offset: int,
        size: int,
        *,
        holders: Collection[str] = (),
        how: HowToRead = PLAINLY,
    ) -> Pieces:
        """As `read`; pieces may be `PipedBytes` if `how` says so."""
        index, start = divmod(offset, block_size_of(content))
        opening = self._opening.get((content, index))
        late = None
        if opening is not None and opening.is_late and size:
            of_block = min(size, block_size_of(content) - start)
            late = Source(opening.worker_id, lambda: opening.read(index, start, of_block))
        return relay(self._workers, content, length, offset, size, holders, late, how)

    async def close(self) -> None:
        """Closes all descriptors that nobody uses, and the connections."""
        openings = {opening.task for opening in self._opening.values()}
        for task in openings:
            task.cancel()
        if openings:
            await asyncio.wait(openings)
        self._cache.drop_where(lambda _block: True)
        await self._links.close()


class _Opening:
    """Blocks on their way from a worker. Holds a reference to each until all who wait have taken theirs."""

    def __init__(self, worker_id: str, content: bytes, first: int) -> None:
        self.worker_id = worker_id
        self.content = content
        self.first = first
        self.asked_s = asyncio.get_running_loop().time()
        self.is_late = False  # readers ask other workers, too
        self.blocks: dict[int, OpenBlock] = {}
        self.task: asyncio.Task[None]
        self._waiting = 0

    async def join(self, index: int) -> tuple[bool, OpenBlock | None]:
        """Waits. (True, block), or (True, None) if the worker passes none; (False, None): it passed others, ask again.

        A caller who is cancelled does not end the opening, which others may wait for.
        """
        self._waiting += 1
        try:
            await asyncio.shield(self.task)
            block = self.blocks.get(index)
            if block is not None:
                block.lender.used((block.content, index))
                return True, block.acquire()
            return not self.blocks or index == self.first, None
        finally:
            self._waiting -= 1
            if self.task.done():
                self.settle(self.task)

    async def read(self, index: int, offset: int, size: int) -> Pieces:
        """Bytes of the block, when it comes. Raises BlockNotFound when it is not passed, or other blocks are."""
        _found, block = await self.join(index)
        if block is None:
            raise BlockNotFound("the worker passes no descriptor of the block")
        with block:
            async for chunk in block_bytes(block, offset, size):
                yield chunk

    def settle(self, task: asyncio.Task[None]) -> None:
        """Lets go of the blocks once nobody waits any more."""
        if not task.cancelled():
            task.exception()  # whoever waits has it; with nobody left it is of no interest
        if self._waiting == 0:
            while self.blocks:
                self.blocks.popitem()[1].release()

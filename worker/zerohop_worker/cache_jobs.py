"""The requests of `zerohop.rpc.cache_api`: what jobs of the master do to this worker's cache."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Final

from zerohop.errors import InvalidRequest, OutOfSpace, UnderStoreFailed
from zerohop.model import block_count, block_size_of
from zerohop.rpc.cache_api import (
    BlocksLoaded,
    BytesFreed,
    CachedBlocks,
    FreeBlocks,
    FreeContents,
    GetCachedBlocks,
    LoadBlocks,
    PersistContents,
)
from zerohop.rpc.call import Call
from zerohop.rpc.master_api import Empty
from zerohop.rpc.server import RpcServer
from zerohop.tasks import each
from zerohop_worker.block_store import BlockStore
from zerohop_worker.cache_copy import BlockId
from zerohop_worker.mounts.runs import Run, Runs, Target
from zerohop_worker.peers import Peers
from zerohop_worker.persisting import Persister
from zerohop_worker.reading import Reading

__all__ = ["CacheJobs"]

_MAX_NAMED: Final = 10_000
_MAX_BLOCKS: Final = 64
_AT_A_TIME: Final = 4
"""Blocks of one call that are fetched side by side: the job has many calls under way."""

_TRIES: Final = 3
"""Of a block whose run ends, because all others who wanted it have left, before it is its turn."""


class CacheJobs:
    """Loads as readers do, so that a job and any number of readers fetch a block once."""

    def __init__(
        self, store: BlockStore, reading: Reading, runs: Runs, peers: Peers, persister: Persister
    ) -> None:
        self._store = store
        self._reading = reading
        self._runs = runs
        self._peers = peers
        self._persister = persister

    def serve(self, server: RpcServer) -> None:
        """Registers the handlers."""
        server.register(LoadBlocks, self.load_blocks)
        server.register_sync(FreeContents, self.free_contents)
        server.register_sync(FreeBlocks, self.free_blocks)
        server.register_sync(GetCachedBlocks, self.get_cached_blocks)
        server.register_sync(PersistContents, self.persist_contents)

    # ------------------------------------------------------------------------------------------- loading

    async def load_blocks(self, request: LoadBlocks, _call: Call) -> BlocksLoaded:
        """See `LoadBlocks`."""
        stop = request.first + request.count
        if not 0 < request.count <= _MAX_BLOCKS or not 0 <= request.first < stop:
            raise InvalidRequest(f"between 1 and {_MAX_BLOCKS} blocks can be loaded at once")
        if stop > block_count(request.content, request.content_length):
            raise InvalidRequest("the content has no such blocks")
        missing = [
            index
            for index in range(request.first, stop)
            if self._store.index.find((request.content, index)) is None
        ]
        if request.source:
            await self._peers.meet(request.source)
            await each(missing, lambda index: self._copy(request, index), at_a_time=_AT_A_TIME)
        elif request.origin is None:
            await each(missing, lambda index: self._fetch(request, index), at_a_time=_AT_A_TIME)
        elif missing:
            await self._follow(request, missing)
        fetched_bytes = sum(_block_bytes(request, index) for index in missing)
        all_bytes = sum(_block_bytes(request, index) for index in range(request.first, stop))
        return BlocksLoaded(fetched_bytes=fetched_bytes, cached_bytes=all_bytes - fetched_bytes)

    async def _fetch(self, request: LoadBlocks, index: int) -> None:
        await self._reading.cached_or_fetched(request.content, request.content_length, index)

    async def _copy(self, request: LoadBlocks, index: int) -> None:
        size_bytes = _block_bytes(request, index)
        writer = self._store.writer((request.content, index), size_bytes)
        if writer is None:
            raise OutOfSpace("no tier of the cache has room for the block")
        try:
            pieces = self._peers.read(
                request.source,
                request.content,
                request.content_length,
                index * block_size_of(request.content),
                size_bytes,
                origin=request.origin,
            )
            async with aclosing(pieces):
                async for piece in pieces:
                    await writer.write([piece])
            await writer.finish()
        finally:
            await writer.abort()

    async def _follow(self, request: LoadBlocks, missing: Iterable[int]) -> None:
        """Of a mounted object: the runs that bring the blocks, from the first to the last of them."""
        assert request.origin is not None
        target = Target(request.content, request.content_length, request.origin)
        stop = min((request.first + request.count) * target.block_size, target.size_bytes)
        async with self._joined_runs() as joined:
            for index in missing:
                await self._arrived(target, index, stop, joined)

    @asynccontextmanager
    async def _joined_runs(self) -> AsyncIterator[set[Run]]:
        joined: set[Run] = set()
        try:
            yield joined
        finally:
            for run in joined:
                run.left_by_reader(self._store.now())

    async def _arrived(self, target: Target, index: int, stop: int, joined: set[Run]) -> None:
        block = (target.content, index)
        for attempt in range(_TRIES):
            if self._store.index.find(block) is not None:
                return
            found = self._runs.find(block)
            run = (
                self._runs.start(target, index * target.block_size, stop, ask_peers=True)
                if found is None
                else found[0]
            )
            if run not in joined:
                run.readers += 1
                joined.add(run)
            try:
                await run.blocks[index - run.first].complete()
                return
            except UnderStoreFailed:
                if attempt == _TRIES - 1:
                    raise

    # ------------------------------------------------------------------------------------------- letting go

    def free_contents(self, request: FreeContents, _call: Call) -> BytesFreed:
        """See `FreeContents`."""
        _check_number(request.contents)
        index = self._store.index
        blocks = [
            (content, number) for content in request.contents for number in sorted(index.indices(content))
        ]
        return self._free(blocks, request.older_than_s)

    def free_blocks(self, request: FreeBlocks, _call: Call) -> BytesFreed:
        """See `FreeBlocks`."""
        _check_number(request.blocks)
        return self._free(request.blocks, 0.0)

    def _free(self, blocks: Iterable[BlockId], older_than_s: float) -> BytesFreed:
        index, before_s = self._store.index, self._store.now() - older_than_s
        freed = kept = 0
        for block in blocks:
            for copy in index.copies(block):
                if copy.pinned or copy.unpersisted or (older_than_s and copy.cached_s > before_s):
                    kept += copy.size_bytes
                else:
                    freed += copy.size_bytes
                    index.drop(copy)
        self._store.settle()
        return BytesFreed(freed_bytes=freed, kept_bytes=kept)

    # ------------------------------------------------------------------------------------------- the others

    def get_cached_blocks(self, request: GetCachedBlocks, _call: Call) -> CachedBlocks:
        """See `GetCachedBlocks`."""
        _check_number(request.contents)
        indices = self._store.index.indices
        return CachedBlocks(indices=tuple(tuple(sorted(indices(content))) for content in request.contents))

    def persist_contents(self, request: PersistContents, _call: Call) -> Empty:
        """See `PersistContents`."""
        _check_number(request.contents)
        self._persister.persist_soon(request.contents)
        return Empty()


def _check_number(named: Sequence[object]) -> None:
    if len(named) > _MAX_NAMED:
        raise InvalidRequest(f"at most {_MAX_NAMED} a call")


def _block_bytes(request: LoadBlocks, index: int) -> int:
    block_size = block_size_of(request.content)
    return min(block_size, request.content_length - index * block_size)

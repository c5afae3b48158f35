"""Fetching runs of adjacent blocks of mounted objects: one request to the origin for all that is missing side by side,
whoever wants it, and no byte twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from zerohop.errors import OutOfSpace, UnderStoreFailed, ZerohopError
from zerohop.model import OriginRef, block_size_of
from zerohop_worker.block_store import BlockStore
from zerohop_worker.block_writer import BlockWriter
from zerohop_worker.cache_copy import BlockId
from zerohop_worker.files import Buffer
from zerohop_worker.mounts.incoming import IncomingBlock
from zerohop_worker.mounts.sources import MountedSources, Piece
from zerohop_worker.origins.interface import OpenedRead

__all__ = ["Run", "Runs", "Target"]

MAX_RUN_BLOCKS = 16
"""As many as belong to one worker (see `placement.extent_key`)."""

_MAX_RUNS = 64
"""Requests to origins at a time; more wait. As many as an object store takes well from one client."""

_MAX_TAIL_BYTES = 8 << 20
"""A read that begins in the middle of a block of which more follows than that begins at its start: the rest would
have to stand in memory until the front is there."""

_BETWEEN_READS_S = 1.0
"""A run goes on for so long after its last reader: one that reads block by block is about to ask for the next."""

_MAX_UNWRITTEN_BYTES = 1 << 20
"""Of a run: so much waits in memory while as much is being written."""

_GRACE_S = 5.0
"""For how long a run goes on without a reader: one may be on his way, between the answer of the lookup and his read."""


class Target:
    """One version of a mounted object: its cached content of `size_bytes`, and where its bytes come from."""

    __slots__ = ("block_size", "content", "ref", "size_bytes")

    def __init__(self, content: bytes, size_bytes: int, ref: OriginRef) -> None:
        self.content = content
        self.size_bytes = size_bytes
        self.ref = ref
        self.block_size = block_size_of(content)

    def block_bytes(self, index: int) -> int:
        """The size of a block: the last one may be shorter."""
        return min(self.block_size, self.size_bytes - index * self.block_size)


class Run:
    """Blocks [first, first + len(blocks)) on their way in, one after another. The first may begin in its middle."""

    def __init__(self, target: Target, first: int, blocks: Sequence[IncomingBlock], expires_s: float) -> None:
        self.target = target
        self.first = first
        self.blocks = blocks
        self.readers = 0
        self.expires_s = expires_s

    def left_by_reader(self, now_s: float) -> None:
        """A reader has all that it asked for. It may come back for more."""
        self.readers -= 1
        self.expires_s = max(self.expires_s, now_s + _BETWEEN_READS_S)

    def is_wanted(self, now_s: float) -> bool:
        """Whether the next block is to be fetched, too."""
        return self.readers > 0 or now_s < self.expires_s


class Runs:
    """The runs under way. Invariant: a block is in at most one run, and not in the cache when its run begins."""

    def __init__(self, store: BlockStore, sources: MountedSources) -> None:
        self._store = store
        self.sources = sources
        self._blocks: dict[BlockId, tuple[Run, IncomingBlock]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(_MAX_RUNS)

    def find(self, block: BlockId) -> tuple[Run, IncomingBlock] | None:
        """The run that brings the block, if one does."""
        return self._blocks.get(block)

    def waits_for_peer(self, block: BlockId) -> bool:
        """Whether the block is on its way from another worker."""
        found = self._blocks.get(block)
        return (
            found is not None
            and found[1].source == ""
            and self.sources.home(found[0].target.ref, block[1]) is not None
        )

    def start(
        self,
        target: Target,
        offset: int,
        stop: int,
        *,
        ask_peers: bool,
        opened: OpenedRead | None = None,
        wait_s: float = 0.0,
    ) -> Run:
        """Begins to fetch the block that `offset` is in, and those after it up to `stop` that are missing as well;
        nobody's end cancels it, but it stops at the end of a block that nobody wants any more.

        `opened`: a read of the origin that has begun at `offset`; it goes on after `wait_s`.
        Call it only for a block that is neither cached nor
        on its way. Raises OutOfSpace when no tier has room for the first block.
        """
        first = offset // target.block_size
        start = offset - first * target.block_size
        if not opened and target.block_bytes(first) - start > _MAX_TAIL_BYTES:
            start = 0
        writer = self._store.writer((target.content, first), target.block_bytes(first), readable=True)
        if writer is None:
            raise OutOfSpace("no tier of the cache has room for the block")
        last = max(first, (max(stop, offset + 1) - 1) // target.block_size)
        blocks = [IncomingBlock((target.content, first), target.block_bytes(first), start)]
        for index in range(first + 1, min(last + 1, (first // MAX_RUN_BLOCKS + 1) * MAX_RUN_BLOCKS)):
            block = (target.content, index)
            if block in self._blocks or self._store.index.find(block) is not None:
                break
            blocks.append(IncomingBlock(block, target.block_bytes(index), 0))
        run = Run(target, first, blocks, self._store.now() + _GRACE_S)
        for incoming in blocks:
            self._blocks[incoming.block] = (run, incoming)
        task = asyncio.create_task(
            self._carry_out(run, writer, ask_peers=ask_peers, opened=opened, wait_s=wait_s)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return run

    async def _carry_out(
        self, run: Run, writer: BlockWriter, *, ask_peers: bool, opened: OpenedRead | None, wait_s: float
    ) -> None:
        left = list(run.blocks)
        error: ZerohopError = UnderStoreFailed("a block was not fetched")
        try:
            if wait_s:
                await asyncio.sleep(wait_s)
            if opened:
                # A request already: waiting for a slot it would hold a connection for which those wait that have one.
                await self._fill(run, left, writer, None, opened)
                return
            async with self._slots:
                peer = self.sources.home(run.target.ref, run.first) if ask_peers else None
                await self._fill(run, left, writer, peer, None)
        except ZerohopError as failure:
            error = failure
        except asyncio.CancelledError:
            error = UnderStoreFailed("the worker is shutting down")
            raise
        except OSError as failure:
            error = UnderStoreFailed(f"a block could not be fetched: {failure}")
        finally:
            await writer.abort()
            self._end(left, error)

    async def _fill(
        self,
        run: Run,
        left: list[IncomingBlock],
        writer: BlockWriter,
        peer: str | None,
        opened: OpenedRead | None,
    ) -> None:
        """Takes each block off `left` as it is complete.

        Never asks the origin with a request of its own unread: runs that each hold a connection and want another one
        would wait for each other for ever.
        """
        target, block = run.target, left[0]
        begin = run.first * target.block_size
        stop = min(target.size_bytes, begin + len(left) * target.block_size)
        if 0 < block.tail_start < block.size_bytes:
            if opened is not None and opened.length > block.size_bytes - block.tail_start:
                await self._fill_suffix(run, left, writer, opened)
                return
            await self._fill_from_the_middle(target, block, writer, peer, begin, opened)
            self._arrived(left)
            begin, opened = begin + block.size_bytes, None
            if not (left and run.is_wanted(self._store.now())):
                self._end(left, UnderStoreFailed("nobody wanted it"))
                return
        pieces = self.sources.read(
            target.ref, target.content, target.size_bytes, begin, stop, peer=peer, opened=opened
        )
        async with aclosing(pieces):
            feed = _Feed(pieces)
            if left[0] is block:
                await _fill_block(block, writer, feed)
                self._arrived(left)
            while left and run.is_wanted(self._store.now()):
                await self._fill_next(left[0], feed)
                self._arrived(left)
            self._end(
                left, UnderStoreFailed("nobody wanted it")
            )  # in this turn, so that nobody joins it meanwhile

    async def _fill_suffix(
        self, run: Run, left: list[IncomingBlock], writer: BlockWriter, opened: OpenedRead
    ) -> None:
        """What was asked for by its distance from an end that nobody knew: the blocks behind the first are on their way
        with its tail, and asking for them again after its front would fetch bytes twice.
        """
        target, block = run.target, left[0]
        begin = run.first * target.block_size
        starts_at, stop = begin + block.tail_start, begin + len(left) * target.block_size
        stop = min(target.size_bytes, stop)
        left.append(left.pop(0))  # it is complete last
        pieces = self.sources.read(
            target.ref, target.content, target.size_bytes, starts_at, stop, peer=None, opened=opened
        )
        async with aclosing(pieces):
            feed = _Feed(pieces)
            async for source, data in feed.take(block.size_bytes - block.tail_start):
                block.tail(data, source)
            while len(left) > 1 and run.is_wanted(self._store.now()):
                await self._fill_next(left[0], feed)
                self._arrived(left)
            unwanted = left[:-1]
            del left[:-1]
            self._end(unwanted, UnderStoreFailed("nobody wanted it"))
        await self._fill_to_the_tail(target, block, writer, None, begin)
        self._arrived(left)

    async def _fill_from_the_middle(
        self,
        target: Target,
        block: IncomingBlock,
        writer: BlockWriter,
        peer: str | None,
        begin: int,
        opened: OpenedRead | None,
    ) -> None:
        starts_at, stop = begin + block.tail_start, begin + block.size_bytes
        tail = self.sources.read(
            target.ref, target.content, target.size_bytes, starts_at, stop, peer=peer, opened=opened
        )
        async with aclosing(tail):
            async for source, data in _Feed(tail).take(stop - starts_at):
                block.tail(data, source)
        await self._fill_to_the_tail(target, block, writer, peer, begin)

    async def _fill_to_the_tail(
        self, target: Target, block: IncomingBlock, writer: BlockWriter, peer: str | None, begin: int
    ) -> None:
        front = self.sources.read(
            target.ref, target.content, target.size_bytes, begin, begin + block.tail_start, peer=peer
        )
        async with aclosing(front):
            await _fill_front(block, writer, _Feed(front), block.tail_start)
        await writer.write([block.tail_bytes])
        block.front(block.size_bytes, block.source)
        await writer.finish()

    async def _fill_next(self, block: IncomingBlock, feed: _Feed) -> None:
        writer = self._store.writer(block.block, block.size_bytes, readable=True)
        if writer is None:
            raise OutOfSpace("no tier of the cache has room for the block")
        try:
            await _fill_block(block, writer, feed)
        finally:
            await writer.abort()

    def _arrived(self, left: list[IncomingBlock]) -> None:
        block = left.pop(0)
        del self._blocks[block.block]
        self._store.hits[block.source] += 1
        block.ended(None)

    def _end(self, left: list[IncomingBlock], error: ZerohopError) -> None:
        while left:
            incoming = left.pop()
            del self._blocks[incoming.block]
            incoming.ended(error)

    async def stop(self) -> None:
        """Cancels what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


class _Feed:
    """The pieces of a read, handed out up to the ends of blocks."""

    def __init__(self, pieces: AsyncGenerator[Piece, None]) -> None:
        self._pieces = pieces
        self._rest: Piece = ("", b"")

    async def take(self, size_bytes: int) -> AsyncGenerator[Piece, None]:
        """Exactly the next `size_bytes`."""
        while size_bytes:
            source, data = self._rest if len(self._rest[1]) else await anext(self._pieces)
            self._rest = (source, data[size_bytes:])
            data = data[:size_bytes]
            size_bytes -= len(data)
            yield source, data


class _Staging:
    """Writes the front of a block to its file while the next bytes come: readers have them from memory already."""

    def __init__(self, block: IncomingBlock, writer: BlockWriter) -> None:
        self._block = block
        self._writer = writer
        self._waiting: list[Buffer] = []
        self._waiting_bytes = 0
        self._writing: asyncio.Task[None] | None = None
        block.staged_by(writer)

    async def add(self, data: bytes | memoryview, source: str) -> None:
        """The next bytes. Raises OutOfSpace, also for those before."""
        if self._writing is None and self._writer.in_place(len(data)):
            await self._writer.write([data])
            self._block.front(self._writer.size_bytes, source)
            return
        self._block.came(data, source)
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._writing is None or self._writing.done() or self._waiting_bytes >= _MAX_UNWRITTEN_BYTES:
            await self._written()
            buffers, self._waiting, self._waiting_bytes = self._waiting, [], 0
            self._writing = asyncio.create_task(self._write(buffers))

    async def _write(self, buffers: list[Buffer]) -> None:
        await self._writer.write(buffers)
        self._block.front(self._writer.size_bytes, self._block.source)

    async def _written(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await writing

    async def finish(self) -> None:
        """All of it is in the file."""
        await self._written()
        if self._waiting:
            await self._write(self._waiting)

    async def end(self) -> None:
        """Nothing is being written any more."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait((self._writing,))


async def _fill_front(block: IncomingBlock, writer: BlockWriter, feed: _Feed, size_bytes: int) -> None:
    staging = _Staging(block, writer)
    try:
        async for source, data in feed.take(size_bytes):
            await staging.add(data, source)
        await staging.finish()
    finally:
        await staging.end()


async def _fill_block(block: IncomingBlock, writer: BlockWriter, feed: _Feed) -> None:
    await _fill_front(block, writer, feed, block.size_bytes)
    await writer.finish()

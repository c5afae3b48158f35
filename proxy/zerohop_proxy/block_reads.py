"""Reading blocks by descriptor, whole spans at a time, and ahead of the one that is being sent."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import Executor
from contextlib import aclosing
from typing import Final, NamedTuple, cast

from zerohop.client.cluster import ClusterClient
from zerohop.client.layout import HeldPiece
from zerohop.client.open_block import OpenBlock
from zerohop.client.plan import BlockSpan, block_spans
from zerohop.client.racing import Pieces
from zerohop.client.relay import HowToRead
from zerohop.model import ReadPolicy
from zerohop.rpc.master_api import ObjectResult
from zerohop_proxy.object_pieces import object_pieces

__all__ = ["IN_MEMORY", "OpenSpan", "open_spans", "read_bytes", "read_span", "relay_piped"]

IN_MEMORY: Final = "MEM"
_AHEAD: Final = 2
"""Blocks opened ahead of the one that is read: 8 MiB hide a fetch of some milliseconds from a fast client."""
_READ_BYTES: Final = 256 * 1024

_MAX_RELAYED_BLOCKS: Final = 16
"""Of a mounted object, in one stream: as many as the worker gets from the origin in one request. Behind them it is
looked anew which are cached, and can be had without a relay.
"""


class OpenSpan(NamedTuple):
    """The next bytes of an object: `span` of `block`, or of the content by relay where `block` is None."""

    held: HeldPiece
    span: BlockSpan
    block: OpenBlock | None


async def open_spans(
    cluster: ClusterClient,
    found: ObjectResult,
    start: int,
    stop: int,
    policy: ReadPolicy = ReadPolicy.CACHE,
) -> AsyncGenerator[OpenSpan, None]:
    """Bytes [start, stop) of the object block by block; the blocks after the one in use are opened meanwhile.

    The block is the iterator's: use it before the next step. Close it (`aclosing`) when left early.
    """
    async with aclosing(object_pieces(cluster, found, start, stop)) as held_pieces:
        opening = _Opening(cluster, held_pieces, policy, is_coming=found.fetched)
        try:
            while (opened := await opening.next()) is not None:
                try:
                    yield opened
                finally:
                    if opened.block is not None:
                        opened.block.release()
        finally:
            await opening.close()


_Step = tuple[HeldPiece, BlockSpan]


class _Opening:
    """The blocks of one read, opened ahead of it. Those of a mounted object that are not cached are put together."""

    def __init__(
        self,
        cluster: ClusterClient,
        held_pieces: AsyncGenerator[HeldPiece, None],
        policy: ReadPolicy,
        *,
        is_coming: bool,
    ) -> None:
        """`is_coming`: the first of them are on their way from the origin, so that there is no descriptor to ask for:
        a round trip to a worker that is busy receiving them.
        """
        self._is_coming = is_coming
        self._cluster = cluster
        self._held_pieces = held_pieces
        self._policy = policy
        self._held: HeldPiece | None = None
        self._spans: Iterator[BlockSpan] = iter(())  # of the piece, what was not taken yet
        self._ahead: deque[OpenSpan | asyncio.Task[OpenSpan]] = deque()
        self._ended = False

    async def next(self) -> OpenSpan | None:
        """The next one; its block is the caller's. None at the end."""
        if self._is_coming:
            self._is_coming = False
            if (step := await self._step()) is not None:
                return await self._lengthened(OpenSpan(*step, None))
        while len(self._ahead) <= _AHEAD and (step := await self._step()) is not None:
            self._open(step)
        if not self._ahead:
            return None
        opened = await self._first()
        del self._ahead[0]
        if opened.block is None and opened.held.origin is not None:
            return await self._lengthened(opened)
        return opened

    async def _step(self) -> _Step | None:
        while not self._ended:
            span = next(self._spans, None)
            if span is not None:
                assert self._held is not None
                return self._held, span
            self._held = await anext(self._held_pieces, None)
            self._ended = self._held is None
            if self._held is not None:
                self._spans = block_spans(self._held.piece)
        return None

    def _open(self, step: _Step) -> None:
        """What is at hand, or cannot be opened, needs no task: 3 us a block that were 7."""
        held, span = step
        block = self._cluster.blocks.cached(held.piece.content, span.block)
        if block is not None or self._is_relayed(step):
            self._ahead.append(OpenSpan(held, span, block))
        else:
            self._ahead.append(asyncio.create_task(_open(self._cluster, held, span)))

    def _is_relayed(self, step: _Step) -> bool:
        """Whether no worker is going to pass a descriptor, whatever it has cached."""
        held, span = step
        return self._policy is ReadPolicy.NO_CACHE or not self._cluster.blocks.can_open(
            held.piece.content, span.block, held.holders
        )

    async def _first(self) -> OpenSpan:
        """The first one ahead. It stays there, so that it is let go of when this is cancelled."""
        first = self._ahead[0]
        return first if isinstance(first, OpenSpan) else await first

    async def _lengthened(self, opened: OpenSpan) -> OpenSpan:
        """With the blocks after it that are not cached either: one stream for all spares a pause before each. When
        those which were opened ahead are not, the others are taken for it.
        """
        held, (first, offset, size) = opened[:2]
        stop = (first // _MAX_RELAYED_BLOCKS + 1) * _MAX_RELAYED_BLOCKS
        while self._ahead:
            following = await self._first()
            if following.block is not None or following.held is not held or following.span.block >= stop:
                return OpenSpan(held, BlockSpan(first, offset, size), None)
            del self._ahead[0]
            size += following.span.size
        while (step := await self._step()) is not None:
            if step[0] is not held or step[1].block >= stop:
                self._open(step)
                break
            size += step[1].size
        return OpenSpan(held, BlockSpan(first, offset, size), None)

    async def close(self) -> None:
        """Lets go of what was opened ahead."""
        tasks = [ahead for ahead in self._ahead if isinstance(ahead, asyncio.Task)]
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in (*self._ahead, *outcomes):
            if isinstance(outcome, OpenSpan) and outcome.block is not None:
                outcome.block.release()


async def _open(cluster: ClusterClient, held: HeldPiece, span: BlockSpan) -> OpenSpan:
    piece, holders, _ = held
    last = (piece.offset + piece.size - 1) >> piece.content[15]
    block = await cluster.blocks.open(
        piece.content, piece.length, span.block, count=last - span.block + 1, holders=holders
    )
    return OpenSpan(held, span, block)


def relay(
    cluster: ClusterClient,
    held: HeldPiece,
    span: BlockSpan,
    policy: ReadPolicy = ReadPolicy.CACHE,
    sources: list[str] | None = None,
) -> AsyncGenerator[bytes | memoryview, None]:
    """The bytes of a span as a stream from a worker, which is told what the reader will want after them. `sources`
    gets where the worker takes them from, before the first byte comes.
    """
    pieces = relay_piped(cluster, held, span, policy, [] if sources is None else sources, piped=False)
    return cast("AsyncGenerator[bytes | memoryview, None]", pieces)


def relay_piped(
    cluster: ClusterClient,
    held: HeldPiece,
    span: BlockSpan,
    policy: ReadPolicy,
    sources: list[str],
    *,
    piped: bool = True,
) -> Pieces:
    """As `relay`, for those who can send `PipedBytes` on."""
    piece, holders, origin = held
    first = span.block * (1 << piece.content[15]) + span.offset
    more_bytes = piece.offset + piece.size - first - span.size
    how = HowToRead(origin, policy, more_bytes, sources, piped)
    return cluster.blocks.pieces(piece.content, piece.length, first, span.size, holders=holders, how=how)


async def read_span(
    cluster: ClusterClient,
    opened: OpenSpan,
    disk: Executor,
    policy: ReadPolicy = ReadPolicy.CACHE,
    sources: list[str] | None = None,
) -> bytes:
    """The bytes of one span at once: for small bodies. Raises EOFError for a file shorter than its block."""
    block, span = opened.block, opened.span
    if block is None:
        return b"".join([bytes(data) async for data in relay(cluster, opened.held, span, policy, sources)])
    return await pread(block, span.offset, span.size, disk)


async def pread(block: OpenBlock, offset: int, size_bytes: int, disk: Executor) -> bytes:
    """Bytes of a block. On the loop when they are in memory or in the page cache, else in a thread."""
    data = read_now(block, offset, size_bytes)
    if data is None:
        data = await asyncio.get_running_loop().run_in_executor(disk, os.pread, block.fd, size_bytes, offset)
    if len(data) != size_bytes:
        raise EOFError("a block's file is shorter than the block")
    return data


def read_now(block: OpenBlock, offset: int, size_bytes: int) -> bytes | None:
    """Bytes of a block if that takes no waiting for a disk, else None."""
    if block.source == IN_MEMORY:
        return os.pread(block.fd, size_bytes, offset)
    buffer = bytearray(size_bytes)
    try:
        read = os.preadv(block.fd, [buffer], offset, os.RWF_NOWAIT)
    except OSError:  # not in the page cache (EAGAIN), or a file system that cannot tell (EOPNOTSUPP)
        return None
    return bytes(buffer) if read == size_bytes else None


async def read_bytes(
    cluster: ClusterClient, found: ObjectResult, start: int, stop: int, disk: Executor
) -> AsyncGenerator[bytes | memoryview, None]:
    """Bytes [start, stop) of an object in pieces, for those who need them in hand (copies that move bytes)."""
    if found.record.inline:
        if start < stop:
            yield found.data[start:stop]
        return
    async with aclosing(open_spans(cluster, found, start, stop)) as spans:
        async for opened in spans:
            if opened.block is None:
                async for data in relay(cluster, opened.held, opened.span):
                    yield data
                continue
            offset, end = opened.span.offset, opened.span.offset + opened.span.size
            while offset < end:
                count = min(_READ_BYTES, end - offset)
                yield await pread(opened.block, offset, count, disk)
                offset += count

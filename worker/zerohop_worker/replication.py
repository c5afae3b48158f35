"""Copies of `async_through` contents at other workers, from before the acknowledgement until the under-store has them.

The worker that takes a content from its writer (the first) passes the bytes on while it writes them; each worker of the
chain does the same, and answers when all after it and its own disks have them. The first persists the content and then
releases the copies. A worker that holds a copy persists it itself when the first is lost, or takes too long: so
nothing depends on a message that may get lost, and no content has to be agreed on, since its bytes never change.
What cannot be persisted when a holder is lost is copied to another worker in its place.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace

from zerohop.clock import Clock
from zerohop.errors import (
    BodyTooShort,
    Corrupt,
    InvalidRequest,
    OutOfSpace,
    Overloaded,
    TransportError,
    ZerohopError,
)
from zerohop.model import WritePolicy, block_count
from zerohop.rpc.call import Call
from zerohop.rpc.master_api import Empty
from zerohop.rpc.streams import StreamSink
from zerohop.rpc.worker_api import ReleaseReplicas, ReplicaHeld, ReplicateContent
from zerohop_worker.block_store import BlockStore
from zerohop_worker.checked_stream import CheckedStream, PieceHeads
from zerohop_worker.content_sinks import BlockSink
from zerohop_worker.contents import Contents, Held
from zerohop_worker.files import Buffer
from zerohop_worker.peers import Peers
from zerohop_worker.persisting import Persister
from zerohop_worker.receiving import MAX_WRITES, ByteStream, next_piece

__all__ = ["ReplicaStream", "Replication"]

_log = logging.getLogger(__name__)

_STALL_S = 5.0
"""A worker of the chain that takes or answers nothing for so long is done without: the content goes through."""

_BATCH_S = 0.2
_MAX_BATCH = 1000
_MAX_RELEASES = 100_000
"""Releases that wait for a worker that does not answer. Beyond it they are dropped: the copies' own patience ends."""


class ReplicaStream:
    """A content on its way to the next holder and those after it. `open`, any number of `write`, then `finish`."""

    def __init__(self, peers: Peers, content: bytes, first: str, chain: Sequence[str], expected: int) -> None:
        self._peers = peers
        self._next = chain[0]
        self._request = ReplicateContent(
            content=content, first=first, chain=tuple(chain[1:]), expected_bytes=expected
        )
        self._stack = AsyncExitStack()
        self._sink: StreamSink[ReplicaHeld] | None = None
        self._heads = PieceHeads()

    async def open(self) -> None:
        """Raises transport errors."""
        try:
            client = self._peers.client(self._next)
            opening = client.open_stream_in(self._request, timeout_s=_STALL_S)
            self._sink = await self._stack.enter_async_context(opening)
        except TransportError:
            self._peers.avoid(self._next)
            raise

    async def write(self, buffers: Sequence[Buffer]) -> None:
        """At most `MAX_PIECE_BYTES`. Raises what the next worker raises, and transport errors."""
        assert self._sink is not None
        await self._sink.write(self._heads.head(buffers))
        for buffer in buffers:
            await self._sink.write(buffer)

    async def finish(self) -> tuple[str, ...]:
        """Returns the holders when all have it on disk. Raises as `write`."""
        assert self._sink is not None
        try:
            held = await self._sink.finish()
        finally:
            await self.close()
        return held.holders

    async def close(self) -> None:
        """Cuts the stream, unless it was finished. Idempotent."""
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()


class Replication:
    """Both sides of it. `run` sends what is to be released."""

    def __init__(
        self,
        worker_id: str,
        store: BlockStore,
        contents: Contents,
        persister: Persister,
        peers: Peers,
        clock: Clock,
    ) -> None:
        self._worker_id = worker_id
        self._store = store
        self._contents = contents
        self._persister = persister
        self._peers = peers
        self._clock = clock
        self._releases: dict[tuple[str, bool], list[bytes]] = {}  # by worker, and whether they are void
        self._waiting = asyncio.Event()
        self._lacking: dict[
            bytes, None
        ] = {}  # contents of which a copy may be missing, in the order they came
        # Tells the master who holds a content besides the workers that it knows of.
        self.tell_holders: Callable[[bytes, tuple[str, ...]], Awaitable[None]] = _tell_nobody

    def stream(self, content: bytes, chain: Sequence[str], expected_bytes: int) -> ReplicaStream:
        """To the further holders of a content that this worker is the first of."""
        return ReplicaStream(self._peers, content, self._worker_id, chain, expected_bytes)

    # --------------------------------------------------------------------------------------- holding a copy

    async def replicate_content(self, request: ReplicateContent, stream: ByteStream) -> ReplicaHeld:
        """See `ReplicateContent`."""
        content = request.content
        if content in self._contents.writing or content in self._contents.held:
            raise InvalidRequest(f"content {content.hex()} is here already")
        if len(self._contents.writing) >= MAX_WRITES:
            raise Overloaded(f"the worker takes {MAX_WRITES} contents at a time")
        if not self._persister.may_hold(WritePolicy.ASYNC_THROUGH, request.expected_bytes):
            raise OutOfSpace("this worker holds as much as it may that is not persisted")
        self._contents.writing.add(content)
        blocks = BlockSink(self._store, content, request.expected_bytes, durable=True, unpersisted=True)
        onward = None
        if request.chain:
            onward = ReplicaStream(self._peers, content, request.first, request.chain, request.expected_bytes)
        try:
            return await self._take(request, stream, blocks, onward)
        except BaseException:
            await self._persister.forget(content)
            await blocks.abort()
            raise
        finally:
            if onward is not None:
                await onward.close()
            self._contents.writing.discard(content)

    async def _take(
        self, request: ReplicateContent, stream: ByteStream, blocks: BlockSink, onward: ReplicaStream | None
    ) -> ReplicaHeld:
        if onward is not None:
            await onward.open()
        checked = CheckedStream(stream)
        while piece := await self._verified(checked):
            if onward is not None:
                await onward.write(piece)
            await blocks.write(piece)
        length = blocks.written_bytes
        if request.expected_bytes not in (-1, length):
            raise BodyTooShort(f"{length} bytes came, {request.expected_bytes} were announced")
        await blocks.finish()
        further = () if onward is None else await onward.finish()
        held = Held(length, self._clock.now_s(), owed=True, first=request.first)
        await self._persister.hold(request.content, held)
        return ReplicaHeld(holders=(self._worker_id, *further))

    async def _verified(self, stream: CheckedStream) -> list[memoryview]:
        try:
            return await next_piece(stream)
        except Corrupt as error:
            self._peers.corrupt_streams += 1
            _log.warning("a copy is refused: %s", error)
            raise

    async def release_replicas(self, request: ReleaseReplicas, _call: Call) -> Empty:
        """See `ReleaseReplicas`."""
        for content in request.contents[: 10 * _MAX_BATCH]:
            if content not in self._contents.held:
                continue
            await self._persister.forget(content)
            if request.void:
                self._store.index.drop_content(content)
                self._store.settle()
            else:
                self._store.index.persisted(content)
        return Empty()

    # --------------------------------------------------------------------------------------- releasing copies

    def release(self, content: bytes, holders: Sequence[str], *, void: bool = False) -> None:
        """The copies at these workers will be released soon."""
        for worker_id in holders:
            waiting = self._releases.setdefault((worker_id, void), [])
            if len(waiting) < _MAX_RELEASES:
                waiting.append(content)
        self._waiting.set()

    async def run(self) -> None:
        """Sends releases and copies, for ever. What a worker does not take is not sent again."""
        while True:
            await self._waiting.wait()
            await asyncio.sleep(_BATCH_S)
            self._waiting.clear()
            releases, self._releases = self._releases, {}
            for (worker_id, void), contents in releases.items():
                await self._send(worker_id, contents, void=void)
            while self._lacking:
                content = next(iter(self._lacking))
                del self._lacking[content]
                await self._replenish(content)

    async def _send(self, worker_id: str, contents: list[bytes], *, void: bool) -> None:
        try:
            for first in range(0, len(contents), _MAX_BATCH):
                batch = tuple(contents[first : first + _MAX_BATCH])
                request = ReleaseReplicas(contents=batch, void=void)
                await self._peers.client(worker_id).call(request, timeout_s=_STALL_S)
        except ZerohopError as error:
            _log.info(
                "worker %s is not told to release %d copies: %s", worker_id, len(contents), error.message
            )

    # --------------------------------------------------------------------------------------- replacing copies

    def delayed(self, content: bytes) -> None:
        """The content is not persisted yet: if one of its holders is lost, another worker gets a copy soon."""
        held = self._contents.held.get(content)
        if held is not None and self._peers.successors(content, held.others):
            self._lacking[content] = None
            self._waiting.set()

    async def _replenish(self, content: bytes) -> None:
        held = self._contents.held.get(content)
        chain = () if held is None else self._peers.successors(content, held.others)
        if held is None or not chain:
            return
        try:
            holders = await self._copy(content, held.length, chain)
            if self._contents.held.get(content) is None:  # persisted meanwhile
                self.release(content, holders)
                return
            self._contents.held[content] = replace(held, others=(*held.others, *holders))
            await self.tell_holders(content, holders)
        except ZerohopError as error:
            _log.warning("content %s lacks a copy: %s", content.hex(), error.message)

    async def _copy(self, content: bytes, length: int, chain: Sequence[str]) -> tuple[str, ...]:
        stream = self.stream(content, chain, length)
        try:
            await stream.open()
            for index in range(block_count(content, length)):
                async with aclosing(self._store.block_bytes((content, index))) as pieces:
                    async for data in pieces:
                        await stream.write([data])
            return await stream.finish()
        finally:
            await stream.close()


async def _tell_nobody(_content: bytes, _holders: tuple[str, ...]) -> None:
    """Before the worker has a master."""

"""Writing a content: its bytes arrive on a stream, go where the policy says, and are acknowledged when they are there.

One piece is being written while the next one is received: memory is bounded by two pieces and the connection's own
buffer, whatever the length, and a slow disk slows the sender down.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any

from zerohop.clock import Clock
from zerohop.errors import (
    BodyTooShort,
    InvalidRequest,
    OutOfSpace,
    Overloaded,
    SessionFenced,
    UnderStoreFailed,
    ZerohopError,
)
from zerohop.model import WritePolicy
from zerohop.rpc.worker_api import ContentWritten, WriteContent
from zerohop_worker.block_store import BlockStore
from zerohop_worker.content_sinks import BlockSink, split
from zerohop_worker.contents import Contents, Held
from zerohop_worker.files import Buffer
from zerohop_worker.peers import Peers
from zerohop_worker.persisting import Persister
from zerohop_worker.receiving import MAX_WRITES, PIECE_BYTES, ByteStream, next_piece
from zerohop_worker.replication import ReplicaStream, Replication
from zerohop_worker.understore.interface import StagedContent, UnderStore

__all__ = ["Writing"]

_log = logging.getLogger(__name__)


class Writing:
    """Carries out `WriteContent`. Any number of writes run side by side."""

    def __init__(
        self,
        worker_id: str,
        store: BlockStore,
        under_store: UnderStore,
        contents: Contents,
        persister: Persister,
        peers: Peers,
        replication: Replication,
        clock: Clock,
    ) -> None:
        self.worker_id = worker_id
        self.store = store
        self.under_store = under_store
        self.contents = contents
        self.persister = persister
        self.peers = peers
        self.replication = replication
        self.clock = clock

    async def write_content(self, request: WriteContent, stream: ByteStream) -> ContentWritten:
        """See `WriteContent`."""
        if len(self.contents.writing) >= MAX_WRITES:
            raise Overloaded(f"the worker takes {MAX_WRITES} contents at a time")
        content = self.contents.begin()
        try:
            return await self._write(_Write(self, content, request), stream)
        finally:
            self.contents.writing.discard(content)

    async def _write(self, write: _Write, stream: ByteStream) -> ContentWritten:
        try:
            await write.receive(stream)
            return await write.finish()
        except BaseException:
            await _to_the_end(write.abort())
            raise


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Cleaning up is not cut short by a second cancellation."""
    task = asyncio.create_task(work)
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            continue
    task.result()


class _Write:
    """One content on its way."""

    def __init__(self, parts: Writing, content: bytes, request: WriteContent) -> None:
        self._parts = parts
        self._content = content
        self._policy = request.policy
        self._expected_bytes = request.expected_bytes
        self._length = 0
        self._held = False  # the persister may know it
        self._committing = False  # the under-store may have it
        self._tail: Sequence[Buffer] = ()  # the last piece, when it is left to the commit
        if self._only_cached and not parts.persister.may_hold(self._policy, self._expected_bytes):
            self._policy = WritePolicy.THROUGH
        self._others: tuple[str, ...] = ()  # workers that hold copies, or may by now
        self._replicas: ReplicaStream | None = None
        if self._policy is WritePolicy.ASYNC_THROUGH:
            self._choose_holders()
        self._blocks = self._new_blocks()
        self._staged: StagedContent | None = None
        if not self._only_cached:
            self._staged = parts.under_store.stage(content)

    def _choose_holders(self) -> None:
        chain = self._parts.peers.further_holders(self._content)
        if chain is None:
            _log.info("content %s goes through: too few workers would hold it", self._content.hex())
            self._policy = WritePolicy.THROUGH
        elif chain:
            self._others = chain
            self._replicas = self._parts.replication.stream(self._content, chain, self._expected_bytes)

    @property
    def _only_cached(self) -> bool:
        return self._policy in (WritePolicy.ASYNC_THROUGH, WritePolicy.MUST_CACHE)

    def _new_blocks(self) -> BlockSink | None:
        if self._policy is WritePolicy.THROUGH:
            return None
        durable = self._policy is WritePolicy.ASYNC_THROUGH
        return BlockSink(
            self._parts.store,
            self._content,
            self._expected_bytes,
            durable=durable,
            unpersisted=self._only_cached,
        )

    async def receive(self, stream: ByteStream) -> None:
        """Takes the stream to its end."""
        writing: asyncio.Task[None] | None = None
        if self._replicas is not None:
            await self._replicated(self._replicas.open())
        try:
            while piece := await self._next_piece(stream):
                if writing is not None:
                    await writing
                last = sum(len(chunk) for chunk in piece) < PIECE_BYTES
                writing = asyncio.create_task(self._write(piece, last=last))
            if writing is not None:
                await writing
        finally:
            if writing is not None and not writing.done():
                await _to_the_end(_outcome_ignored(writing))
        if self._expected_bytes >= 0 and self._length != self._expected_bytes:
            raise BodyTooShort(f"the body has {self._length} bytes, {self._expected_bytes} were announced")

    async def _next_piece(self, stream: ByteStream) -> list[memoryview]:
        piece = await next_piece(stream)
        self._length += sum(len(chunk) for chunk in piece)
        if 0 <= self._expected_bytes < self._length:
            raise InvalidRequest(
                f"the body is longer than the {self._expected_bytes} bytes that were announced"
            )
        return piece

    async def _replicated(self, step: Awaitable[object]) -> None:
        """One step of the replication; when it fails, the under-store takes the place of the other holders."""
        try:
            await step
        except ZerohopError as error:
            _log.info("content %s goes through: %s", self._content.hex(), error)
            await self._leave_replicas()
            assert self._blocks is not None
            await self._go_through(self._blocks)

    async def _leave_replicas(self) -> None:
        if self._replicas is not None:
            replicas, self._replicas = self._replicas, None
            await replicas.close()

    async def _write(self, piece: Sequence[Buffer], *, last: bool) -> None:
        if self._replicas is not None:
            await self._replicated(self._replicas.write(piece))
        if self._staged is None:
            await self._write_blocks(piece)
        elif last:
            self._tail = piece
            if self._blocks is not None:
                await self._write_blocks(piece)
        elif self._blocks is None:
            await self._staged.write(piece)
        else:
            # Both take the same buffers; a failure of either is raised only when neither uses them any more.
            storing = asyncio.create_task(self._staged.write(piece))
            try:
                await self._write_blocks(piece)
                await storing
            except BaseException:
                await _to_the_end(_outcome_ignored(storing))
                raise

    async def _write_blocks(self, piece: Sequence[Buffer]) -> None:
        blocks = self._blocks
        assert blocks is not None
        before = blocks.written_bytes
        try:
            await blocks.write(piece)
        except OutOfSpace as error:
            if self._only_cached:
                _log.info("content %s goes through: the cache is full", self._content.hex())
                await self._go_through(blocks)
                assert self._staged is not None
                await self._staged.write(split(piece, blocks.written_bytes - before)[1])
            else:
                _log.info("content %s is not cached: %s", self._content.hex(), error)
            self._blocks = None
            await blocks.abort()

    async def _go_through(self, blocks: BlockSink) -> None:
        """The content cannot be held: what the cache has of it goes to the under-store, and so will the rest."""
        await self._leave_replicas()
        self._staged = self._parts.under_store.stage(self._content)
        self._policy = WritePolicy.THROUGH
        async with aclosing(blocks.written()) as pieces:
            async for data in pieces:
                await self._staged.write([data])

    async def finish(self) -> ContentWritten:
        """Completes the content where it belongs."""
        parts = self._parts
        await self._finish_blocks()
        self._check_session()
        if self._replicas is not None:
            await self._replicated(self._replicas.finish())
        if self._staged is None:
            await self._hold()
        if self._staged is not None:
            self._committing = True
            await self._staged.commit(self._tail, cached=self._blocks is not None)
        self._check_session()
        if self._staged is not None:
            parts.store.index.persisted(self._content)
            parts.replication.release(self._content, self._others)
        return ContentWritten(
            content=self._content,
            length=self._length,
            worker_id=parts.worker_id,
            session=parts.contents.session,
            persisted=self._staged is not None,
            policy=self._policy,
            holders=(parts.worker_id, *self._others) if self._staged is None else (),
        )

    async def _finish_blocks(self) -> None:
        blocks = self._blocks
        if blocks is None:
            return
        try:
            await blocks.finish()
        except OutOfSpace:
            if self._only_cached:
                await self._go_through(blocks)
            self._blocks = None
            await blocks.abort()

    async def _hold(self) -> None:
        """Answers for the content from now on; if that cannot be noted on disk, it goes through after all."""
        assert self._blocks is not None
        held = Held(
            self._length,
            self._parts.clock.now_s(),
            owed=self._policy is WritePolicy.ASYNC_THROUGH,
            others=self._others,
        )
        self._held = True
        try:
            await self._parts.persister.hold(self._content, held)
        except OutOfSpace:
            await self._go_through(self._blocks)

    def _check_session(self) -> None:
        if self._content[:8] != self._parts.contents.session:
            raise SessionFenced("the worker has registered anew while the content was written")

    async def abort(self) -> None:
        """Leaves nothing."""
        await self._leave_replicas()
        self._parts.replication.release(self._content, self._others, void=True)
        if self._held:
            await self._parts.persister.forget(self._content)
        if self._blocks is not None:
            await self._blocks.abort()
        if self._staged is not None:
            await self._staged.abort()
        if self._committing:
            try:
                await self._parts.under_store.delete(self._content)
            except UnderStoreFailed as error:
                _log.warning("content %s is left to the sweep: %s", self._content.hex(), error)


async def _outcome_ignored(task: asyncio.Task[None]) -> None:
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()

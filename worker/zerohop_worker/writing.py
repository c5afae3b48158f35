"""Writing a content: its bytes arrive on a stream, go where the policy says, and are acknowledged when they are there.

One piece is being written while the next one is received: memory is bounded by two pieces and the connection's own
buffer, whatever the length, and a slow disk slows the sender down.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from zerohop.clock import Clock
from zerohop.errors import (
    BodyTooShort,
    InvalidRequest,
    OutOfSpace,
    Overloaded,
    SessionFenced,
    UnderStoreFailed,
)
from zerohop.model import WritePolicy
from zerohop.rpc.worker_api import ContentWritten, WriteContent
from zerohop_worker.block_store import BlockStore
from zerohop_worker.content_sinks import BlockSink, split
from zerohop_worker.contents import Contents, Held
from zerohop_worker.files import Buffer
from zerohop_worker.persisting import Persister
from zerohop_worker.understore.interface import StagedContent, UnderStore

__all__ = ["ByteStream", "Writing"]

_log = logging.getLogger(__name__)

_PIECE_BYTES = 512 << 10
"""Written by one call in a thread: large enough to make the hop cheap, small enough to overlap."""

_MAX_WRITES = 512
"""At a time: bounds memory to about a GiB in the worst case, two pieces and a socket's buffer each."""


class ByteStream(Protocol):
    """The receiving end of a stream: empty at its end."""

    async def read(self, max_bytes: int = ...) -> memoryview: ...


class Writing:
    """Carries out `WriteContent`. Any number of writes run side by side."""

    def __init__(
        self,
        worker_id: str,
        store: BlockStore,
        under_store: UnderStore,
        contents: Contents,
        persister: Persister,
        clock: Clock,
    ) -> None:
        self.worker_id = worker_id
        self.store = store
        self.under_store = under_store
        self.contents = contents
        self.persister = persister
        self.clock = clock

    async def write_content(self, request: WriteContent, stream: ByteStream) -> ContentWritten:
        """See `WriteContent`."""
        if len(self.contents.writing) >= _MAX_WRITES:
            raise Overloaded(f"the worker takes {_MAX_WRITES} contents at a time")
        content = self.contents.begin()
        write = _Write(self, content, request)
        try:
            await write.receive(stream)
            return await write.finish()
        except BaseException:
            await _to_the_end(write.abort())
            raise
        finally:
            self.contents.writing.discard(content)


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
        self._blocks = self._new_blocks()
        self._staged: StagedContent | None = None
        if not self._only_cached:
            self._staged = parts.under_store.stage(content)

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
        try:
            while piece := await self._next_piece(stream):
                if writing is not None:
                    await writing
                last = sum(len(chunk) for chunk in piece) < _PIECE_BYTES
                writing = asyncio.create_task(self._write(piece, last=last))
            if writing is not None:
                await writing
        finally:
            if writing is not None and not writing.done():
                await _to_the_end(_outcome_ignored(writing))
        if self._expected_bytes >= 0 and self._length != self._expected_bytes:
            raise BodyTooShort(f"the body has {self._length} bytes, {self._expected_bytes} were announced")

    async def _next_piece(self, stream: ByteStream) -> list[memoryview]:
        piece: list[memoryview] = []
        size_bytes = 0
        while size_bytes < _PIECE_BYTES and (chunk := await stream.read(_PIECE_BYTES - size_bytes)):
            piece.append(chunk)
            size_bytes += len(chunk)
        self._length += size_bytes
        if 0 <= self._expected_bytes < self._length:
            raise InvalidRequest(
                f"the body is longer than the {self._expected_bytes} bytes that were announced"
            )
        return piece

    async def _write(self, piece: Sequence[Buffer], *, last: bool) -> None:
        if self._staged is None:
            await self._write_blocks(piece)
        elif last:
            self._tail = piece
            if self._blocks is not None:
                await self._write_blocks(piece)
        elif self._blocks is None:
            await self._staged.write(piece)
        else:
            # Both take the same buffers; a failure of the store is raised only when neither uses them any more.
            outcomes = await asyncio.gather(
                self._write_blocks(piece), self._staged.write(piece), return_exceptions=True
            )
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise outcome

    async def _write_blocks(self, piece: Sequence[Buffer]) -> None:
        blocks = self._blocks
        assert blocks is not None
        before = blocks.written_bytes
        try:
            await blocks.write(piece)
        except OutOfSpace as error:
            if self._only_cached:
                await self._go_through(blocks)
                assert self._staged is not None
                await self._staged.write(split(piece, blocks.written_bytes - before)[1])
            else:
                _log.info("content %s is not cached: %s", self._content.hex(), error)
            self._blocks = None
            await blocks.abort()

    async def _go_through(self, blocks: BlockSink) -> None:
        """The cache is full half-way: what it has goes to the under-store, and so will the rest."""
        _log.info("content %s goes through: the cache is full", self._content.hex())
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
        if self._staged is None:
            await self._hold()
        if self._staged is not None:
            self._committing = True
            await self._staged.commit(self._tail)
        self._check_session()
        if self._staged is not None:
            parts.store.index.persisted(self._content)
        return ContentWritten(
            content=self._content,
            length=self._length,
            worker_id=parts.worker_id,
            session=parts.contents.session,
            persisted=self._staged is not None,
            policy=self._policy,
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
        held = Held(self._length, self._parts.clock.now_s(), owed=self._policy is WritePolicy.ASYNC_THROUGH)
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

"""Writing contents: one stream to one worker."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import Protocol

from zerohop.client.liveness import while_it_answers
from zerohop.client.worker_links import WorkerLinks
from zerohop.errors import (
    DeadlineExceeded,
    NoWorker,
    Overloaded,
    PeerUnavailable,
    SessionFenced,
    TransportError,
    ZerohopError,
)
from zerohop.model import WorkerInfo, WritePolicy
from zerohop.rpc.client import RpcClient
from zerohop.rpc.master_api import NewContent
from zerohop.rpc.streams import StreamSink
from zerohop.rpc.worker_api import ContentWritten, DiscardContents, WriteContent

__all__ = ["REPEAT_BYTES", "ContentSink", "ContentWriters", "new_content"]

_STALL_S = 60.0
"""A worker that takes no byte for so long, or does not confirm the end, has failed. One that hangs is found out sooner:
it answers no other question either (`while_it_answers`). Or the master has given it up: its connections are closed."""

REPEAT_BYTES = 1 << 20
"""A content up to this size is kept until it is confirmed, to be written again elsewhere. No more than the buffers
of the sockets on its way hold anyhow; the client of a larger one sends it again."""

_FAILED = (TransportError, SessionFenced, NoWorker)
"""The worker, not the content: another one may take it. An unknown outcome is no obstacle, as no commit names it."""


class ContentSink(Protocol):
    """A content on its way to one worker."""

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends bytes; returns when the socket's buffer has room again. Read-only buffers are not copied and must stay
        as they are; a writable one may be used again. Raises OutOfSpace, UnderStoreFailed, transport errors.
        """

    async def finish(self) -> ContentWritten:
        """Ends the content and waits until it is held as the policy asks. Raises as `write`."""


def new_content(written: ContentWritten) -> NewContent:
    """What the commit says of a content that was just written."""
    holders = () if written.persisted else written.holders or (written.worker_id,)
    return NewContent(
        content=written.content,
        length=written.length,
        worker_id=written.worker_id,
        persisted=written.persisted,
        holders=holders,
    )


class ContentWriters:
    """Opens contents for writing on a worker: the one of this host, else one by rendezvous of a random token."""

    def __init__(self, workers: WorkerLinks) -> None:
        self._workers = workers

    def open(self, policy: WritePolicy, expected_bytes: int = -1) -> AbstractAsyncContextManager[ContentSink]:
        """A sink for one content of `expected_bytes` (-1: not known). Leaving the context without `finish` aborts the
        stream, and nothing of it stays.

        The next worker takes over when one cannot be reached, and also when one fails half-way, as long as all that
        was written is still at hand (`REPEAT_BYTES`); what it had got was never named by a commit, and is swept. After
        that a failure is the caller's, who alone can send the body again: NoWorker or PeerUnavailable, both retryable.
        """
        return self._open(WriteContent(policy=policy, expected_bytes=expected_bytes))

    @asynccontextmanager
    async def _open(self, request: WriteContent) -> AsyncIterator[ContentSink]:
        token = os.urandom(8)
        workers = await self._workers.fresh(lambda: self._workers.for_write(token))
        sink = _RepeatingSink(self._workers, request, workers)
        try:
            await sink.start()
            yield sink
        finally:
            await sink.close()

    async def discard(self, *written: ContentWritten) -> None:
        """Tells workers that these contents will not be committed. For those whose commit was never sent, or was
        refused for certain. Best effort: what is not heard is left to the sweep.
        """
        for content in written:
            with suppress(ZerohopError):
                client = self._workers.client(content.worker_id)
                await client.call(DiscardContents(contents=(content.content,)), timeout_s=2.0)


class _RepeatingSink:
    """A content that moves to the next worker when one fails.

    Invariant: `_written` holds everything that was written, or is None once that was more than `REPEAT_BYTES`.
    """

    def __init__(self, workers: WorkerLinks, request: WriteContent, candidates: list[WorkerInfo]) -> None:
        self._workers = workers
        self._request = request
        self._candidates = iter(candidates)
        self._stack = AsyncExitStack()
        self._stream: StreamSink[ContentWritten] | None = None
        self._client: RpcClient  # of the worker that takes the stream
        self._worker_id = ""
        self._written: list[bytes | bytearray | memoryview] | None = []
        self._written_bytes = 0
        self._refusals: list[str] = []

    async def start(self) -> None:
        """Opens the stream at the next worker that takes it. Raises NoWorker when none is left."""
        for worker in self._candidates:
            try:
                client = self._workers.client(worker.worker_id)
                opening = client.open_stream_in(self._request, timeout_s=_STALL_S)
                self._stream = await self._stack.enter_async_context(opening)
            except (PeerUnavailable, DeadlineExceeded, Overloaded) as error:
                self._refused(worker.worker_id, error)
                continue
            self._worker_id, self._client = worker.worker_id, client
            return
        raise NoWorker("no worker takes the content: " + "; ".join(self._refusals))

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """See `ContentSink`."""
        self._keep(data)
        assert self._stream is not None
        try:
            async with while_it_answers(self._client):
                await self._stream.write(data)
        except _FAILED as error:
            await self._repeat(error)

    async def finish(self) -> ContentWritten:
        """See `ContentSink`."""
        while True:
            assert self._stream is not None
            try:
                async with while_it_answers(self._client):
                    return await self._stream.finish()
            except _FAILED as error:
                await self._repeat(error)

    def _keep(self, data: bytes | bytearray | memoryview) -> None:
        self._written_bytes += len(data)
        if self._written is None or self._written_bytes > REPEAT_BYTES:
            self._written = None
        else:
            self._written.append(data if memoryview(data).readonly else bytes(data))

    async def _repeat(self, error: ZerohopError) -> None:
        """Sends what was written to the next worker. Ends: each turn uses up a candidate."""
        failure: ZerohopError | None = error
        while failure is not None:
            self._refused(self._worker_id, failure)
            await self.close()
            if self._written is None:
                raise PeerUnavailable(f"a worker failed while it took a content: {error.message}") from error
            await self.start()
            assert self._stream is not None
            failure = None
            try:
                async with while_it_answers(self._client):
                    for data in self._written:
                        await self._stream.write(data)
            except _FAILED as again:
                failure = again

    def _refused(self, worker_id: str, error: ZerohopError) -> None:
        self._refusals.append(f"{worker_id}: {error.message}")
        if isinstance(error, TransportError) and not isinstance(error, Overloaded):
            self._workers.avoid(worker_id)

    async def close(self) -> None:
        """Cuts the stream, unless it has ended."""
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()

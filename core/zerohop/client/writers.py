"""Writing contents: one stream to one worker."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import Protocol

from zerohop.client.worker_links import WorkerLinks
from zerohop.errors import DeadlineExceeded, NoWorker, Overloaded, PeerUnavailable, ZerohopError
from zerohop.model import WorkerInfo, WritePolicy
from zerohop.rpc.master_api import NewContent
from zerohop.rpc.worker_api import ContentWritten, DiscardContents, WriteContent

__all__ = ["ContentSink", "ContentWriters", "new_content"]

_STALL_S = 60.0
"""A worker that takes no byte for so long, or does not confirm the end, has failed."""


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
    holders = () if written.persisted else (written.worker_id,)
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

        The next worker is tried while none can be connected to; once a byte is under way a failure is the caller's,
        who alone can send the body again. Raises NoWorker when no worker can be reached.
        """
        return self._open(WriteContent(policy=policy, expected_bytes=expected_bytes))

    @asynccontextmanager
    async def _open(self, request: WriteContent) -> AsyncIterator[ContentSink]:
        token = os.urandom(8)
        workers = await self._workers.fresh(lambda: self._workers.for_write(token))
        async with AsyncExitStack() as stack:
            yield await self._first_open(stack, request, workers)

    async def _first_open(
        self, stack: AsyncExitStack, request: WriteContent, workers: list[WorkerInfo]
    ) -> ContentSink:
        refusals: list[str] = []
        for worker in workers:
            try:
                client = self._workers.client(worker.worker_id)
                return await stack.enter_async_context(client.open_stream_in(request, timeout_s=_STALL_S))
            except (PeerUnavailable, DeadlineExceeded, Overloaded) as error:
                refusals.append(f"{worker.worker_id}: {error.message}")
                if not isinstance(error, Overloaded):
                    self._workers.avoid(worker.worker_id)
        raise NoWorker("no worker takes the content: " + "; ".join(refusals))

    async def discard(self, *written: ContentWritten) -> None:
        """Tells workers that these contents will not be committed. For those whose commit was never sent, or was
        refused for certain. Best effort: what is not heard is left to the sweep.
        """
        for content in written:
            with suppress(ZerohopError):
                client = self._workers.client(content.worker_id)
                await client.call(DiscardContents(contents=(content.content,)), timeout_s=2.0)

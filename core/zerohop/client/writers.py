"""Writing contents: one stream to one worker."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from zerohop.model import WritePolicy
from zerohop.rpc.worker_api import ContentWritten

__all__ = ["ContentSink", "ContentWriters"]


class ContentSink(Protocol):
    """A content on its way to one worker."""

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends bytes; returns when the socket's buffer has room again. Raises OutOfSpace, UnderStoreFailed, transport errors."""

    async def finish(self) -> ContentWritten:
        """Ends the content and waits until it is held as the policy asks. Raises as `write`."""


class ContentWriters:
    """Opens contents for writing on a worker: the one of this host, else one by rendezvous of a random token."""

    def open(self, policy: WritePolicy, expected_bytes: int = -1) -> AbstractAsyncContextManager[ContentSink]:
        """A sink for one content of `expected_bytes` (-1: not known). Leaving the context without `finish` aborts the
        stream, and nothing of it stays. Raises NoWorker when no worker can be reached."""
        raise NotImplementedError

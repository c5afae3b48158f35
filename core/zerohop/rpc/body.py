"""The receiving end of a stream of bulk bytes: a bounded buffer between a connection and a reader."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from zerohop.errors import DeadlineExceeded, OutcomeUnknown, ProtocolViolation, ZerohopError

__all__ = ["HIGH_WATER_BYTES", "LOW_WATER_BYTES", "BodyReader", "StreamEnd"]

HIGH_WATER_BYTES = 1 << 20
"""Received and not read: beyond it the connection is not read any more. Two turns of a socket at full speed."""

LOW_WATER_BYTES = 256 << 10
"""Below it reading goes on."""


class StreamEnd:
    """How a stream ends, for the one task that reads it: well with `end(total)`, where the total is what came, or with
    the error that cut it. Called from the loop.
    """

    def __init__(self) -> None:
        self.ended = False
        self.received_bytes = 0
        self._error: ZerohopError | None = None
        self._waiter: asyncio.Future[None] | None = None  # the reader's

    def end(self, total_bytes: int) -> None:
        """The sender says that it is complete."""
        if total_bytes != self.received_bytes:
            raise ProtocolViolation(f"a stream of {total_bytes} bytes ended after {self.received_bytes}")
        self.ended = True
        self._wake()

    def fail(self, error: ZerohopError) -> None:
        """No more will come. The first error stands; after a good end there is none."""
        if not self.ended and self._error is None:
            self._error = error
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class BodyReader(StreamEnd):
    """Bytes of one stream, in the order in which they came. One task reads.

    The stream ends well only with `end(total)` where the total is what came; anything else raises at the reader,
    after the bytes that did come. Chunks are given as they were received, without copying.
    """

    def __init__(
        self, progress_timeout_s: float, pause: Callable[[], None], resume: Callable[[], None]
    ) -> None:
        super().__init__()
        self._chunks: deque[memoryview] = deque()
        self._size_bytes = 0  # of what _chunks holds
        self._paused = False
        self._pause, self._resume = pause, resume
        self._progress_timeout_s = progress_timeout_s

    # The connection's side. All plain functions, called from the loop.

    def feed(self, chunk: memoryview) -> None:
        """Adds received bytes."""
        if self.ended or self._error is not None:
            raise ProtocolViolation("bytes after the end of a stream")
        self._chunks.append(chunk)
        self._size_bytes += len(chunk)
        self.received_bytes += len(chunk)
        if self._size_bytes > HIGH_WATER_BYTES:  # said again each time: the writing side may have resumed it
            self._paused = True
            self._pause()
        self._wake()

    @property
    def finished(self) -> bool:
        """Whether it came to its end and everything has been read."""
        return self.ended and not self._chunks

    # The reader's side.

    async def read(self, max_bytes: int = HIGH_WATER_BYTES) -> memoryview:
        """The next bytes, at most `max_bytes` of them; empty at the end.

        Raises `DeadlineExceeded` when nothing comes for the stream's time-out, and what cut the stream.
        """
        if not self._chunks and not await self._more():
            return memoryview(b"")
        chunk = self._chunks.popleft()
        if len(chunk) > max_bytes:
            self._chunks.appendleft(chunk[max_bytes:])
            chunk = chunk[:max_bytes]
        self._size_bytes -= len(chunk)
        if self._paused and self._size_bytes <= LOW_WATER_BYTES:
            self._paused = False
            self._resume()
        return chunk

    async def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fills `buffer` as far as the stream goes; returns the number of bytes, short only at the end."""
        view = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(view):
            chunk = await self.read(len(view) - filled)
            if not chunk:
                break
            view[filled : filled + len(chunk)] = chunk
            filled += len(chunk)
        return filled

    async def __aiter__(self) -> AsyncIterator[memoryview]:
        while chunk := await self.read():
            yield chunk

    async def _more(self) -> bool:
        """Waits until there are bytes (True) or the end (False)."""
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self.ended:
                return False
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(self._progress_timeout_s):
                    await self._waiter
            except TimeoutError:
                raise DeadlineExceeded(
                    f"no byte of the stream came for {self._progress_timeout_s:g} s"
                ) from None
            finally:
                self._waiter = None
        return True


def cut_stream() -> OutcomeUnknown:
    """The connection was lost in the middle of a stream."""
    return OutcomeUnknown("the connection was lost in the middle of a stream", reason="connection lost")

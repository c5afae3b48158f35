"""The receiving end of a stream whose bytes do not come into memory: they go from its socket into a pipe.

The channel reads frames' headers and no byte more (`FrameDecoder.wanted_bytes`), stops reading where the payload of a
DATA frame begins, and says how long it is. So on the wire nothing is special about such a stream.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

from zerohop.errors import DeadlineExceeded, Internal, ProtocolViolation
from zerohop.rpc.body import StreamEnd, cut_stream
from zerohop.rpc.splicing import Pipe, PipedBytes

__all__ = ["PipedBody"]

_NOTHING: Final = memoryview(b"")


class PipedBody(StreamEnd):
    """Bytes of one stream, in the order in which they came. One task reads. `close` it.

    It ends as `BodyReader` does. Holds at most one pipe of bytes; what has not been asked for stays in the socket.
    """

    def __init__(self, progress_timeout_s: float, socket_fd: int, resume: Callable[[], None]) -> None:
        """`resume` lets the connection read on, after the bytes that were announced."""
        super().__init__()
        self._fd = os.dup(socket_fd)  # the loop watches the connection's own descriptor itself
        try:
            self._pipe = Pipe()
        except OSError:
            os.close(self._fd)
            raise
        self._resume = resume
        self._progress_timeout_s = progress_timeout_s
        self._announced_bytes = (
            0  # of a DATA frame, not taken yet; while there are any the connection reads nothing
        )
        self._closed = False

    # The connection's side. All plain functions, called from the loop.

    def announce(self, size_bytes: int) -> None:
        """So many bytes of the stream stand in the socket, or will."""
        if self.ended or self._error is not None:
            raise ProtocolViolation("bytes after the end of a stream")
        self._announced_bytes = size_bytes
        self._wake()

    @property
    def finished(self) -> bool:
        """Whether it came to its end and everything has been taken."""
        return self.ended and not self._pipe.held_bytes

    # The reader's side.

    async def read(self, max_bytes: int) -> PipedBytes | memoryview:
        """The next bytes, at most `max_bytes` of them; empty at the end. Raises as `BodyReader.read`."""
        if self._pipe.held_bytes:
            raise Internal("the bytes before have not been taken")
        while not self.ended or self._announced_bytes:
            if self._error is not None:
                raise self._error
            if not self._announced_bytes:
                await self._more()
                continue
            try:
                count = self._pipe.fill(self._fd, min(max_bytes, self._announced_bytes))
            except BlockingIOError:
                await self._readable()
                continue
            except OSError as error:
                raise cut_stream() from error
            if not count:
                raise cut_stream()
            self.received_bytes += count
            self._announced_bytes -= count
            if not self._announced_bytes:
                self._resume()
            return PipedBytes(self._pipe)
        return _NOTHING

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._fd, self._wake)
        try:
            await self._more()
        finally:
            loop.remove_reader(self._fd)

    async def _more(self) -> None:
        """Waits until something has happened."""
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_later(self._progress_timeout_s, self._expire, self._waiter)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _expire(self, waiter: asyncio.Future[None]) -> None:
        if not waiter.done():
            waiter.set_exception(
                DeadlineExceeded(f"no byte of the stream came for {self._progress_timeout_s:g} s")
            )

    def close(self) -> None:
        """Drops what was not taken. The connection is of no use then, unless the stream is `finished`."""
        if not self._closed:
            self._closed = True
            os.close(self._fd)
            self._pipe.close()

"""Client side of streams: one call at a time on a connection of its own, taken from a bounded pool.

Exclusive connections make the socket's own back-pressure the stream's, and a stream that is given up is ended by
closing its connection: nothing has to be skipped or drained.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

from zerohop.errors import OutcomeUnknown, Overloaded, PeerUnavailable, ProtocolViolation, ZerohopError
from zerohop.rpc.body import HIGH_WATER_BYTES, BodyReader, cut_stream
from zerohop.rpc.channel import Channel, request_frame
from zerohop.rpc.frames import FrameKind
from zerohop.rpc.message import Request, decode_error, decode_response, encode
from zerohop.rpc.piped_body import PipedBody
from zerohop.rpc.splicing import CAN_SPLICE, PipedBytes
from zerohop.rpc.wire import total_of

__all__ = ["StreamChannel", "StreamPool", "StreamSink", "StreamSource"]

R = TypeVar("R")

MAX_STREAMS = 128
"""Streams to one server at a time; further ones wait for their turn. Each may hold 2 MiB in buffers at the worst."""

IDLE_S = 30.0
"""An unused connection is closed after this time."""


class StreamChannel(Channel):
    """A connection that carries one stream at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, process: str, secret: bytes | None) -> None:
        super().__init__(loop, process, secret)
        self._call_id = 0
        self._head: asyncio.Future[bytes] | None = None
        self._body: BodyReader | PipedBody | None = None
        self._piped: PipedBody | None = None  # the body, if it is one
        self.idle_since = 0.0

    def begin(
        self, request: bytes, timeout_s: float, *, piped: bool = False
    ) -> tuple[asyncio.Future[bytes], BodyReader | PipedBody]:
        """Sends a request; returns the future head of the answer, and the body that follows it.

        `piped`: a `PipedBody`, if that can be had of this connection.
        """
        self._call_id = self._call_id % 0xFFFFFFFF + 1
        self._head = self._loop.create_future()
        if piped and CAN_SPLICE and self.transport.get_extra_info("sslcontext") is None:
            socket_fd = self.transport.get_extra_info("socket").fileno()
            self._body = self._piped = PipedBody(timeout_s, socket_fd, self._resume)
        else:
            self._body = BodyReader(timeout_s, self._pause, self._resume)
        self.send(request_frame(self._call_id, timeout_s, request))
        self.flush()
        return self._head, self._body

    @property
    def call_id(self) -> int:
        """Of the stream that is running."""
        return self._call_id

    def settle(self) -> None:
        """The stream is over, or has been left."""
        if self._piped is not None:
            self._piped.close()
            self._piped = None

    def get_buffer(self, sizehint: int) -> memoryview:
        """Called by the loop. What is to be piped must not be read before."""
        buffer = super().get_buffer(sizehint)
        return buffer if self._piped is None else buffer[: self._decoder.wanted_bytes]

    def _take_frames(self) -> None:
        super()._take_frames()
        if self._piped is None or self.transport.is_closing():
            return
        call_id, size_bytes = self._decoder.take_data()
        if size_bytes:
            self._pause()
            self._announce(self._piped, call_id, size_bytes)

    def _announce(self, body: PipedBody, call_id: int, size_bytes: int) -> None:
        try:
            if self._head is None or not self._head.done() or call_id != self._call_id:
                raise ProtocolViolation("bytes that belong to no stream")
            body.announce(size_bytes)
        except ProtocolViolation as error:
            self._bad_peer(error)
            self.transport.close()

    def _pause(self) -> None:
        self.transport.pause_reading()

    def _resume(self) -> None:
        if not self.closed and not self.transport.is_closing():
            self.transport.resume_reading()

    def _answer(self, kind: int, call_id: int, payload: bytes | memoryview) -> None:
        head, body = self._head, self._body
        if head is None or body is None or call_id not in (0, self._call_id):
            raise ProtocolViolation(f"a frame of kind {kind} that belongs to no stream")
        if kind == FrameKind.ERROR:
            self._fail_calls(decode_error(bytes(payload)))
        elif kind == FrameKind.RESPONSE and not head.done():
            head.set_result(bytes(payload))
        elif kind == FrameKind.DATA and head.done():
            assert isinstance(payload, memoryview)
            assert isinstance(body, BodyReader)
            body.feed(payload)
        elif kind == FrameKind.END and head.done():
            body.end(total_of(payload))
        else:
            raise ProtocolViolation(f"a frame of kind {kind} in the wrong place of a stream")

    def _fail_calls(self, error: ZerohopError) -> None:
        if self._head is not None and not self._head.done():
            self._head.set_exception(error)
            self._head.exception()  # marks it as seen: a stream that is left early asks for no answer
        if self._body is not None:
            self._body.fail(cut_stream() if error.details.get("reason") == "connection lost" else error)


class StreamSink(Generic[R]):
    """A body on its way to the server: `write` it, then `finish`. Leaving without `finish` cuts the stream there."""

    def __init__(self, channel: StreamChannel, request: Request[R], timeout_s: float) -> None:
        self._channel = channel
        self._request_class = type(request)
        self._timeout_s = timeout_s
        self._head, _ = channel.begin(encode(request), timeout_s)
        self.sent_bytes = 0
        self.finished = False

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends bytes; returns when the connection can take more. Read-only buffers must stay as they are.

        Raises what the handler raised already; `DeadlineExceeded` when the server takes nothing for the time-out.
        """
        self._raise_early_answer()
        try:
            self.sent_bytes += await self._channel.send_data(self._channel.call_id, data, self._timeout_s)
        except OutcomeUnknown:
            self._raise_early_answer()
            raise

    def _raise_early_answer(self) -> None:
        if self._head.done():
            self._head.result()
            raise ProtocolViolation("the server answered before the end of the stream")

    async def finish(self) -> R:
        """Ends the body; returns the response. Raises `OutcomeUnknown` when none comes within the time-out."""
        self._raise_early_answer()
        self._channel.send_end(self._channel.call_id, self.sent_bytes)
        self._channel.flush()
        payload = await head_within(self._head, self._timeout_s)
        self.finished = True
        return decode_response(self._request_class, payload)


class StreamSource(Generic[R]):
    """A body on its way from the server, after its `response`. Read it to its end, or leave to cut it."""

    def __init__(self, response: R, body: BodyReader | PipedBody) -> None:
        self.response = response
        self._body = body

    async def read(self, max_bytes: int = 1 << 20) -> memoryview:
        """The next bytes as they came; empty at the end.

        Raises what the handler raised, `OutcomeUnknown` for a cut stream, `DeadlineExceeded` for one that stands
        still: never a short end.
        """
        if isinstance(self._body, BodyReader):
            return await self._body.read(max_bytes)
        return memoryview(bytes(await self._body.read(max_bytes)))

    async def next_piece(self) -> memoryview | PipedBytes:
        """The same, in a pipe where the stream is piped: take them all before the next."""
        return await self._body.read(HIGH_WATER_BYTES)

    async def __aiter__(self) -> AsyncIterator[memoryview]:
        while chunk := await self.read():
            yield chunk


async def head_within(head: asyncio.Future[bytes], timeout_s: float) -> bytes:
    """The payload of the response, if it comes in time."""
    try:
        async with asyncio.timeout(timeout_s):
            return await head
    except TimeoutError:
        raise OutcomeUnknown("the time-out passed before the answer came", reason="deadline") from None


class StreamPool:
    """Connections for streams to one server: at most `MAX_STREAMS`, idle ones kept for `IDLE_S`."""

    def __init__(
        self, connect: Callable[[float], Awaitable[StreamChannel]], max_streams: int = MAX_STREAMS
    ) -> None:
        self._connect = connect
        self._slots = asyncio.Semaphore(max_streams)
        self._idle: list[StreamChannel] = []  # the one used last stands last
        self._busy: set[StreamChannel] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    async def acquire(self, timeout_s: float) -> tuple[StreamChannel, bool]:
        """A connection, and whether it was used before. Raises `Overloaded` when none gets free in time."""
        if self._closed:
            raise PeerUnavailable("the client is closed")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                await self._slots.acquire()
        except TimeoutError:
            raise Overloaded("all streams to this peer are in use") from None
        try:
            while self._idle:
                channel = self._idle.pop()
                if not channel.closed:
                    self._busy.add(channel)
                    return channel, True
            channel = await self._connect(max(deadline - loop.time(), 0.001))
        except BaseException:
            self._slots.release()
            raise
        self._busy.add(channel)
        return channel, False

    def release(self, channel: StreamChannel, *, clean: bool) -> None:
        """Gives a connection back; one whose stream did not come to its end is dropped."""
        channel.settle()
        self._slots.release()
        self._busy.discard(channel)
        if not clean or self._closed:
            channel.abort()
        elif not channel.closed:
            loop = asyncio.get_running_loop()
            channel.idle_since = loop.time()
            self._idle.append(channel)
            if self._timer is None:
                self._timer = loop.call_later(IDLE_S, self._close_idle)

    def _close_idle(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        oldest = loop.time() - IDLE_S
        for channel in self._idle:
            if channel.idle_since <= oldest:
                channel.close()
        self._idle = [channel for channel in self._idle if not channel.closed and channel.idle_since > oldest]
        if self._idle:
            self._timer = loop.call_later(IDLE_S, self._close_idle)

    async def close(self) -> None:
        """Closes all connections; streams that run are cut."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        idle, self._idle = self._idle, []
        for channel in [*idle, *self._busy]:
            channel.abort()
            await channel.gone(timeout_s=1.0)

"""The RPC client: typed calls to one server, over connections that come and go."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import perf_counter
from typing import Any, TypeVar

from zerohop.errors import (
    DeadlineExceeded,
    OutcomeUnknown,
    PeerUnavailable,
    TransportError,
)
from zerohop.metrics import outgoing
from zerohop.rpc.address import Address
from zerohop.rpc.backoff import Backoff
from zerohop.rpc.body import BodyReader
from zerohop.rpc.channel import ChannelT, UnaryChannel, open_channel
from zerohop.rpc.handshake import secret_bytes
from zerohop.rpc.message import Request, decode_response, encode
from zerohop.rpc.piped_body import PipedBody
from zerohop.rpc.streams import StreamChannel, StreamPool, StreamSink, StreamSource, head_within

__all__ = ["RpcClient"]

R = TypeVar("R")

CONNECT_TIMEOUT_S = 5.0


class RpcClient:
    """Calls one server. Connections are opened when they are needed and again when they were lost.

    While the server cannot be reached calls fail at once with `PeerUnavailable`; attempts to connect are spaced by
    `Backoff`. `wait_ready` is for callers who would rather wait. Use it on one event loop.
    """

    def __init__(
        self,
        address: str | Address,
        *,
        name: str,
        cluster_secret: str | bytes | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.address = Address.parse(address)
        self._name = name
        self._secret = secret_bytes(cluster_secret)
        self._ssl = ssl_context
        self._channel: UnaryChannel | None = None
        self._connecting: asyncio.Task[UnaryChannel] | None = None
        self._backoff = Backoff()
        self._pool: StreamPool | None = None
        self._closed = False

    async def call(self, request: Request[R], *, timeout_s: float = 10.0, idempotent: bool = False) -> R:
        """Sends `request`, returns its response.

        Raises what the handler raised, or: `PeerUnavailable`, `Overloaded`, `DeadlineExceeded` (nothing was done);
        `OutcomeUnknown` (sent, but the connection was lost or `timeout_s`, which covers everything, passed). With
        `idempotent` a request on a connection that turned out to be dead is sent once more. Cancelling cancels the
        handler.
        """
        started_s = perf_counter()
        try:
            channel = self._channel
            if channel is not None and not channel.closed and not channel.write_paused:
                first_timeout_s = timeout_s
            else:
                loop = asyncio.get_running_loop()
                deadline = loop.time() + timeout_s
                channel = await self._ready_channel(timeout_s)
                first_timeout_s = deadline - loop.time()
            exchange = self._exchange_twice if idempotent else self._exchange
            payload = await exchange(channel, encode(request), first_timeout_s)
            response = decode_response(type(request), payload)
        except BaseException as error:
            outgoing[type(request)].ended(started_s, error)
            raise
        outgoing[type(request)].ended(started_s)
        return response

    async def _exchange(self, channel: UnaryChannel, payload: bytes, timeout_s: float) -> bytes:
        call_id, future = channel.submit(payload, timeout_s)
        try:
            return await future
        except asyncio.CancelledError:
            channel.cancel(call_id)
            raise

    async def _exchange_twice(self, channel: UnaryChannel, payload: bytes, timeout_s: float) -> bytes:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        try:
            return await self._exchange(channel, payload, timeout_s)
        except OutcomeUnknown:
            if not channel.closed or loop.time() >= deadline:
                raise
        channel = await self._ready_channel(deadline - loop.time())
        return await self._exchange(channel, payload, deadline - loop.time())

    @asynccontextmanager
    async def open_stream_in(
        self, request: Request[R], *, timeout_s: float = 30.0
    ) -> AsyncGenerator[StreamSink[R], None]:
        """Opens a stream to the server. `timeout_s` is what may pass without any byte moving, not the total."""
        with _counted(request):
            channel, _ = await self._streams().acquire(timeout_s)
            clean = False
            try:
                sink = StreamSink(channel, request, timeout_s)
                yield sink
                clean = sink.finished
            finally:
                self._streams().release(channel, clean=clean)

    @asynccontextmanager
    async def open_stream_out(
        self, request: Request[R], *, timeout_s: float = 30.0, piped: bool = False
    ) -> AsyncGenerator[StreamSource[R], None]:
        """Opens a stream from the server, and waits for its response. `timeout_s` as above.

        `piped`: its bytes are going to be sent on, and stay in the kernel where that is possible
        (`StreamSource.next_piece`). A stream only reads, so a request on a pooled connection that turned out to be
        dead is sent once more.
        """
        with _counted(request):
            channel, head, body = await self._begin_stream_out(request, timeout_s, piped=piped)
            clean = False
            try:
                source = StreamSource(decode_response(type(request), head), body)
                yield source
                clean = body.finished
            finally:
                self._streams().release(channel, clean=clean)

    async def _begin_stream_out(
        self, request: Request[R], timeout_s: float, *, piped: bool
    ) -> tuple[StreamChannel, bytes, BodyReader | PipedBody]:
        while True:
            channel, reused = await self._streams().acquire(timeout_s)
            try:
                head, body = channel.begin(encode(request), timeout_s, piped=piped)
                return channel, await head_within(head, timeout_s), body
            except OutcomeUnknown:
                self._streams().release(channel, clean=False)
                if not (reused and channel.closed):
                    raise
            except BaseException:
                self._streams().release(channel, clean=False)
                raise

    def _streams(self) -> StreamPool:
        if self._pool is None:
            self._pool = StreamPool(self._connect_stream)
        return self._pool

    async def _connect_stream(self, timeout_s: float) -> StreamChannel:
        loop = asyncio.get_running_loop()
        self._check_backoff(loop.time())
        return await self._open(
            StreamChannel(loop, self._name, self._secret), min(timeout_s, CONNECT_TIMEOUT_S)
        )

    async def wait_ready(self, timeout_s: float) -> None:
        """Returns once the server answers; tries until then. Raises why not, after `timeout_s`.

        `IncompatiblePeer` and `PeerRejected` are raised at once: waiting does not help.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while True:
            try:
                await self._ready_channel(max(deadline - loop.time(), 0.001))
                return
            except PeerUnavailable:
                wait_s = self._backoff.not_before - loop.time()
                if self._closed or loop.time() + wait_s >= deadline:
                    raise
            await asyncio.sleep(max(wait_s, 0.001))

    async def _ready_channel(self, timeout_s: float) -> UnaryChannel:
        """The connection, opened if need be, with room in its write buffer."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        channel = self._channel
        if channel is None or channel.closed:
            channel = await self._connected(timeout_s)
        if channel.write_paused:
            try:
                await channel.drain(deadline - loop.time())
            except OutcomeUnknown as error:
                raise PeerUnavailable(
                    f"{self.address}: the connection was lost before the request was sent"
                ) from error
        return channel

    async def _connected(self, timeout_s: float) -> UnaryChannel:
        """Joins the attempt to connect that is being made, or makes one; a caller who gives up does not end it."""
        if self._closed:
            raise PeerUnavailable("the client is closed")
        if self._connecting is None:
            loop = asyncio.get_running_loop()
            self._check_backoff(loop.time())
            self._connecting = loop.create_task(self._connect(), name=f"connect {self.address}")
            self._connecting.add_done_callback(self._connect_done)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(self._connecting)
        except TimeoutError:
            raise DeadlineExceeded(f"{self.address} did not answer in {timeout_s:g} s") from None

    def _check_backoff(self, now: float) -> None:
        if now < self._backoff.not_before:
            raise PeerUnavailable(f"{self.address} was unreachable a moment ago")

    async def _connect(self) -> UnaryChannel:
        channel = UnaryChannel(asyncio.get_running_loop(), self._name, self._secret)
        self._channel = await self._open(channel, CONNECT_TIMEOUT_S)
        return channel

    async def _open(self, channel: ChannelT, timeout_s: float) -> ChannelT:
        try:
            await open_channel(channel, self.address, self._ssl, timeout_s)
        except TransportError:
            self._backoff.failed(asyncio.get_running_loop().time())
            raise
        self._backoff.succeeded()
        return channel

    def _connect_done(self, task: asyncio.Task[Any]) -> None:
        self._connecting = None
        if not task.cancelled():
            task.exception()  # its waiters have it; with none left nobody needs it

    async def close(self) -> None:
        """Closes all connections; calls that run fail."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        if self._channel is not None:
            self._channel.close()
            await self._channel.gone(timeout_s=1.0)
        if self._pool is not None:
            await self._pool.close()


@contextmanager
def _counted(request: Request[Any]) -> Iterator[None]:
    """A stream counts as one call, from its beginning to its end."""
    started_s = perf_counter()
    try:
        yield
    except BaseException as error:
        outgoing[type(request)].ended(started_s, error)
        raise
    outgoing[type(request)].ended(started_s)

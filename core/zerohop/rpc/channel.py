"""The client's side of one connection, and how it is opened."""

from __future__ import annotations

import asyncio
import ssl
import struct
from typing import TypeVar

from zerohop.errors import (
    ConfigError,
    DeadlineExceeded,
    IncompatiblePeer,
    OutcomeUnknown,
    Overloaded,
    PeerRejected,
    PeerUnavailable,
    ProtocolViolation,
    ZerohopError,
)
from zerohop.rpc.address import Address
from zerohop.rpc.deadlines import Deadlines
from zerohop.rpc.frames import MAX_PAYLOAD_BYTES, FrameKind, frame
from zerohop.rpc.handshake import ClientHandshake, Hello
from zerohop.rpc.message import decode_error
from zerohop.rpc.wire import HANDSHAKE_TIMEOUT_S, Wire

__all__ = ["Channel", "UnaryChannel", "open_channel"]

MAX_PENDING_CALLS = 4096
"""Calls of one connection that wait for answers; as many as a server takes at all."""

_MAX_TIMEOUT_MS = 0xFFFFFFFF
_timeout_ms = struct.Struct(">I")
_RESPONSE = int(FrameKind.RESPONSE)

ChannelT = TypeVar("ChannelT", bound="Channel")


def request_frame(call_id: int, timeout_s: float, request: bytes) -> bytes:
    """A REQUEST: the time that is left, then the message."""
    left_ms = min(max(int(timeout_s * 1000), 1), _MAX_TIMEOUT_MS)
    return frame(FrameKind.REQUEST, call_id, _timeout_ms.pack(left_ms) + request)


def lost_after_sending() -> OutcomeUnknown:
    """The connection is gone and the request may have been carried out."""
    return OutcomeUnknown("the connection was lost before the answer came", reason="connection lost")


class Channel(Wire):
    """A connection to a server: `opened` is done when the handshake is, or has failed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, process: str, secret: bytes | None) -> None:
        super().__init__(loop)
        self._handshake = ClientHandshake(process, secret)
        self.opened: asyncio.Future[Hello] = loop.create_future()
        self._cause: ZerohopError | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        super().connection_made(transport)
        self.transport.write(self._handshake.start())

    def _frame(self, kind: int, call_id: int, payload: bytes | memoryview) -> None:
        if self._handshake.done:
            self._answer(kind, call_id, payload)
            return
        for answer in self._handshake.receive(kind, bytes(payload)):
            self.send(answer)
        self._check_opened()

    def _check_opened(self) -> None:
        peer = self._handshake.peer
        if self._handshake.done and peer is not None and not self.opened.done():
            self._decoder.max_payload_bytes = MAX_PAYLOAD_BYTES
            self.opened.set_result(peer)

    def _answer(self, kind: int, call_id: int, payload: bytes | memoryview) -> None:
        """A frame after the handshake."""
        raise NotImplementedError

    def _fail_calls(self, error: ZerohopError) -> None:
        """The connection is gone: every call on it ends now."""
        raise NotImplementedError

    def _bad_peer(self, error: ZerohopError) -> None:
        self._cause = error

    def _lost(self) -> None:
        if not self.opened.done():
            self.opened.set_exception(
                self._cause or PeerUnavailable("the peer closed the connection during the handshake")
            )
            self.opened.exception()  # marks it as seen: whoever connected may have given up
        self._fail_calls(self._cause or lost_after_sending())


class UnaryChannel(Channel):
    """Many calls at a time on one connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop, process: str, secret: bytes | None) -> None:
        super().__init__(loop, process, secret)
        self._calls: dict[int, asyncio.Future[bytes]] = {}
        self._last_id = 0
        self._deadlines = Deadlines(loop, self._expire)

    def submit(self, request: bytes, timeout_s: float) -> tuple[int, asyncio.Future[bytes]]:
        """Sends a request; the future gives the payload of the answer. Give up by `cancel(call_id)`."""
        if len(self._calls) >= MAX_PENDING_CALLS:
            raise Overloaded("too many calls wait for this peer")
        self._last_id = call_id = self._free_id()
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._calls[call_id] = future
        self._deadlines.add(call_id, self._loop.time() + timeout_s)
        self.send(request_frame(call_id, timeout_s, request))
        return call_id, future

    def cancel(self, call_id: int) -> None:
        """The caller does not want the answer any more: the server stops working on it."""
        if self._calls.pop(call_id, None) is not None:
            self._deadlines.discard(call_id)
            if not self.closed:
                self.send(frame(FrameKind.CANCEL, call_id))

    def _free_id(self) -> int:
        call_id = self._last_id % 0xFFFFFFFF + 1
        while call_id in self._calls:
            call_id = call_id % 0xFFFFFFFF + 1
        return call_id

    def _answer(self, kind: int, call_id: int, payload: bytes | memoryview) -> None:
        if kind != _RESPONSE and kind != FrameKind.ERROR:
            raise ProtocolViolation(f"a server does not answer a call with frames of kind {kind}")
        assert isinstance(payload, bytes)
        if call_id == 0 and kind == FrameKind.ERROR:
            raise decode_error(payload)  # about the connection, not about a call
        future = self._calls.pop(call_id, None)
        if future is None:
            return  # cancelled or expired meanwhile
        self._deadlines.discard(call_id)
        if future.done():
            return
        if kind == _RESPONSE:
            future.set_result(payload)
        else:
            future.set_exception(decode_error(payload))

    def _expire(self, call_id: int) -> None:
        future = self._calls.get(call_id)
        self.cancel(call_id)
        if future is not None and not future.done():
            future.set_exception(
                OutcomeUnknown("the time-out passed before the answer came", reason="deadline")
            )

    def _fail_calls(self, error: ZerohopError) -> None:
        self._deadlines.close()
        calls, self._calls = self._calls, {}
        for future in calls.values():
            if not future.done():
                future.set_exception(type(error)(error.message, **error.details))


async def open_channel(
    channel: ChannelT, address: Address, ssl_context: ssl.SSLContext | None, timeout_s: float
) -> ChannelT:
    """Connects `channel` and shakes hands.

    Raises `PeerUnavailable`, `DeadlineExceeded`, or what the handshake found: `IncompatiblePeer`, `PeerRejected`.
    """
    try:
        async with asyncio.timeout(min(timeout_s, HANDSHAKE_TIMEOUT_S)):
            await _connect(channel, address, ssl_context)
            await channel.opened
    except TimeoutError:
        channel.abort()
        if timeout_s < HANDSHAKE_TIMEOUT_S:
            raise DeadlineExceeded(f"{address} did not answer in time") from None
        raise PeerUnavailable(f"{address} did not answer in {HANDSHAKE_TIMEOUT_S:g} s") from None
    except OSError as error:
        raise PeerUnavailable(f"cannot connect to {address}: {error.strerror or error}") from error
    except (IncompatiblePeer, PeerRejected, PeerUnavailable, Overloaded) as error:
        raise type(error)(f"{address}: {error.message}", **error.details) from None
    except asyncio.CancelledError:
        channel.abort()
        raise
    return channel


async def _connect(channel: Channel, address: Address, ssl_context: ssl.SSLContext | None) -> None:
    loop = asyncio.get_running_loop()
    if address.is_unix:
        await loop.create_unix_connection(lambda: channel, address.path)
        return
    if address.scheme == "tls" and ssl_context is None:
        raise ConfigError(f"{address} needs a TLS context")
    await loop.create_connection(
        lambda: channel, address.host, address.port, ssl=ssl_context if address.scheme == "tls" else None
    )

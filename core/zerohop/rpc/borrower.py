"""The holder's side of descriptor passing: see `zerohop.rpc.descriptors`."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections import OrderedDict
from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple, TypeVar

import msgspec

from zerohop.errors import (
    DeadlineExceeded,
    OutcomeUnknown,
    Overloaded,
    PeerUnavailable,
    ProtocolViolation,
    ZerohopError,
)
from zerohop.metrics import outgoing
from zerohop.rpc.address import checked_unix_path
from zerohop.rpc.backoff import Backoff
from zerohop.rpc.channel import lost_after_sending
from zerohop.rpc.deadlines import Deadlines
from zerohop.rpc.frames import FrameKind
from zerohop.rpc.handshake import ClientHandshake
from zerohop.rpc.message import Request, decode_error, decode_response, encode
from zerohop.rpc.notices import NoticeSet, notice_packet
from zerohop.rpc.packets import PacketSocket, close_descriptors, packet

__all__ = ["DescriptorClient"]

_log = logging.getLogger(__name__)

R = TypeVar("R")
N = TypeVar("N", bound=msgspec.Struct)
_Answer = tuple[bytes, list[int]]

MAX_PENDING_CALLS = 256
"""Calls that wait for answers; as many as a lender takes."""

CONNECT_TIMEOUT_S = 5.0
_CONNECT_AGAIN_S = 0.005
"""A full backlog is not signalled when it drains: look again after this."""


class DescriptorClient:
    """Asks the lender at the Unix socket `path` for descriptors. Connects when needed, and again when it was lost.

    `on_lost()` tells that the connection is gone: the lender counts all that it lent us as returned, so cached
    descriptors must be closed.
    """

    def __init__(self, path: str, *, name: str, on_lost: Callable[[], None] | None = None) -> None:
        self._path = checked_unix_path(path)
        self._name = name
        self._on_lost = on_lost
        self._notices = NoticeSet()
        self._link: _Link | None = None
        self._connecting: asyncio.Task[_Link] | None = None
        self._backoff = Backoff()
        self._closed = False

    def register_notice(self, notice_class: type[N], handler: Callable[[N], None]) -> None:
        """Calls `handler(notice)` for each notice of that struct from the lender."""
        self._notices.add(notice_class, handler)

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._link is not None and not self._link.closed

    async def call(
        self, request: Request[R], *, timeout_s: float = 10.0, late: Callable[[R], None] | None = None
    ) -> tuple[R, list[int]]:
        """Sends `request`; returns its response and the descriptors that came with it, which are now the caller's.

        Raises what the handler raised, and as `RpcClient.call` does. Descriptors that arrive for a call that was
        cancelled or timed out are closed, and `late` is told the response: the lender counts them as lent.
        """
        started_s = perf_counter()
        try:
            answer = await self._call(request, timeout_s, late)
        except BaseException as error:
            outgoing[type(request)].ended(started_s, error)
            raise
        outgoing[type(request)].ended(started_s)
        return answer

    async def _call(
        self, request: Request[R], timeout_s: float, late: Callable[[R], None] | None
    ) -> tuple[R, list[int]]:
        link = self._link
        if link is None or link.closed:
            loop = asyncio.get_running_loop()
            deadline = loop.time() + timeout_s
            link = await self._connected(timeout_s)
            timeout_s = deadline - loop.time()

        def unclaimed(payload: bytes) -> None:
            if late is not None:
                late(decode_response(type(request), payload))

        payload, descriptors = await link.call(encode(request), timeout_s, unclaimed)
        try:
            return decode_response(type(request), payload), descriptors
        except ProtocolViolation:
            close_descriptors(descriptors)
            raise

    def notify(self, notice: msgspec.Struct) -> bool:
        """Sends a notice if there is a connection; returns whether. Raises `Overloaded` when the lender is stuck."""
        if self._link is None or self._link.closed:
            return False
        self._link.notify(notice)
        return True

    async def _connected(self, timeout_s: float) -> _Link:
        if self._closed:
            raise PeerUnavailable("the client is closed")
        loop = asyncio.get_running_loop()
        if self._connecting is None:
            if loop.time() < self._backoff.not_before:
                raise PeerUnavailable(f"unix:{self._path} was unreachable a moment ago")
            self._connecting = loop.create_task(self._connect(), name=f"connect {self._path}")
            self._connecting.add_done_callback(self._connect_done)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(self._connecting)
        except TimeoutError:
            raise DeadlineExceeded(f"unix:{self._path} did not answer in {timeout_s:g} s") from None

    async def _connect(self) -> _Link:
        loop = asyncio.get_running_loop()
        link: _Link | None = None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                sock = await _connected_socket(self._path)
                link = _Link(loop, sock, self._name, self._notices, self._link_lost)
                await link.opened
        except BaseException as error:
            if link is not None:
                link.close()
            if not isinstance(error, asyncio.CancelledError):
                self._backoff.failed(loop.time())
            if isinstance(error, OSError | TimeoutError):
                raise PeerUnavailable(f"cannot connect to unix:{self._path}: {error}") from error
            raise
        self._backoff.succeeded()
        self._link = link
        return link

    def _connect_done(self, task: asyncio.Task[Any]) -> None:
        self._connecting = None
        if not task.cancelled():
            task.exception()  # its waiters have it; with none left nobody needs it

    def _link_lost(self) -> None:
        if self._on_lost is not None:
            self._on_lost()

    async def close(self) -> None:
        """Closes the connection; calls that run fail."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        if self._link is not None:
            self._link.close()


async def _connected_socket(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(0)
    try:
        while (refusal := sock.connect_ex(path)) == errno.EAGAIN:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(_CONNECT_AGAIN_S)
        if refusal:
            raise OSError(refusal, errno.errorcode.get(refusal, "unknown"))
    except BaseException:
        sock.close()
        raise
    return sock


class _Pending(NamedTuple):
    """A call that waits; `unclaimed` hears of the answer when it comes and nobody waits any more."""

    future: asyncio.Future[_Answer]
    unclaimed: Callable[[bytes], None]


class _Link:
    """One connection to a lender."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        process: str,
        notices: NoticeSet,
        on_lost: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._notices = notices
        self._on_lost = on_lost
        self._handshake = ClientHandshake(process, None)
        self._calls: dict[int, _Pending] = {}
        # Who hears of the answer to a call that was given up, should it have been on its way; the last ones of them.
        self._unclaimed: OrderedDict[int, Callable[[bytes], None]] = OrderedDict()
        self._deadlines = Deadlines(loop, self._expire)
        self._last_id = 0
        self.opened: asyncio.Future[None] = loop.create_future()
        self._socket = PacketSocket(loop, sock, self._packet, self._lost, reads_always=True)
        self._socket.start()
        self._socket.send(self._handshake.start()[4:])  # a packet needs no length

    @property
    def closed(self) -> bool:
        return self._socket.closed

    async def call(self, request: bytes, timeout_s: float, unclaimed: Callable[[bytes], None]) -> _Answer:
        if len(self._calls) >= MAX_PENDING_CALLS:
            raise Overloaded("too many calls wait for this lender")
        self._last_id = call_id = self._free_id()
        self._socket.send(packet(FrameKind.REQUEST, call_id, request))
        future: asyncio.Future[_Answer] = self._loop.create_future()
        self._calls[call_id] = _Pending(future, unclaimed)
        self._deadlines.add(call_id, self._loop.time() + timeout_s)
        try:
            if self.closed:
                raise PeerUnavailable("the connection was lost before the request was sent")
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                payload, descriptors = future.result()  # the answer and the cancellation came in one turn
                close_descriptors(descriptors)
                unclaimed(payload)
            raise
        finally:
            if self._calls.pop(call_id, None) is not None:
                self._give_up(call_id, unclaimed)

    def notify(self, notice: msgspec.Struct) -> None:
        self._socket.send(notice_packet(notice))

    def close(self) -> None:
        self._socket.close()

    def _free_id(self) -> int:
        call_id = self._last_id % 0xFFFFFFFF + 1
        while call_id in self._calls:
            call_id = call_id % 0xFFFFFFFF + 1
        return call_id

    def _give_up(self, call_id: int, unclaimed: Callable[[bytes], None]) -> None:
        self._deadlines.discard(call_id)
        self._unclaimed[call_id] = unclaimed
        if len(self._unclaimed) > MAX_PENDING_CALLS:
            self._unclaimed.popitem(last=False)
        try:
            self._socket.send(packet(FrameKind.CANCEL, call_id))
        except Overloaded as stuck:
            self._socket.close(stuck)

    def _expire(self, call_id: int) -> None:
        pending = self._calls.pop(call_id, None)
        if pending is not None:
            self._give_up(call_id, pending.unclaimed)
            if not pending.future.done():
                pending.future.set_exception(
                    OutcomeUnknown("the time-out passed before the answer came", reason="deadline")
                )

    def _packet(self, kind: int, call_id: int, payload: bytes, descriptors: list[int]) -> None:
        pending = self._calls.get(call_id) if kind == FrameKind.RESPONSE else None
        if pending is not None and not pending.future.done():
            del self._calls[call_id]
            self._deadlines.discard(call_id)
            pending.future.set_result((payload, descriptors))
            return
        close_descriptors(descriptors)
        if not self._handshake.done:
            self._shake_hands(kind, payload)
        elif kind == FrameKind.RESPONSE:
            unclaimed = self._unclaimed.pop(call_id, None)
            if pending is not None:  # cancelled in this turn
                unclaimed = self._calls.pop(call_id).unclaimed
                self._deadlines.discard(call_id)
            if unclaimed is not None:
                unclaimed(payload)
        elif kind == FrameKind.NOTICE:
            self._notices.dispatch(payload)
        elif kind == FrameKind.ERROR:
            self._on_error(call_id, payload)
        else:
            raise ProtocolViolation(f"a lender does not send packets of kind {kind}")

    def _shake_hands(self, kind: int, payload: bytes) -> None:
        for answer in self._handshake.receive(kind, payload):
            self._socket.send(answer[4:])
        if self._handshake.done and not self.opened.done():
            self.opened.set_result(None)

    def _on_error(self, call_id: int, payload: bytes) -> None:
        if call_id == 0:
            raise decode_error(payload)  # about the connection, not about a call
        pending = self._calls.pop(call_id, None)
        self._deadlines.discard(call_id)
        self._unclaimed.pop(call_id, None)
        if pending is not None and not pending.future.done():
            pending.future.set_exception(decode_error(payload))

    def _lost(self, error: ZerohopError | None) -> None:
        self._deadlines.close()
        if error is not None:
            _log.warning("closing a descriptor socket: %s", error)
        calls, self._calls = self._calls, {}
        for pending in calls.values():
            if not pending.future.done():
                pending.future.set_exception(lost_after_sending())
        if self.opened.done():
            self._on_lost()
        else:
            self.opened.set_exception(error or PeerUnavailable("the lender closed the connection"))
            self.opened.exception()  # marks it as seen: whoever connected may have given up

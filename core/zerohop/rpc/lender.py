"""The lender's side of descriptor passing: see `zerohop.rpc.descriptors`."""

from __future__ import annotations

import asyncio
import errno
import inspect
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any, NamedTuple, TypeVar

import msgspec

from zerohop.errors import Internal, Overloaded, ProtocolViolation, ZerohopError
from zerohop.metrics import Calls
from zerohop.rpc.call import Peer
from zerohop.rpc.frames import FrameKind
from zerohop.rpc.handshake import ServerHandshake
from zerohop.rpc.listener import BACKLOG, UnixSocketFile
from zerohop.rpc.message import MessageSet, Request, encode, encode_error
from zerohop.rpc.notices import NoticeSet, notice_packet
from zerohop.rpc.packets import PacketSocket, close_descriptors, packet
from zerohop.rpc.wire import HANDSHAKE_TIMEOUT_S

__all__ = ["DescriptorServer", "Holder", "Lent"]

_log = logging.getLogger(__name__)

Q = TypeVar("Q", bound=Request[Any])
N = TypeVar("N", bound=msgspec.Struct)

Lent = tuple[object, Sequence[int]]
"""What a handler returns: the response, and the descriptors that go with it."""

MAX_HOLDERS = 256
MAX_CALLS_PER_HOLDER = 256
_ACCEPT_RETRY_S = 0.1
"""After running out of descriptors: the socket stays readable, and must not turn the loop into a spin."""


class _Handler(NamedTuple):
    """See `DescriptorServer.register`."""

    call: Callable[[Any, Holder], Lent | Awaitable[Lent]]
    close: bool
    unsent: Callable[[Any, Any, Holder], None]


class Holder:
    """The lender's side of one connection: a process that may hold descriptors of ours."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, server: DescriptorServer, sock: socket.socket
    ) -> None:
        self._loop = loop
        self._server = server
        self._handshake = ServerHandshake(server.name, None)
        self._tasks: dict[int, asyncio.Future[Lent]] = {}
        self._socket = PacketSocket(loop, sock, self._packet, self._lost)
        self._greeted = False
        self._handshake_timer = loop.call_later(HANDSHAKE_TIMEOUT_S, self._socket.close)
        self.peer = Peer("", "", "", is_unix=True)

    def start(self) -> None:
        """Begins to receive."""
        self._socket.start()

    def notify(self, notice: msgspec.Struct) -> None:
        """Sends a notice; raises `Overloaded` when the holder does not read. Without effect once it is gone."""
        self._socket.send(notice_packet(notice))

    def close(self) -> None:
        """Closes the connection."""
        self._socket.close()

    @property
    def closed(self) -> bool:
        """Whether the connection is gone."""
        return self._socket.closed

    @property
    def tasks(self) -> list[asyncio.Future[Lent]]:
        """Handlers that run."""
        return list(self._tasks.values())

    def _packet(self, kind: int, call_id: int, payload: bytes, descriptors: list[int]) -> None:
        if descriptors:
            close_descriptors(descriptors)
            raise ProtocolViolation("a holder sends no descriptors")
        if not self._handshake.done:
            self._shake_hands(kind, payload)
        elif kind == FrameKind.REQUEST:
            self._on_request(call_id, payload)
        elif kind == FrameKind.NOTICE:
            self._server.notices.dispatch(payload, self)
        elif kind == FrameKind.CANCEL:
            if (task := self._tasks.get(call_id)) is not None:
                task.cancel()
        else:
            raise ProtocolViolation(f"a holder does not send packets of kind {kind}")

    def _shake_hands(self, kind: int, payload: bytes) -> None:
        try:
            for answer in self._handshake.receive(kind, payload):
                self._socket.send(answer[4:])  # a packet needs no length
        except ZerohopError as error:
            self._socket.send(packet(FrameKind.ERROR, 0, encode_error(error)))
            raise
        if self._handshake.done and self._handshake.peer is not None:
            self.peer = Peer(self._handshake.peer.process, self._handshake.peer.release, "", is_unix=True)
            self._greeted = True
            self._handshake_timer.cancel()
            self._server.connected(self)

    def _on_request(self, call_id: int, payload: bytes) -> None:
        try:
            request = self._server.messages.decode(payload)
            handler = self._server.handlers[type(request)]
            calls, started_s = self._server.calls[type(request)], perf_counter()
            try:
                outcome = handler.call(request, self)
                if not inspect.isawaitable(outcome):
                    self._answer(call_id, request, outcome, handler)
                    calls.ended(started_s)
                    return
                task = self._begin(call_id, request, outcome, handler)
            except BaseException as error:
                calls.ended(started_s, error)
                raise
            task.add_done_callback(lambda done: calls.ended(started_s, _failure(done)))
        except ZerohopError as error:
            self._answer_error(call_id, error)
        except Exception:  # noqa: BLE001 - the funnel: any defect of a handler is logged and answered
            self._answer_error(call_id, self._defect())

    def _begin(
        self, call_id: int, request: Any, work: Awaitable[Lent], handler: _Handler
    ) -> asyncio.Future[Lent]:
        if call_id in self._tasks or len(self._tasks) >= MAX_CALLS_PER_HOLDER:
            if inspect.iscoroutine(work):
                work.close()
            raise Overloaded(f"{self._server.name} is at its limit of concurrent calls")
        task = asyncio.ensure_future(work)
        self._tasks[call_id] = task
        task.add_done_callback(lambda done: self._finish(call_id, request, done, handler))
        return task

    def _finish(self, call_id: int, request: Any, task: asyncio.Future[Lent], handler: _Handler) -> None:
        self._tasks.pop(call_id, None)
        if task.cancelled():
            return
        try:
            self._answer(call_id, request, task.result(), handler)
        except ZerohopError as error:
            self._answer_error(call_id, error)
        except Exception:  # noqa: BLE001 - the funnel: any defect of a handler is logged and answered
            self._answer_error(call_id, self._defect())

    def _answer(self, call_id: int, request: Any, outcome: Lent, handler: _Handler) -> None:
        response, descriptors = outcome
        try:
            try:
                data = packet(FrameKind.RESPONSE, call_id, encode(response))
            except BaseException:
                if handler.close:
                    close_descriptors(descriptors)
                raise
            self._socket.send(data, descriptors, close=handler.close)
        except BaseException:
            handler.unsent(request, response, self)
            raise

    def _answer_error(self, call_id: int, error: ZerohopError) -> None:
        try:
            self._socket.send(packet(FrameKind.ERROR, call_id, encode_error(error)))
        except Overloaded as full:
            self._socket.close(full)

    def _defect(self) -> Internal:
        _log.exception("a handler of %s failed", self._server.name)
        return Internal(f"{self._server.name} failed; its log has the cause")

    def _lost(self, error: ZerohopError | None) -> None:
        self._handshake_timer.cancel()
        if error is not None:
            _log.warning(
                "%s: closing the descriptor socket of %s: %s", self._server.name, self.peer.process, error
            )
        for task in self._tasks.values():
            task.cancel()
        self._server.lost(self, greeted=self._greeted)


class DescriptorServer:
    """Lends descriptors on the Unix socket `path` (mode 0600).

    `on_connect(holder)` and `on_lost(holder)` frame the life of each holder; after `on_lost` nothing is lent to it.
    """

    def __init__(
        self,
        path: str,
        *,
        name: str,
        on_connect: Callable[[Holder], None] | None = None,
        on_lost: Callable[[Holder], None] | None = None,
    ) -> None:
        self.name = name
        self.path = path
        self.messages = MessageSet()
        self.calls = Calls()
        self.handlers: dict[type, _Handler] = {}
        self.notices = NoticeSet()
        self._on_connect, self._on_lost = on_connect, on_lost
        self._file: UnixSocketFile | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._holders: set[Holder] = set()

    def register(
        self,
        request_class: type[Q],
        handler: Callable[[Q, Holder], Lent | Awaitable[Lent]],
        *,
        close_after_send: bool = True,
        unsent: Callable[[Q, Any, Holder], None] = lambda _request, _response, _holder: None,
    ) -> None:
        """`handler(request, holder)`, plain or async, returns the response and descriptors (at most 250).

        They are closed here once they are sent, unless `close_after_send` is False. `unsent(request, response,
        holder)` is called for a response that could not be sent: the holder stays and has none of them. Register
        before listening.
        """
        self.messages.add(request_class)
        self.handlers[request_class] = _Handler(handler, close_after_send, unsent)

    def register_notice(self, notice_class: type[N], handler: Callable[[N, Holder], None]) -> None:
        """Calls `handler(notice, holder)` for each notice of that struct."""
        self.notices.add(notice_class, handler)

    async def listen(self) -> None:
        """Begins to accept. Raises `ConfigError`."""
        self._file = UnixSocketFile(self.path, socket.SOCK_SEQPACKET)
        self._file.sock.listen(BACKLOG)
        self._accept_again()

    @property
    def holders(self) -> list[Holder]:
        """Processes that are connected."""
        return list(self._holders)

    def connected(self, holder: Holder) -> None:
        """The handshake of `holder` is over."""
        if self._on_connect is not None:
            self._on_connect(holder)

    def lost(self, holder: Holder, *, greeted: bool) -> None:
        """The connection of `holder` is gone."""
        self._holders.discard(holder)
        if greeted and self._on_lost is not None:
            self._on_lost(holder)

    def _accept_again(self) -> None:
        self._retry = None
        if self._file is not None:
            asyncio.get_running_loop().add_reader(self._file.sock, self._acceptable, self._file.sock)

    def _acceptable(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            sock, _ = listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                raise
            _log.warning("%s cannot accept: %s", self.name, error)
            loop.remove_reader(listening)
            self._retry = loop.call_later(_ACCEPT_RETRY_S, self._accept_again)
            return
        sock.settimeout(0)
        if len(self._holders) >= MAX_HOLDERS:
            sock.close()
            return
        holder = Holder(loop, self, sock)
        self._holders.add(holder)
        holder.start()

    async def close(self) -> None:
        """Stops accepting and closes the connections; handlers that run are cancelled."""
        if self._retry is not None:
            self._retry.cancel()
        if self._file is not None:
            asyncio.get_running_loop().remove_reader(self._file.sock)
            self._file.sock.close()
            self._file.remove()
            self._file = None
        holders = self.holders
        tasks = [task for holder in holders for task in holder.tasks]
        for holder in holders:
            holder.close()
        if tasks:
            await asyncio.wait(tasks)


def _failure(task: asyncio.Future[Any]) -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()

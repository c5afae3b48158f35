"""The server's side of one connection: handshake, dispatch, and the end of every call that was begun."""

from __future__ import annotations

import asyncio
import logging
import struct
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from zerohop.errors import (
    Internal,
    InvalidRequest,
    OutcomeUnknown,
    Overloaded,
    PeerRejected,
    ProtocolViolation,
    ZerohopError,
)
from zerohop.rpc.body import BodyReader, cut_stream
from zerohop.rpc.call import Call, Peer, RunningCall, StreamInCall, StreamOutCall
from zerohop.rpc.deadlines import Deadlines
from zerohop.rpc.frames import MAX_PAYLOAD_BYTES, FrameKind, frame
from zerohop.rpc.handshake import ServerHandshake
from zerohop.rpc.message import encode, encode_error
from zerohop.rpc.wire import HANDSHAKE_TIMEOUT_S, Wire, total_of

if TYPE_CHECKING:
    from zerohop.metrics import CallsOfOperation
    from zerohop.rpc.server import RpcServer, StreamInHandler, StreamOutHandler, SyncHandler, UnaryHandler

__all__ = ["Session"]

_log = logging.getLogger(__name__)
_timeout_ms = struct.Struct(">I")
_REQUEST = int(FrameKind.REQUEST)
_RESPONSE = int(FrameKind.RESPONSE)


class Session(Wire):
    """One accepted connection. Handlers of a connection that is lost are cancelled."""

    waits_for_reader = True

    def __init__(self, loop: asyncio.AbstractEventLoop, server: RpcServer) -> None:
        super().__init__(loop)
        self._server = server
        self._handshake = ServerHandshake(server.name, server.secret)
        self._handshake_timer: asyncio.TimerHandle | None = None
        self._running: dict[int, RunningCall] = {}
        self._deadlines = Deadlines(loop, self._expire)
        self._sync = server.sync_handlers
        self._calls = server.calls
        self._decode = server.messages.decode
        self.peer = Peer("", "", "", is_unix=False)

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        super().connection_made(transport)
        if not self._server.admit(self):
            self._bad_peer(Overloaded(f"{self._server.name} is at its limit of connections"))
            self.flush()
            self.transport.close()
            return
        self._handshake_timer = self._loop.call_later(HANDSHAKE_TIMEOUT_S, self.abort)

    def pause_writing(self) -> None:
        """Called by the loop: a peer that does not take its answers may not ask for more of them."""
        super().pause_writing()
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Called by the loop."""
        super().resume_writing()
        self._take_frames()
        if not self.write_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def _lost(self) -> None:
        self._server.forget(self)
        if self._handshake_timer is not None:
            self._handshake_timer.cancel()
        self._deadlines.close()
        for call in self._running.values():
            if call.body is not None:
                call.body.fail(cut_stream())
            call.task.cancel()

    def _bad_peer(self, error: ZerohopError) -> None:
        if isinstance(error, PeerRejected | ProtocolViolation):
            _log.warning("closing a connection from %s: %s", self.peer.process or "a stranger", error)
        self.send(frame(FrameKind.ERROR, 0, encode_error(error)))

    # Frames

    def _frame(self, kind: int, call_id: int, payload: bytes | memoryview) -> None:
        if kind == _REQUEST and self._handshake.done:
            assert isinstance(payload, bytes)
            self._on_request(call_id, payload)
        elif not self._handshake.done:
            self._shake_hands(kind, bytes(payload))
        elif kind == FrameKind.DATA or kind == FrameKind.END:
            self._on_body(kind, call_id, payload)
        elif kind == FrameKind.CANCEL:
            if (call := self._running.get(call_id)) is not None:
                call.task.cancel()
        else:
            raise ProtocolViolation(f"a client does not send frames of kind {kind}")

    def _shake_hands(self, kind: int, payload: bytes) -> None:
        for answer in self._handshake.receive(kind, payload):
            self.send(answer)
        if self._handshake.done and self._handshake.peer is not None:
            assert self._handshake_timer is not None
            self._handshake_timer.cancel()
            self._decoder.max_payload_bytes = MAX_PAYLOAD_BYTES
            name = self.transport.get_extra_info("peername")
            is_unix = not isinstance(name, tuple)
            address = "" if is_unix else f"{name[0]}:{name[1]}"
            self.peer = Peer(self._handshake.peer.process, self._handshake.peer.release, address, is_unix)

    def _on_request(self, call_id: int, payload: bytes) -> None:
        try:
            if len(payload) < 4:
                raise ProtocolViolation("a request without a time-out")
            timeout_s = _timeout_ms.unpack_from(payload)[0] / 1000
            request = self._decode(payload[4:])
            handler = self._sync.get(type(request))
            if handler is None:
                self._begin(call_id, request, timeout_s)
            else:
                self._answer_in_turn(call_id, request, timeout_s, handler)
        except ZerohopError as error:
            self._answer_error(call_id, error)
        except Exception:  # noqa: BLE001 - the funnel: any defect of a handler is logged and answered
            self._answer_error(call_id, self._defect())

    def _answer_in_turn(self, call_id: int, request: Any, timeout_s: float, handler: SyncHandler) -> None:
        started_s = perf_counter()
        try:
            response = handler(request, Call(self.peer, timeout_s, self._loop.time()))
            self.send(frame(_RESPONSE, call_id, encode(response)))
        except BaseException as error:
            self._calls[type(request)].ended(started_s, error)
            raise
        self._calls[type(request)].ended(started_s)

    def _on_body(self, kind: int, call_id: int, payload: bytes | memoryview) -> None:
        call = self._running.get(call_id)
        if call is None:
            return  # the handler failed early; what the client sent before it learned of it is dropped
        if call.body is None:
            raise ProtocolViolation("bytes for a call that takes none")
        if kind == FrameKind.DATA:
            assert isinstance(payload, memoryview)
            call.body.feed(payload)
        else:
            call.body.end(total_of(payload))

    # Handlers that run as tasks

    def _begin(self, call_id: int, request: Any, timeout_s: float) -> None:
        if call_id in self._running:
            raise ProtocolViolation("call id in use")
        self._server.begin_call(len(self._running))
        now = self._loop.time()
        kind = type(request)
        body: BodyReader | None = None
        if (stream_in := self._server.stream_in_handlers.get(kind)) is not None:
            body = BodyReader(timeout_s, self.transport.pause_reading, self._resume_body)
            work = self._run_stream_in(
                call_id, request, StreamInCall(self.peer, timeout_s, now, body), stream_in, body
            )
        elif (stream_out := self._server.stream_out_handlers.get(kind)) is not None:
            out = StreamOutCall(self.peer, timeout_s, now, self, call_id)
            work = self._run_stream_out(call_id, request, out, stream_out)
        else:
            work = self._run_unary(
                call_id, request, Call(self.peer, timeout_s, now), self._server.handlers[kind]
            )
            self._deadlines.add(call_id, now + timeout_s)
        task = self._loop.create_task(work, name=self._server.task_names[kind])
        self._running[call_id] = RunningCall(task, body)
        task.add_done_callback(partial(self._finish, call_id, self._calls[kind], perf_counter()))

    def _resume_body(self) -> None:
        if not self.write_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    async def _run_unary(self, call_id: int, request: Any, call: Call, handler: UnaryHandler) -> None:
        response = await handler(request, call)
        self.send(frame(_RESPONSE, call_id, encode(response)))

    async def _run_stream_in(
        self, call_id: int, request: Any, call: StreamInCall, handler: StreamInHandler, body: BodyReader
    ) -> None:
        response = await handler(request, call)
        if await body.read():
            raise InvalidRequest("the body is longer than the request announced")
        self.send(frame(_RESPONSE, call_id, encode(response)))

    async def _run_stream_out(
        self, call_id: int, request: Any, call: StreamOutCall, handler: StreamOutHandler
    ) -> None:
        await handler(request, call)
        if not call.responded:
            raise Internal("a handler of a stream did not respond")
        self.send_end(call_id, call.sent_bytes)

    def _expire(self, call_id: int) -> None:
        if (call := self._running.get(call_id)) is not None:
            call.expired = True
            call.task.cancel()

    def _finish(
        self, call_id: int, calls: CallsOfOperation, started_s: float, task: asyncio.Task[None]
    ) -> None:
        """Every task ends here: its error is answered, its place is free again."""
        calls.ended(started_s, self._failure(call_id, task))

    def _failure(self, call_id: int, task: asyncio.Task[None]) -> BaseException | None:
        call = self._running.pop(call_id)
        self._deadlines.discard(call_id)
        self._server.end_call()
        if call.body is not None and not self.closed:
            self._resume_body()
        error: BaseException | None
        if task.cancelled():
            if not call.expired:
                return asyncio.CancelledError()
            error = OutcomeUnknown("the time-out passed while the call ran", reason="deadline")
        else:
            error = task.exception()
        if error is None:
            return None
        if not isinstance(error, ZerohopError):
            error = self._defect(error)
        self._answer_error(call_id, error)
        return error

    def _defect(self, error: BaseException | None = None) -> Internal:
        _log.error("a handler of %s failed", self._server.name, exc_info=error or True)
        return Internal(f"{self._server.name} failed; its log has the cause")

    def _answer_error(self, call_id: int, error: ZerohopError) -> None:
        if not self.closed:
            self.send(frame(FrameKind.ERROR, call_id, encode_error(error)))

    # Closing

    @property
    def is_busy(self) -> bool:
        """Whether handlers are running."""
        return bool(self._running)

    def cancel_calls(self) -> list[asyncio.Task[None]]:
        """Cancels what runs, telling the callers; returns the tasks to wait for."""
        calls = list(self._running.items())
        for call_id, call in calls:
            self._answer_error(
                call_id, OutcomeUnknown(f"{self._server.name} is shutting down", reason="shutdown")
            )
            call.task.cancel()
        return [call.task for _, call in calls]

"""One client's connection: aiohttp's protocol with our limits, and errors in S3's form where parsing failed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import _ErrInfo

from zerohop_proxy import xml_out
from zerohop_proxy.answer import XML, HeadWriter
from zerohop_proxy.fair_share import FairShare
from zerohop_proxy.hot_reads import HotReads
from zerohop_proxy.http_request import HttpRequest
from zerohop_proxy.progress import ClientStalled, Progress
from zerohop_proxy.s3_errors import S3Error

__all__ = ["Connection", "ConnectionServer"]

_log = logging.getLogger(__name__)

_MAX_HEAD_BYTES: Final = 64 * 1024
"""Of a head that is still incomplete. The parser bounds each field and their number, which together allow 8 MiB."""
_RETRY: Final = ("Retry-After", "1")


Handle = Callable[[HttpRequest], Awaitable[bool]]
"""Answers a request; tells whether the connection goes on."""


class Connection(web.RequestHandler):
    """A client's connection."""

    __slots__ = (
        "_address",
        "_body",
        "_head_bytes",
        "_head_timer",
        "_hot_reads",
        "_link",
        "_parsed",
        "_unsent",
        "remote",
    )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._body: StreamReader | None = None  # of the request that was parsed last
        self._head_bytes = 0  # received of the head that is not complete yet
        self._head_timer: asyncio.TimerHandle | None = None
        self._address = ""
        self._parsed: HttpRequest | None = None  # the first of the messages, where it is known already
        self._unsent = False  # what `hot_reads` wrote is more than the client takes at once
        self.remote = "local"
        server = self._manager
        assert isinstance(server, ConnectionServer)
        self._hot_reads = server.hot_reads
        self._link = cast("asyncio.Transport", transport)
        server.open_links.add(self._link)
        server.accepted_count += 1
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self.remote = peer[0]
        if server.places.take(self.remote):
            self._address = self.remote
            self._head_timer = self._loop.call_later(server.header_timeout_s, self._expect_head)
        else:
            server.refused_count += 1
            self._refuse(S3Error("SlowDown", "Too many connections."))

    def connection_lost(self, exc: BaseException | None) -> None:
        server = self._manager
        if isinstance(server, ConnectionServer) and self._address:
            server.places.give(self._address)
            self._address = ""
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        self._body = None
        super().connection_lost(exc)
        if isinstance(server, ConnectionServer):
            server.open_links.discard(self._link)
            if not server.open_links:
                server.no_links.set()

    def data_received(self, data: bytes) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done() or self._messages or self._head_bytes or self._upgraded:
            self._receive(data)
        elif self._force_close or self._close:
            return
        elif self._hot_reads.answer_again(self, data):
            self._request_count += 1
            self._expect_next()
        else:
            self._waiter = None  # else aiohttp would wake the task for every request
            self._receive(data)
            self._waiter = waiter
            self._go_on(data, waiter)

    def _go_on(self, data: bytes, waiter: asyncio.Future[None]) -> None:
        """Wakes the task that waits for a request, where one has come that cannot be answered at once."""
        if self._force_close:
            waiter.cancel()
        elif self._messages and not self._is_answered(data) and not waiter.done():
            waiter.set_result(None)

    def _is_answered(self, data: bytes) -> bool:
        """Answers the one request that has come, if that can be done at once."""
        message, content = self._messages[0]
        if len(self._messages) > 1 or content is not EMPTY_PAYLOAD or isinstance(message, _ErrInfo):
            return False
        request = HttpRequest(message, content, self)
        if not self._hot_reads.answer(self, message, request, data):
            self._parsed = request
            return False
        self._messages.clear()
        self._make_room()
        self._expect_next()
        return True

    def write_whole(self, answer: bytes) -> None:
        """Writes an answer between two requests; the task is woken if the client has to be waited for."""
        assert self.transport is not None
        self.transport.write(answer)
        if self._paused:
            assert self._waiter is not None
            self._unsent = True
            self._waiter.set_result(None)

    def _receive(self, data: bytes) -> None:
        """What aiohttp does with it, and what it leaves open."""
        parsed = self._request_count
        awaits_head = not self._buffer_paused and (self._body is None or self._body.is_eof())
        super().data_received(data)
        if self._request_count != parsed and self._messages:
            self._head_bytes = 0
            message, body = self._messages[-1]
            if isinstance(message, _ErrInfo):
                self._break_bodies()
            else:
                self._body = body
        elif awaits_head:
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD_BYTES:
                self._refuse(S3Error("RequestHeaderSectionTooLarge", MaxSizeAllowed=str(_MAX_HEAD_BYTES)))

    async def drain(self, progress: Progress) -> None:
        """Until the transport's buffer has room. Raises ClientStalled for a client that takes too little of it, and
        ConnectionError for one that is gone.
        """
        left = self._unsent_bytes()
        while True:
            before = left
            try:
                await progress.during(self._drained())
            except ClientStalled:
                left = self._unsent_bytes()
                if not progress.excuses(before - left):
                    raise
            else:
                return

    def _unsent_bytes(self) -> int:
        if self.transport is None:
            raise ConnectionResetError("the client is gone")
        return self.transport.get_write_buffer_size()

    async def _drained(self) -> None:
        if self._paused:
            await self._drain_helper()

    def _break_bodies(self) -> None:
        """What came cannot be parsed: bodies still open will never end, and nobody else tells those who read them."""
        open_bodies = [body for _, body in self._messages]
        if self._current_request is not None:
            open_bodies.append(self._current_request.content)
        for body in open_bodies:
            if not body.is_eof():
                body.set_exception(web.RequestPayloadError("the framing of the body is broken"))

    def _expect_head(self) -> None:
        """A connection that has not sent one whole head by now holds a place for nothing."""
        self._head_timer = None
        if self._request_count == 0:
            self.force_close()

    def _refuse(self, error: S3Error) -> None:
        """Answer without a request, if nobody else is answering, and close."""
        server = self._manager
        assert isinstance(server, ConnectionServer)
        if self.transport is not None and self._current_request is None and not self._messages:
            self._write_refusal(error, server.heads.new_request_id())
        self.force_close()

    def _write_refusal(self, error: S3Error, request_id: str) -> None:
        """Answers what has become no request."""
        server = self._manager
        assert isinstance(server, ConnectionServer)
        assert self.transport is not None
        body = xml_out.error(error.code, error.message, "/", request_id, server.heads.host_id, error.elements)
        headers = [XML, _RETRY] if error.status == 503 else [XML]
        head = server.heads.head(error.status, headers, len(body), request_id, "close")
        self.transport.write(head + body)

    async def start(self) -> None:
        """Answer the requests one after another, in the one task of the connection.

        In place of aiohttp's loop, which makes a task, a request full of caches and a writer for each: MEASURED.
        """
        server = self._manager
        assert isinstance(server, ConnectionServer)
        while not self._force_close:
            if not self._messages:
                await self._next_message()
                if not self._messages:
                    break
            message, content = self._messages.popleft()
            self._make_room()
            if isinstance(message, _ErrInfo):
                self._answer_unparsed(message, server)
                break
            if not await self._answer(message, content, server.handle):
                break
            if self._close or not content.is_eof():
                break  # told to end, or the next request could not be told from the rest of this one's body
            if self._upgraded and not self._messages:
                self._stay_with_http()
            self._expect_next()
        self._task_handler = None
        if self.transport is not None:
            self.transport.close()

    async def _next_message(self) -> None:
        while not (self._messages or self._force_close or self._close):
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
            if self._unsent:
                self._unsent = False
                await self._send_rest()

    def _expect_next(self) -> None:
        """A request was answered: from now on the connection is idle."""
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(
                self._next_keepalive_close_time, self._process_keepalive
            )

    async def _send_rest(self) -> None:
        """Of an answer by `hot_reads`: a client that does not take it is cut off."""
        server = self._manager
        assert isinstance(server, ConnectionServer)
        try:
            await self.drain(server.new_progress())
        except OSError:
            if self.transport is not None:
                self.transport.abort()
        self._expect_next()

    def _stay_with_http(self) -> None:
        """The client offered another protocol, or asked for a tunnel; what it has sent since is HTTP after all."""
        if self._parser is None:
            return
        self._parser.set_upgraded(False)
        self._upgraded = False
        tail, self._message_tail = self._message_tail, b""
        if tail:
            self.data_received(tail)
        if self._buffer_paused:
            self._resume_reading_if_drained()

    def _make_room(self) -> None:
        """One request less is queued: the parser may go on, and so may the client when it was held up."""
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()

    async def _answer(self, message: RawRequestMessage, content: StreamReader, handle: Handle) -> bool:
        """Whether the connection goes on."""
        request, self._parsed = self._parsed or HttpRequest(message, content, self), None
        self._current_request = cast("web.BaseRequest", request)  # for aiohttp, which breaks its body off
        self._request_in_progress = True
        try:
            return await handle(request)
        except Exception:  # noqa: BLE001 - a defect, since `handle` answers whatever happens
            _log.exception("unhandled error")
            return False
        finally:
            self._current_request = None
            self._request_in_progress = False
            if self._handler_waiter is not None and not self._handler_waiter.done():
                self._handler_waiter.set_result(None)

    def _answer_unparsed(self, problem: _ErrInfo, server: ConnectionServer) -> None:
        if self.transport is None:
            return
        if isinstance(problem.exc, LineTooLong):
            error = S3Error("RequestHeaderSectionTooLarge", MaxSizeAllowed=str(problem.exc.args[1]))
        else:
            error = S3Error("BadRequest", problem.message or "The request cannot be parsed.")
        request_id = server.heads.new_request_id()
        server.note_unparsed(
            self.remote, request_id, error
        )  # first, so that who has the answer finds the line
        self._write_refusal(error, request_id)


class ConnectionServer(web.Server):
    """Makes the connections."""

    places: FairShare
    """Of connections, by source address."""
    header_timeout_s: float
    note_unparsed: Callable[[str, str, S3Error], None]
    """Told of the client's address, the id of the request that was none, and the answer."""
    heads: HeadWriter
    hot_reads: HotReads
    new_progress: Callable[[], Progress]
    """The pace that is asked of a client while it takes one body."""
    accepted_count = 0
    refused_count = 0
    # Transports whose end has not been reported: aiohttp forgets them once they are told to close.
    open_links: set[asyncio.Transport]
    no_links: asyncio.Event

    def __init__(self, handle: Handle, **settings: Any) -> None:
        """`settings` are those of aiohttp's connections."""
        super().__init__(
            cast("Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]", handle), **settings
        )
        self.handle = handle

    def __call__(self) -> web.RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)

"""One client's connection: aiohttp's protocol with our limits, and errors in S3's form where parsing failed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, cast

from aiohttp import web
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import _ErrInfo

from zerohop_proxy import xml_out
from zerohop_proxy.fair_share import FairShare
from zerohop_proxy.s3_errors import S3Error

__all__ = ["Connection", "ConnectionServer"]

_log = logging.getLogger(__name__)

_MAX_HEAD_BYTES: Final = 64 * 1024
"""Of a head that is still incomplete. The parser bounds each field and their number, which together allow 8 MiB."""
_REFUSAL: Final = (
    b"HTTP/1.1 %s\r\nServer: zerohop\r\nRetry-After: 1\r\nContent-Type: application/xml\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%s"
)
_STATUS: Final = {400: b"400 Bad Request", 503: b"503 Service Unavailable"}


class Connection(web.RequestHandler):
    """A client's connection."""

    __slots__ = ("_address", "_body", "_head_bytes", "_head_timer", "_link")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._body: StreamReader | None = None  # of the request that was parsed last
        self._head_bytes = 0  # received of the head that is not complete yet
        self._head_timer: asyncio.TimerHandle | None = None
        self._address = ""
        server = self._manager
        if not isinstance(server, ConnectionServer):
            return
        self._link = cast("asyncio.Transport", transport)
        server.open_links.add(self._link)
        server.accepted_count += 1
        peer = transport.get_extra_info("peername")
        address = peer[0] if isinstance(peer, tuple) else "local"
        if server.places.take(address):
            self._address = address
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
        if self.transport is not None and self._current_request is None and not self._messages:
            body = xml_out.error(error.code, error.message, "/", "", "", error.elements)
            self.transport.write(_REFUSAL % (_STATUS[error.status], len(body), body))
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= 500:
            _log.error("unhandled error", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionResetError("the response has begun")
        code = "InternalError" if status >= 500 else "BadRequest"
        body = xml_out.error(code, message or "The request cannot be parsed.", request.raw_path, "", "")
        response = web.Response(status=status, body=body, content_type="application/xml")
        response.headers["Server"] = "zerohop"
        response.headers["Connection"] = "close"
        response.force_close()
        if isinstance(self._manager, ConnectionServer):
            self._manager.note_unparsed(request, status, code)
        return response


class ConnectionServer(web.Server):
    """Makes the connections."""

    places: FairShare
    """Of connections, by source address."""
    header_timeout_s: float
    note_unparsed: Callable[[web.BaseRequest, int, str], None]
    accepted_count = 0
    refused_count = 0
    # Transports whose end has not been reported: aiohttp forgets them once they are told to close.
    open_links: set[asyncio.Transport]
    no_links: asyncio.Event

    def __call__(self) -> web.RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)

"""The HTTP server: aiohttp's low-level one, with our limits, errors as S3 gives them, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final, cast

from aiohttp import web

from zerohop_proxy import xml_out
from zerohop_proxy.funnel import Funnel

__all__ = ["S3Server"]

_log = logging.getLogger(__name__)

_MAX_LINE_BYTES: Final = 16 * 1024
"""A key of 1024 bytes is 3 KiB percent-encoded; presigned URLs and copy sources carry it with long tokens besides."""
_MAX_HEADERS: Final = 512
"""2 KiB of user metadata may be some hundred short headers."""
_BACKLOG: Final = 1024
_LAST_CALL_S: Final = 0.1
"""aiohttp waits this long, twice, for handlers before it cancels them; they have had the drain already."""
_CLEANUP_S: Final = 5.0
"""What cancelled requests get to close what they hold."""
_GOODBYE_S: Final = 1.0
"""How long a closed connection waits for the client to take the last bytes and, under TLS, to end the session too."""
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nServer: zerohop\r\nRetry-After: 1\r\nContent-Type: application/xml\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%s"
)


class _Connection(web.RequestHandler):
    """A client's connection. Answers in S3's form where the request could not even be parsed."""

    __slots__ = ("_link",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        server = self._manager
        if isinstance(server, _Server):
            self._link = cast("asyncio.Transport", transport)
            server.open_links.add(self._link)
            server.accepted_count += 1
        if isinstance(server, _Server) and len(server.connections) > server.max_connections:
            server.refused_count += 1
            body = xml_out.error("SlowDown", "Too many connections.", "/", "", "")
            assert self.transport is not None
            self.transport.write(_FULL % (len(body), body))
            self.force_close()
        elif isinstance(server, _Server):
            self._loop.call_later(server.header_timeout_s, self._expect_head)

    def connection_lost(self, exc: BaseException | None) -> None:
        server = self._manager
        super().connection_lost(exc)
        if isinstance(server, _Server):
            server.open_links.discard(self._link)
            if not server.open_links:
                server.no_links.set()

    def _expect_head(self) -> None:
        """A connection that has not sent one whole head by now holds a place for nothing."""
        if self._request_count == 0:
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
        response.force_close()
        if isinstance(self._manager, _Server):
            self._manager.note_unparsed(request, status, code)
        return response


class _Server(web.Server):
    max_connections: int
    header_timeout_s: float
    note_unparsed: Callable[[web.BaseRequest, int, str], None]
    accepted_count = 0
    refused_count = 0
    # Transports whose end has not been reported: aiohttp forgets them once they are told to close.
    open_links: set[asyncio.Transport]
    no_links: asyncio.Event

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class S3Server:
    """Serves on one listening socket until it is stopped."""

    def __init__(
        self, funnel: Funnel, *, max_connections: int, header_timeout_s: float, idle_timeout_s: float
    ) -> None:
        self._funnel = funnel
        self._http = _Server(
            funnel.handle,
            auto_decompress=False,  # a gzip body is stored as it comes
            access_log=None,
            keepalive_timeout=idle_timeout_s,
            lingering_time=0,  # the responder settles unread bodies, within bounds of its own
            max_line_size=_MAX_LINE_BYTES,
            max_field_size=_MAX_LINE_BYTES,
            max_headers=_MAX_HEADERS,
        )
        self._http.max_connections = max_connections
        self._http.header_timeout_s = header_timeout_s
        self._http.open_links = set()
        self._http.no_links = asyncio.Event()
        self._http.note_unparsed = funnel.note_unparsed
        self._listener: asyncio.Server | None = None

    @property
    def is_accepting(self) -> bool:
        """Whether clients can connect."""
        return self._listener is not None and self._listener.is_serving()

    @property
    def connection_count(self) -> int:
        """Connections that are open."""
        return len(self._http.connections)

    @property
    def accepted_count(self) -> int:
        """Connections since the start, refused ones included."""
        return self._http.accepted_count

    @property
    def refused_count(self) -> int:
        """Connections that were one too many."""
        return self._http.refused_count

    async def start(self, listening: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Accept connections on `listening`, which the server owns from now on; with `tls` HTTPS alone."""
        loop = asyncio.get_running_loop()
        if tls is None:
            self._listener = await loop.create_server(self._http, sock=listening, backlog=_BACKLOG)
            return
        self._listener = await loop.create_server(
            self._http,
            sock=listening,
            backlog=_BACKLOG,
            ssl=tls,
            ssl_handshake_timeout=self._http.header_timeout_s,
            ssl_shutdown_timeout=_GOODBYE_S,
        )

    async def stop(self, drain_s: float) -> None:
        """Take no more connections, let requests in flight finish for `drain_s`, then cut what is left."""
        if self._listener is not None:
            self._listener.close()
        self._funnel.begin_drain()
        busy = self._funnel.busy
        for connection in self._http.connections:
            # aiohttp drops the rest of a body once a connection is told to close, so only the idle ones are told.
            if connection not in busy:
                connection.close()
        await self._wait_idle(drain_s)
        await self._http.shutdown(_LAST_CALL_S)
        await self._wait_idle(_CLEANUP_S)
        await self._wait_lost(_GOODBYE_S)
        for link in tuple(self._http.open_links):
            link.abort()
        # A TLS connection that still waits for its client's goodbye would keep uvloop from closing, for ever.
        await self._wait_lost(_CLEANUP_S)
        if self._listener is not None:
            await self._listener.wait_closed()

    async def _wait_lost(self, timeout_s: float) -> None:
        if not self._http.open_links:
            return
        self._http.no_links.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._http.no_links.wait()

    async def _wait_idle(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._funnel.wait_idle()

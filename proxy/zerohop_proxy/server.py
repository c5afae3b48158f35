"""The HTTP server: aiohttp's low-level one, with our limits, errors as S3 gives them, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from typing import Final

from zerohop_proxy.fair_share import FairShare
from zerohop_proxy.funnel import Funnel
from zerohop_proxy.tls_listener import SecureServer, TlsListener

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


class S3Server:
    """Serves on one listening socket until it is stopped."""

    def __init__(
        self, funnel: Funnel, *, places: FairShare, header_timeout_s: float, idle_timeout_s: float
    ) -> None:
        self._funnel = funnel
        self._http = SecureServer(
            funnel.handle,
            auto_decompress=False,  # a gzip body is stored as it comes
            access_log=None,
            keepalive_timeout=idle_timeout_s,
            lingering_time=0,  # the responder settles unread bodies, within bounds of its own
            max_line_size=_MAX_LINE_BYTES,
            max_field_size=_MAX_LINE_BYTES,
            max_headers=_MAX_HEADERS,
        )
        self._http.places = places
        self._http.header_timeout_s = header_timeout_s
        self._http.open_links = set()
        self._http.no_links = asyncio.Event()
        self._http.note_unparsed = funnel.accounts.unparsed
        self._http.heads = funnel.heads
        self._http.hot_reads = funnel.hot_reads
        self._http.new_progress = funnel.new_progress
        self._listener: asyncio.Server | TlsListener | None = None

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
        self._listener = TlsListener(
            self._http,
            listening,
            tls,
            backlog=_BACKLOG,
            handshake_timeout_s=self._http.header_timeout_s,
            shutdown_timeout_s=_GOODBYE_S,
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

"""The way back to the client: one object per request, which knows what has been sent already."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from zerohop_proxy.admission import Ticket
from zerohop_proxy.answer import Answer, Headers, HeadWriter
from zerohop_proxy.http_request import HttpRequest
from zerohop_proxy.progress import Progress
from zerohop_proxy.routing import Route
from zerohop_proxy.s3_errors import S3Error

__all__ = ["Responder"]

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_WORTH_READING_BYTES: Final = 64 * 1024
"""An unread body up to this size is read and dropped so that the connection can be kept."""
_DISCARD_BYTES: Final = 4 * 1024 * 1024
_DISCARD_S: Final = 2.0
"""What is read of a refused body after the answer, so that the answer is not lost to a reset: clients that
send everything before they read anything get it for bodies up to this size, others at once."""


class Responder:
    """Writes the response to one request. Used by one task at a time.

    `started` is true once a byte of the head may be on the wire: from then on, the only way to tell of a failure is
    to cut the connection (`abort`).
    """

    __slots__ = (
        "_connection",
        "_continue_wanted",
        "_heads",
        "_ticket",
        "error_code",
        "first_byte_s",
        "http",
        "keep_alive",
        "progress",
        "request_id",
        "sent_bytes",
        "source",
        "started",
        "status",
        "user",
        "where",
    )

    def __init__(
        self, http: HttpRequest, heads: HeadWriter, progress: Progress, ticket: Ticket | None
    ) -> None:
        """`ticket` is None for a request that there is no room for."""
        self.http = http
        self.request_id = heads.new_request_id()
        self.status = 0
        self.started = False
        self.sent_bytes = 0
        self.keep_alive = http.keep_alive
        # For the access log: what the request turned out to be, and when its answer began, on the monotonic clock.
        self.where: Route | None = None
        self.user = ""
        self.error_code = ""
        self.source = ""
        self.first_byte_s = 0.0
        self._heads = heads
        self.progress = progress
        self._ticket = ticket
        # HTTP/1.0 knows no 100 (RFC 9110 10.1.1); other expectations are ignored, as S3 does.
        expect = http.raw.headers.get("expect", "")
        self._continue_wanted = bool(expect) and expect.lower() == "100-continue" and http.version >= (1, 1)

    @property
    def host_id(self) -> str:
        return self._heads.host_id

    def admitted(self) -> Ticket:
        """What the request holds of the process; raises S3Error SlowDown when it was not let in."""
        if self._ticket is None:
            raise S3Error("SlowDown")
        return self._ticket

    def reserve(self, size_bytes: int) -> None:
        """So many bytes more are going to be held in memory; raises S3Error SlowDown when there is no room."""
        if not self.admitted().buffer(size_bytes):
            raise S3Error("SlowDown")

    @property
    def transport(self) -> asyncio.Transport:
        """The transport; raises ConnectionResetError when the client is gone."""
        transport = self.http.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        return transport

    @property
    def is_continue_wanted(self) -> bool:
        """Whether the client waits for a `100 Continue`."""
        return self._continue_wanted

    def ask_for_body(self) -> None:
        """The request is going to be accepted: send `100 Continue` if the client waits for it."""
        if self._continue_wanted:
            self._continue_wanted = False
            if self.http.content.total_bytes == 0:  # a client that did not wait needs none
                self.transport.write(_CONTINUE)

    def head(self, status: int, headers: Headers, length_bytes: int | None) -> bytes:
        """The head of the response, which the caller is going to write. Decides on the connection's fate."""
        head = self._heads.head(status, headers, length_bytes, self.request_id, self._connection_value())
        self._begins(status)
        return head

    def head_of(self, status: int, lines: bytes) -> bytes:
        """The same with headers that are written already, the length among them."""
        head = self._heads.head_of(status, lines, self.request_id, self._connection_value())
        self._begins(status)
        return head

    def _begins(self, status: int) -> None:
        self.status = status
        self.started = True
        self.first_byte_s = self._heads.monotonic_s()

    def _connection_value(self) -> str:
        """Of the Connection header, "" for none."""
        self._decide_keep_alive()
        if not self.keep_alive:
            return "close"
        return "" if self.http.version >= (1, 1) else "keep-alive"

    def came_from(self, source: str) -> None:
        """Bytes of the object come from there: `INLINE`, a tier, `UNDER`, or `REMOTE` when a worker relays them."""
        if not self.source:
            self.source = source
        elif source not in self.source.split("+"):
            self.source = f"{self.source}+{source}"

    async def send(self, answer: Answer) -> None:
        """Write a whole response."""
        without_body = self.http.raw.method == "HEAD" or answer.status in (204, 304)
        # RFC 9110 8.6: to HEAD only the length that GET would give; an error's would be another one.
        length = None if without_body and answer.status >= 300 else len(answer.body)
        head = self.head(answer.status, answer.headers, length)
        await self.write(head if without_body or not answer.body else head + answer.body)
        self.sent_bytes = 0 if without_body else len(answer.body)

    async def write(self, data: bytes | memoryview) -> None:
        """Write through the transport; returns when its buffer has room again."""
        self.transport.write(data)
        if self.http.connection.writing_paused:
            await self.drain()
        self.progress.moved(len(data))

    async def drain(self) -> None:
        """Until the transport's buffer has room. Raises ClientStalled for a client that takes too little of it."""
        await self.http.connection.drain(self.progress)

    def abort(self) -> None:
        """Cut the connection: what the client has is not the whole."""
        self.keep_alive = False
        transport = self.http.transport
        if transport is not None:
            transport.abort()

    async def settle_body(self) -> None:
        """After the answer: get rid of what is left of the request's body, within bounds."""
        content = self.http.content
        if content.is_eof():
            return
        if not self.keep_alive:
            transport = self.http.transport
            if transport is None or transport.is_closing():
                return
            if transport.can_write_eof():  # under TLS the answer's length and `Connection: close` have to do
                transport.write_eof()
        left_bytes = _DISCARD_BYTES
        try:
            async with asyncio.timeout(_DISCARD_S):
                while left_bytes > 0 and not content.at_eof():
                    left_bytes -= len(await content.readany())
        except (TimeoutError, OSError, web.RequestPayloadError):
            self.keep_alive = False

    def _decide_keep_alive(self) -> None:
        if self._heads.is_closing:
            self.keep_alive = False
        if not self.keep_alive or self.http.content.is_eof():
            return
        # The body has not come whole. Who waits for a 100 that never comes may send it or not: nobody can tell.
        length = self.http.raw.headers.get("content-length", "")
        if self._continue_wanted or not length.isdecimal() or int(length) > _WORTH_READING_BYTES:
            self.keep_alive = False

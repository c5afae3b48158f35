"""One request as the HTTP parser gave it, and the connection that it came over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader

from zerohop_proxy.raw_request import RawRequest

if TYPE_CHECKING:
    from zerohop_proxy.connection import Connection

__all__ = ["HttpRequest"]


class HttpRequest:
    """What the funnel gets. One is made for every request, so it holds what is there and computes nothing."""

    __slots__ = ("connection", "content", "keep_alive", "raw", "version")

    def __init__(self, message: RawRequestMessage, content: StreamReader, connection: Connection) -> None:
        # The parser lets `CONNECT` without a target pass, with None for it.
        self.raw = RawRequest.from_wire(message.method, message.path or "", message.raw_headers)
        self.version: tuple[int, int] = message.version
        self.keep_alive = not message.should_close
        self.content = content
        self.connection = connection

    @property
    def remote(self) -> str:
        """The client's address, `local` where it has none."""
        return self.connection.remote

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return "http" if self.connection.ssl_context is None else "https"

    @property
    def transport(self) -> asyncio.Transport | None:
        """None once the connection is lost."""
        return self.connection.transport

    def _cancel(self, error: BaseException) -> None:
        """Called by aiohttp when the connection is lost: who waits for the rest of the body waits in vain."""
        self.content.set_exception(error)

"""A requester that sends exactly what it is given: what SDKs do not send."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

__all__ = ["RawConnection", "RawResponse"]

_PATIENCE_S = 20.0


@dataclass
class RawResponse:
    """`headers` by lower-case name; `body` is as long as Content-Length said, or up to the end of the connection."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def code(self) -> str:
        """The error code of an S3 error document, "" for none."""
        return self.body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode()


class RawConnection:
    """One connection to a proxy on loopback."""

    def __init__(self, port: int, *, source: str = "127.0.0.1") -> None:
        """`source` is the address that the connection comes from."""
        self.port = port
        self._source = source
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self.port, limit=1 << 20, local_addr=(self._source, 0)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    async def send(self, text: str | bytes) -> None:
        self.writer.write(text.encode() if isinstance(text, str) else text)
        await self.writer.drain()

    async def request(
        self, line: str, *headers: str, body: bytes = b"", host: str = "localhost"
    ) -> RawResponse:
        """Send one request with a Host header, and Content-Length where there is a body; read the response."""
        lines = [line, f"Host: {host}", *headers]
        if body and not any(header.lower().startswith("transfer-encoding") for header in headers):
            lines.append(f"Content-Length: {len(body)}")
        await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return await self.response(line.partition(" ")[0])

    async def response(self, method: str = "GET") -> RawResponse:
        """The next response on the connection (a 100 is one too)."""
        async with asyncio.timeout(_PATIENCE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status_line, *lines = head.rstrip("\r\n").split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            response = RawResponse(int(status_line.split(" ")[1]), headers)
            if method == "HEAD" or response.status in (100, 204, 304):
                return response
            if "content-length" in headers:
                response.body = await self.reader.readexactly(int(headers["content-length"]))
            else:
                response.body = await self.reader.read()
            return response

    async def is_closed(self) -> bool:
        """Whether the server has closed the connection, after nothing more than what was read."""
        async with asyncio.timeout(_PATIENCE_S):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True

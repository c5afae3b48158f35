"""An HTTP/1.1 reader that costs next to nothing: bodies land in one buffer and are only counted."""

from __future__ import annotations

import asyncio
from typing import cast
from urllib.parse import urlsplit

__all__ = ["HttpReader"]

_BUFFER_BYTES = 1 << 20
_MAX_HEAD_BYTES = 64 << 10


class HttpReader(asyncio.BufferedProtocol):
    """One connection, one request at a time."""

    def __init__(self, host: str, prefix: str) -> None:
        self._host = host
        self._prefix = prefix
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._head = bytearray()
        self._left_bytes = -1  # of the body; -1 while the head is being read
        self._expected_bytes = 0
        self._done: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)

    @classmethod
    async def connect(cls, endpoint: str) -> HttpReader:
        """Connects to the host and port of `http://host:port[/prefix]`. Raises OSError."""
        parts = urlsplit(endpoint)
        if parts.scheme != "http" or parts.hostname is None:
            raise ConnectionError(f"{endpoint} is no http:// endpoint")
        reader = cls(parts.netloc, parts.path.rstrip("/"))
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: reader, parts.hostname, parts.port or 80)
        return reader

    async def get(self, path: str, expected_bytes: int) -> None:
        """GETs `path` and takes the whole body. Raises ConnectionError unless it is a 200 of `expected_bytes`."""
        self._done = asyncio.get_running_loop().create_future()
        self._head.clear()
        self._left_bytes, self._expected_bytes = -1, expected_bytes
        self._transport.write(f"GET {self._prefix}{path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())
        await self._done

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Called by the loop."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Called by the loop."""
        if self._left_bytes < 0:
            self._head += self._buffer[:nbytes]
            nbytes = self._take_head()
        if self._left_bytes >= 0:
            self._left_bytes -= nbytes
            if self._left_bytes <= 0:
                self._finish(None if self._left_bytes == 0 else ConnectionError("more bytes than announced"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._finish(ConnectionError(f"the connection was lost in the middle of an answer: {exc}"))

    def _take_head(self) -> int:
        """Reads the head, if it is whole; returns the bytes of the body that came with it."""
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            if len(self._head) > _MAX_HEAD_BYTES:
                self._finish(ConnectionError("no end of the head of an answer"))
            return 0
        status, *lines = self._head[:end].decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if status.split(" ")[1] != "200" or fields.get("content-length") != str(self._expected_bytes):
            self._finish(
                ConnectionError(
                    f"the endpoint answered {status!r}; the bench needs one that accepts anonymous requests"
                )
            )
            return 0
        self._left_bytes = self._expected_bytes
        return len(self._head) - end - 4

    def _finish(self, error: Exception | None) -> None:
        if self._done is not None and not self._done.done():
            if error is None:
                self._done.set_result(None)
            else:
                self._done.set_exception(error)

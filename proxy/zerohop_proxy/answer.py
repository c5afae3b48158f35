"""What a handler answers, and how the head of a response is written.

Heads are built as one string: a response of 4 KiB costs about as much as its head, so nothing here goes through a
header container. Source of the common headers: S3 API reference, "Common Response Headers".
"""

from __future__ import annotations

import base64
import hashlib
import os
import random
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from zerohop.clock import Clock
from zerohop_proxy.conditions import http_date

__all__ = ["XML", "Answer", "HeadWriter", "Headers", "header_lines"]

Headers = list[tuple[str, str]]

XML: Final = ("Content-Type", "application/xml")

_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_BODILESS: Final = (204, 304)


@dataclass(slots=True)
class Answer:
    """A whole response: `body` is written after the head in one piece, and left out for HEAD, 204 and 304."""

    status: int = 200
    headers: Headers = field(default_factory=list)
    body: bytes = b""

    @classmethod
    def xml(cls, document: bytes, headers: Iterable[tuple[str, str]] = ()) -> Answer:
        """A 200 with an XML document."""
        return cls(200, [XML, *headers], document)


class HeadWriter:
    """Writes status line and headers. One per process: what changes once a second at most is kept."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.monotonic_s = clock.monotonic_s
        self.is_closing = False
        """Set when the process drains: every response then ends its connection."""
        # Opaque to clients, but equal for all requests of one process: support finds the log with it.
        seed = f"{socket.gethostname()}:{os.getpid()}:{clock.now_s()}".encode()
        self.host_id = base64.b64encode(hashlib.sha384(seed).digest()).decode()
        self._second = -1
        self._common = b""

    def new_request_id(self) -> str:
        """16 characters that name one request in logs and answers; not secret."""
        return f"{random.getrandbits(64):016X}"

    def head(
        self, status: int, headers: Headers, length_bytes: int | None, request_id: str, connection: str
    ) -> bytes:
        """The bytes up to and with the empty line. `connection` is the Connection header's value or "".

        `length_bytes` None writes no Content-Length. Raises ValueError for a header that holds a line break.
        """
        if length_bytes is not None and status not in _BODILESS:
            headers = [*headers, ("Content-Length", str(length_bytes))]
        return self.head_of(status, header_lines(headers), request_id, connection)

    def head_of(self, status: int, lines: bytes, request_id: str, connection: str) -> bytes:
        """The same for headers that are written already."""
        second = int(self._clock.now_s())
        if second != self._second:
            self._second = second
            self._common = (
                f"Date: {http_date(second * 1000)}\r\nServer: zerohop\r\n"
                f"x-amz-id-2: {self.host_id}\r\nx-amz-request-id: "
            ).encode()
        last = f"{request_id}\r\nConnection: {connection}\r\n\r\n" if connection else f"{request_id}\r\n\r\n"
        return b"".join((_STATUS_LINES[status], lines, self._common, last.encode()))


def header_lines(headers: Headers) -> bytes:
    """The lines of the headers. Raises ValueError for a header that holds a line break."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    # A value from a query parameter or a stored record must not start a header of its own.
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise ValueError("a response header holds a line break")
    return lines.encode("latin-1", "replace")

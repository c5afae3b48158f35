"""Asking an admin port: a plain HTTP client over Unix sockets and TCP."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Reply", "ask", "eventually"]

_PATIENCE_S = 30.0


class Reply(NamedTuple):
    """A whole answer."""

    status: int
    headers: dict[str, str]
    text: str


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_PATIENCE_S)
        self.sock.connect(self._path)


def ask(address: str, path: str, *, method: str = "GET", accept: str = "") -> Reply:
    """One request to `unix:/path` or `tcp://host:port`."""
    if address.startswith("unix:"):
        connection: http.client.HTTPConnection = _Connection(address.removeprefix("unix:"))
    else:
        connection = http.client.HTTPConnection(address.removeprefix("tcp://"), timeout=_PATIENCE_S)
    try:
        connection.request(method, path, headers={"Accept": accept} if accept else {})
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, headers, answer.read().decode())
    finally:
        connection.close()


def eventually(predicate: Callable[[], object], what: str) -> None:
    """Asks again and again, for what no event tells of."""
    deadline_s = time.monotonic() + _PATIENCE_S
    never = threading.Event()
    while not predicate():
        assert time.monotonic() < deadline_s, f"it never came to be: {what}"
        never.wait(0.02)

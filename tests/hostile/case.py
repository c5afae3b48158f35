"""One hostile exchange, and the answers that are right for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.hostile.signer import Signer

__all__ = ["CLOSED", "PARTIAL", "Case", "Then", "bad", "head", "put", "request"]

PARTIAL: Final = "/hostile/partial/"
"""Keys under which nothing may ever appear."""

CLOSED: Final = "closed"
"""The server cuts the connection without an answer."""

Bytes = bytes | Callable[[Signer], bytes]


class Then:
    """What the client does after it has sent everything."""

    READ: Final = "read"
    """Reads the answer; the connection must then be closed, or still be in step."""
    HALF_CLOSE: Final = "half-close"
    """Shuts its sending side and reads to the end."""
    LEAVE: Final = "leave"
    """Closes without reading."""
    RESET: Final = "reset"
    """Resets the connection without reading."""


@dataclass(frozen=True)
class Case:
    """`answers` names the right ones: `400 InvalidArgument`, `200` (a legal oddity), or `closed`.

    `sends` are written one after another, each in a segment of its own. `more_answers` is how many further answers the
    bytes ask for (pipelined requests), each of which must be one of `answers` too.
    """

    name: str
    sends: tuple[Bytes, ...]
    answers: frozenset[str]
    then: str = Then.READ
    more_answers: int = 0

    def wire(self, signer: Signer) -> list[bytes]:
        """What goes over the wire."""
        return [piece if isinstance(piece, bytes) else piece(signer) for piece in self.sends]


def bad(name: str, answers: str, *sends: Bytes, then: str = Then.READ, more_answers: int = 0) -> Case:
    """A case; `answers` separated by ` | `."""
    return Case(name, sends, frozenset(answers.split(" | ")), then, more_answers)


def head(line: str | bytes, *fields: str | bytes, host: str | None = "localhost") -> bytes:
    """Request line, Host, and the given fields as they are."""
    lines = [line, *([f"Host: {host}"] if host is not None else []), *fields]
    return b"\r\n".join(item if isinstance(item, bytes) else item.encode() for item in lines) + b"\r\n\r\n"


def request(line: str | bytes, *fields: str | bytes, body: bytes = b"") -> bytes:
    """A whole request; the length is said only where there is a body."""
    length = (f"Content-Length: {len(body)}",) if body else ()
    return head(line, *fields, *length) + body


def put(name: str, *fields: str | bytes, body: bytes = b"") -> bytes:
    """A PUT of an object that must never come to be; says no length."""
    return head(f"PUT {PARTIAL}{name} HTTP/1.1", *fields) + body

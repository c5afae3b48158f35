"""Carrying one hostile exchange out over a socket, and judging what comes back."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.hostile.case import CLOSED, Case, Then

__all__ = ["Answer", "Client", "Hang", "carry_out", "judge"]

_PATIENCE_S: Final = 20.0
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s


class Hang(AssertionError):
    """Nothing came for longer than any time-out of the server."""


@dataclass(frozen=True)
class Answer:
    """One response; `closes` when it says so, or is one of HTTP/1.0."""

    status: int
    code: str
    closes: bool
    body: bytes = b""

    def __str__(self) -> str:
        return f"{self.status} {self.code}".rstrip()


class Client:
    """A blocking connection that sends and reads exactly what it is told."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._socket.close()

    def send(self, pieces: Sequence[bytes]) -> None:
        """Sends; a server that closes meanwhile is no error (the answer may have come before)."""
        with contextlib.suppress(OSError):
            for piece in pieces:
                self._socket.sendall(piece)

    def send_beside(self, pieces: Sequence[bytes]) -> threading.Thread:
        """Sends in a thread, for what may be more than the buffers hold while nobody reads."""
        thread = threading.Thread(target=self.send, args=(pieces,), daemon=True)
        thread.start()
        return thread

    def end_sending(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._socket.close()

    def answer(self, method: str = "GET") -> Answer | None:
        """The next final response; None at the end of the connection. Raises Hang."""
        while (block := self._until(b"\r\n\r\n")) is not None:
            lines = block.decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ")[1])
            fields = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            if status == 100:
                continue
            body = b""
            if method != "HEAD" and status not in (204, 304):
                assert "content-length" in fields, f"an answer without a length: {block!r}"
                body = self._exactly(int(fields["content-length"]))
            kept = lines[0].startswith("HTTP/1.1") and fields.get("connection", "").lower() != "close"
            code = body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode()
            return Answer(status, code, not kept, body)
        return None

    def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        pieces = [self._buffer]
        while data := self._receive():
            pieces.append(data)
        self._buffer = b""
        return b"".join(pieces)

    def _until(self, mark: bytes) -> bytes | None:
        while mark not in self._buffer:
            data = self._receive()
            if not data:
                assert not self._buffer, f"the connection ended within an answer: {self._buffer!r}"
                return None
            self._buffer += data
        block, _, self._buffer = self._buffer.partition(mark)
        return block

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            data = self._receive()
            assert data, "the connection ended within a body"
            self._buffer += data
        body, self._buffer = self._buffer[:size], self._buffer[size:]
        return body

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(1 << 16)
        except TimeoutError:
            raise Hang("no answer and no end of the connection") from None
        except ConnectionError:
            return b""


def carry_out(case: Case, wire: Sequence[bytes], port: int, marker: str) -> list[Answer]:
    """Sends `wire` and gives all answers, after checking that the connection is closed or in step.

    `marker` is a bucket name that nobody uses: asked for at the end, it shows whether answers belong to their requests.
    """
    with Client(port) as client:
        sending = client.send_beside(wire)
        if case.then in (Then.LEAVE, Then.RESET):
            sending.join(_PATIENCE_S)
            if case.then == Then.RESET:
                client.reset()
            return []
        if case.then == Then.HALF_CLOSE:
            sending.join(_PATIENCE_S)
            client.end_sending()
        method = "HEAD" if wire and wire[0].startswith(b"HEAD ") else "GET"
        answers: list[Answer] = []
        for _ in range(1 + case.more_answers):
            answer = client.answer(method)
            if answer is None:
                return answers
            answers.append(answer)
            if answer.closes:
                assert client.rest() == b"", "bytes follow the last answer of the connection"
                return answers
        if case.then == Then.HALF_CLOSE:
            assert client.rest() == b"", "bytes follow the last answer"
            return answers
        sending.join(_PATIENCE_S)
        client.send([f"GET /{marker} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()])
        probe = client.answer()
        assert probe is not None, "the connection was to be kept, and was closed"
        assert marker.encode() in probe.body, f"the connection is out of step: {probe.body!r}"
        return answers


def judge(case: Case, answers: Sequence[Answer]) -> str:
    """What is wrong with the answers; "" for nothing."""
    got = [str(answer) for answer in answers] or [CLOSED]
    wrong = [item for item in got if item not in case.answers]
    if wrong and case.then not in (Then.LEAVE, Then.RESET):
        return f"{case.name}: got {', '.join(got)}; right is {' or '.join(sorted(case.answers))}"
    return ""

"""What a handler learns about the call that it answers, and how it moves the bytes of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from zerohop.errors import Internal
from zerohop.rpc.body import BodyReader
from zerohop.rpc.frames import FrameKind, frame
from zerohop.rpc.message import encode
from zerohop.rpc.socket_out import RunInThread
from zerohop.rpc.wire import Wire

__all__ = ["Call", "Peer", "StreamInCall", "StreamOutCall"]


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection. `address` is `host:port`, or empty on a Unix socket."""

    process: str
    release: str
    address: str
    is_unix: bool


class Call:
    """One call. `deadline` is in `loop.time()`; for streams `timeout_s` is what may pass without any byte moving."""

    __slots__ = ("deadline", "peer", "timeout_s")

    def __init__(self, peer: Peer, timeout_s: float, now: float) -> None:
        self.peer = peer
        self.timeout_s = timeout_s
        self.deadline = now + timeout_s


class StreamInCall(Call):
    """A call whose body comes in: read it to its end, then return the response."""

    __slots__ = ("_body",)

    def __init__(self, peer: Peer, timeout_s: float, now: float, body: BodyReader) -> None:
        super().__init__(peer, timeout_s, now)
        self._body = body

    async def read(self, max_bytes: int = 1 << 20) -> memoryview:
        """The next bytes of the body; empty at its end, which a cut body never reaches (`OutcomeUnknown`)."""
        return await self._body.read(max_bytes)

    async def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fills `buffer`; short only at the end of the body."""
        return await self._body.readinto(buffer)

    def __aiter__(self) -> AsyncIterator[memoryview]:
        return self._body.__aiter__()


class StreamOutCall(Call):
    """A call whose body goes out: `respond` with the head once, `write` the bytes, return."""

    __slots__ = ("_call_id", "_wire", "responded", "sent_bytes")

    def __init__(self, peer: Peer, timeout_s: float, now: float, wire: Wire, call_id: int) -> None:
        super().__init__(peer, timeout_s, now)
        self._wire = wire
        self._call_id = call_id
        self.responded = False
        self.sent_bytes = 0

    def respond(self, response: object) -> None:
        """Sends the response, after which bytes may follow. Errors may still be raised later: they cut the stream."""
        if self.responded:
            raise Internal("a stream has one response")
        self.responded = True
        self._wire.send(frame(FrameKind.RESPONSE, self._call_id, encode(response)))

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends bytes; returns when the connection can take more. Read-only buffers must stay as they are.

        Raises `DeadlineExceeded` when the reader takes nothing for the stream's time-out.
        """
        if not self.responded:
            raise Internal("respond before writing")
        self.sent_bytes += await self._wire.send_data(self._call_id, data, self.timeout_s)

    @property
    def takes_files(self) -> bool:
        """Whether `write_file` works on this connection."""
        return self._wire.takes_files

    async def write_file(self, fd: int, offset: int, size_bytes: int, run: RunInThread | None) -> None:
        """Sends bytes [offset, offset + size_bytes) of a file, which has them, without taking them into memory.

        `run` is None for a file in memory. Raises as `write`, and OSError or EOFError of the file: the connection is
        cut then, since nobody can tell which bytes the peer got.
        """
        if not self.responded:
            raise Internal("respond before writing")
        await self._wire.send_file(self._call_id, fd, offset, size_bytes, run, self.timeout_s)
        self.sent_bytes += size_bytes


@dataclass(slots=True)
class RunningCall:
    """A handler that runs as a task. `body` is set for streams in; `expired`: its deadline has cancelled it."""

    task: asyncio.Task[None]
    body: BodyReader | None = None
    expired: bool = False

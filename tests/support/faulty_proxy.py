"""A TCP proxy that makes the way to a server as bad as a test wants it, by calls of its methods.

    async with FaultyProxy("127.0.0.1", port) as proxy:
        proxy.cut_after(100_000)        # the next response loses its connection behind that many bytes
        proxy.throttle(2)               # the next two requests are answered with 503 SlowDown
        ...
        assert proxy.requests == [...]  # first lines of all requests that came, also of those that were not passed on

It passes bytes of HTTP/1.1 on and reads no more of it than first lines, lengths and ends of heads.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from dataclasses import dataclass
from types import TracebackType

__all__ = ["Exchange", "FaultyProxy"]

_SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_RANGE = re.compile(rb"\r\nrange: *bytes=([-0-9]+)\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_MOST_BYTES = 1 << 16


@dataclass
class Exchange:
    """One request, and how many bytes of the body of its response have been passed on so far."""

    line: str
    range: str
    body_bytes: int = 0


class FaultyProxy:
    """Listens on a free port of the loopback. Faults are used up one by one, in the order they were asked for."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._faults: deque[tuple[str, int | bytes]] = deque()
        self._only = ""
        self.requests: list[str] = []
        """First lines, in order."""
        self.exchanges: list[Exchange] = []
        """The same with what came of them."""
        self.body_bytes = 0
        """Of responses, as passed on to clients."""
        self.delay_s = 0.0
        """Added to each request before it is passed on."""
        self._refusing = False
        self._closed = False
        self._held: asyncio.Event | None = None
        self._stalled: asyncio.Event | None = None

    # --------------------------------------------------------------------------------------------- control

    def cut_after(self, body_bytes: int, times: int = 1) -> None:
        """The next responses lose their connection behind that many bytes of their bodies."""
        self._faults.extend([("cut", body_bytes)] * times)

    def throttle(self, times: int, status: bytes = b"503 Slow Down", body: bytes = _SLOW_DOWN) -> None:
        """The next requests are answered like that and not passed on."""
        self._faults.extend([("answer", _response(status, body))] * times)

    def stall_after(self, body_bytes: int, times: int = 1) -> None:
        """The next responses stop behind that many bytes of their bodies, and go on at `release`."""
        self._stalled = self._stalled or asyncio.Event()
        self._faults.extend([("stall", body_bytes)] * times)

    def drop(self, times: int = 1) -> None:
        """The next requests lose their connection before they are passed on."""
        self._faults.extend([("drop", 0)] * times)

    def swallow(self, times: int = 1) -> None:
        """The next requests are carried out, but their responses are lost with the connection."""
        self._faults.extend([("cut", -1)] * times)

    def only(self, method: str) -> None:
        """Faults are for requests whose first line begins so; "" for all."""
        self._only = method

    def refuse(self, refusing: bool = True) -> None:
        """Connections are cut at once, the existing ones too; or are accepted again."""
        self._refusing = refusing
        if refusing:
            self.cut_connections()

    def cut_connections(self) -> None:
        """All that there are now."""
        for task in self._connections:
            task.cancel()

    def hold(self) -> None:
        """Requests are not passed on until `release`."""
        self._held = asyncio.Event()

    def release(self) -> None:
        """Passes on what was held, or stalls."""
        for event in (self._held, self._stalled):
            if event is not None:
                event.set()
        self._held = self._stalled = None

    def heal(self) -> None:
        """No faults any more."""
        self._faults.clear()
        self._only = ""
        self.delay_s = 0.0
        self._refusing = False
        self.release()

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> FaultyProxy:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self._closed = True
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()
        await asyncio.sleep(0)  # who was accepted just before is let go as well

    # ------------------------------------------------------------------------------------------------ work

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        # Who is cancelled before the first step closes nothing.
        task.add_done_callback(lambda _done: writer.transport.abort())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        above: asyncio.StreamWriter | None = None
        try:
            if self._refusing:
                return
            upstream, above = await asyncio.open_connection(*self._target)
            while await self._exchange(reader, writer, upstream, above):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass  # a side has gone: so does the other
        finally:
            open_ones = [one for one in (writer, above) if one is not None]
            for one in open_ones:
                one.transport.abort()
            for one in open_ones:
                with contextlib.suppress(OSError):
                    await one.wait_closed()

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upstream: asyncio.StreamReader,
        above: asyncio.StreamWriter,
    ) -> bool:
        """One request and its response; whether another may follow on the connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        line = head.partition(b"\r\n")[0].decode("latin-1")
        self.requests.append(line)
        found = _RANGE.search(head)
        exchange = Exchange(line, found[1].decode() if found else "")
        self.exchanges.append(exchange)
        fault, how = self._next_fault(line)
        if fault == "drop":
            return False
        if fault == "answer":
            assert isinstance(how, bytes)
            if b"\r\nexpect: 100-continue" in head.lower():
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await _pass_body(reader, None, head)
            writer.write(how)
            await writer.drain()
            return True
        if self._held is not None:
            await self._held.wait()
        if self.delay_s:
            await asyncio.wait((asyncio.get_running_loop().create_future(),), timeout=self.delay_s)
        above.write(head)
        answering = asyncio.create_task(self._answer(upstream, writer, exchange, fault, how))
        try:
            await _pass_body(reader, _Sink(above), head)
            return await answering
        finally:
            answering.cancel()

    def _next_fault(self, line: str) -> tuple[str, int | bytes]:
        return self._faults.popleft() if self._faults and line.startswith(self._only) else ("", 0)

    async def _answer(
        self,
        upstream: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        exchange: Exchange,
        fault: str,
        how: int | bytes,
    ) -> bool:
        head = await upstream.readuntil(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 100"):
            writer.write(head)
            head = await upstream.readuntil(b"\r\n\r\n")
        if fault == "cut" and how == -1:
            return False
        writer.write(head)
        if exchange.line.startswith("HEAD ") or head[9:12] in (b"204", b"304"):
            await writer.drain()
            return True
        sink = _Sink(writer, exchange, self)
        if fault == "stall" and self._stalled is not None:
            sink.stalls_after, sink.stalled = int(how), self._stalled
        await _pass_body(upstream, sink, head, int(how) if fault == "cut" else None)
        is_last = fault == "cut" or b"\r\nconnection: close" in head.lower()
        if is_last:
            writer.close()  # what was passed on arrives: an abort would take it back
            await writer.wait_closed()
        return not is_last


class _Sink:
    """Where bytes are passed on to. Those of a response are counted as they go, and stop where they have to."""

    def __init__(
        self,
        writer: asyncio.StreamWriter,
        exchange: Exchange | None = None,
        proxy: FaultyProxy | None = None,
    ) -> None:
        self._writer, self._exchange, self._proxy = writer, exchange, proxy
        self.stalls_after = 0
        self.stalled: asyncio.Event | None = None

    async def body(self, data: bytes) -> None:
        """Bytes of a body."""
        if self.stalled is not None and len(data) > self.stalls_after:
            first, data = data[: self.stalls_after], data[self.stalls_after :]
            event, self.stalled = self.stalled, None
            await self.body(first)
            await event.wait()
        self.stalls_after -= len(data)
        # Counted first: who has received them may look at once, from another thread.
        if self._exchange is not None and self._proxy is not None:
            self._exchange.body_bytes += len(data)
            self._proxy.body_bytes += len(data)
        self._writer.write(data)
        await self._writer.drain()

    def frame(self, data: bytes) -> None:
        """What the transfer coding adds."""
        self._writer.write(data)


def _response(status: bytes, body: bytes) -> bytes:
    length = str(len(body)).encode()
    return b"HTTP/1.1 %s\r\ncontent-type: application/xml\r\ncontent-length: %s\r\n\r\n%s" % (
        status,
        length,
        body,
    )


async def _pass_body(
    reader: asyncio.StreamReader, sink: _Sink | None, head: bytes, most: int | None = None
) -> None:
    """Passes the body that the head announces on, or reads it and lets it go; at most `most` bytes of it."""
    if _CHUNKED.search(head):
        await _pass_chunks(reader, sink, most)
        return
    found = _LENGTH.search(head)
    length = int(found[1]) if found else 0
    await _pass_bytes(reader, sink, length if most is None else min(length, most))


async def _pass_chunks(reader: asyncio.StreamReader, sink: _Sink | None, most: int | None) -> None:
    passed = 0
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        if most is not None and passed + size > most:
            return
        if sink is not None:
            sink.frame(line)
        await _pass_bytes(reader, sink, size)
        passed += size
        end = await reader.readexactly(2)
        if sink is not None:
            sink.frame(end)
        if not size:
            return


async def _pass_bytes(reader: asyncio.StreamReader, sink: _Sink | None, length: int) -> None:
    left = length
    while left:
        data = await reader.read(min(_MOST_BYTES, left))
        if not data:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(data)
        if sink is not None:
            await sink.body(data)

"""A TCP proxy that stands in for a long way to a server: it delays what passes, and carries only so much, if told so.

    python -m zerohop_bench.cache_delay HOST PORT ROUND_TRIP_S [BYTES_PER_S]

prints the port of the loopback on which it listens. Each direction takes half of the round trip, and a new connection
one round trip more, which is what its handshake would take; bytes keep their distance, so that throughput is that of
the server, or of the way: what all connections together carry in each direction. Until then they stand in memory, at
most 64 MiB of them for each direction of a connection.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import Final, cast

import uvloop

__all__ = ["DelayProxy"]

_MAX_HELD_BYTES: Final = 64 << 20
"""2.5 GB/s with 25 ms on the way: more than loopback moves through two processes."""

_TURN_S: Final = 0.001
"""What is due so soon is sent as well: timers of the loop are no finer."""


_MAX_QUEUED_S: Final = 0.01
"""A connection is not read while so much waits for the way: who comes to it later must not wait for all that another
one has to send.
"""


class _Way:
    """One direction of the way, over all connections. Bytes take their turn on it in the order in which they came."""

    def __init__(self, bytes_per_s: float) -> None:
        self._bytes_per_s = bytes_per_s
        self._free_s = 0.0

    def left_s(self, now_s: float, size_bytes: int) -> float:
        """When so many bytes that come now have left. Nothing waits where no rate is set (0)."""
        if not self._bytes_per_s:
            return now_s
        self._free_s = max(now_s, self._free_s) + size_bytes / self._bytes_per_s
        return self._free_s

    def room_s(self, now_s: float) -> float:
        """When more may come: `now_s`, or later."""
        return max(now_s, self._free_s - _MAX_QUEUED_S)


class DelayProxy:
    """Passes connections on to `host`:`port`, which must be reachable for as long as it serves. `bytes_per_s` 0: at
    any rate.
    """

    def __init__(self, host: str, port: int, round_trip_s: float, bytes_per_s: float = 0.0) -> None:
        self._target = (host, port)
        self._there, self._back = _Way(bytes_per_s), _Way(bytes_per_s)
        self._one_way_s = round_trip_s / 2
        self._connecting: set[asyncio.Task[None]] = set()

    async def listen(self) -> asyncio.Server:
        """Listens on a free port of the loopback; `sockets[0]` of the result tells which."""
        loop = asyncio.get_running_loop()
        return await loop.create_server(self._accepted, "127.0.0.1", 0)

    def _accepted(self) -> _Side:
        # The client's first bytes wait for the handshake, too: half a round trip there, half back.
        client = _Side(self._one_way_s, self._there, first_delay_s=3 * self._one_way_s)
        task = asyncio.create_task(self._connect(client))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return client

    async def _connect(self, client: _Side) -> None:
        server = _Side(self._one_way_s, self._back)
        try:
            await asyncio.get_running_loop().create_connection(lambda: server, *self._target)
        except OSError:
            client.close()
            return
        server.feeds(client)
        client.feeds(server)


class _Side(asyncio.Protocol):
    """One of the two connections. What it receives is sent by the other side, later.

    Invariant: `_held_bytes` is the size of what `_held` has, in the order of its times, which never decrease.
    """

    def __init__(self, delay_s: float, way: _Way, *, first_delay_s: float = 0.0) -> None:
        self._loop = asyncio.get_running_loop()
        self._delay_s = delay_s
        self._way = way
        self._room: asyncio.TimerHandle | None = None  # until the way takes more
        self._not_before_s = self._loop.time() + first_delay_s
        self._held: deque[tuple[float, bytes]] = deque()  # when to send it; b"" for the end
        self._held_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._other: _Side | None = None
        self._full = False  # the connection that this side writes to takes no more
        self._transport: asyncio.Transport | None = None

    def feeds(self, other: _Side) -> None:
        """From now on it has somewhere to send to."""
        self._other = other
        self._send_later()

    def close(self) -> None:
        """Ends the connection once what was written to it is sent."""
        if self._transport is not None:
            self._transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=4 << 20)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._hold(data)
        if self._transport is None:
            return
        if self._held_bytes > _MAX_HELD_BYTES:
            self._transport.pause_reading()
        now_s = self._loop.time()
        room_s = self._way.room_s(now_s)
        if room_s > now_s and self._room is None:
            self._transport.pause_reading()
            self._room = self._loop.call_at(room_s, self._has_room)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        del exc
        self._transport = None
        if self._room is not None:
            self._room.cancel()
        self._hold(b"")

    def pause_writing(self) -> None:
        """Called by the loop."""
        if self._other is not None:
            self._other._full = True

    def resume_writing(self) -> None:
        """Called by the loop."""
        if self._other is not None:
            self._other._full = False
            self._other._send_later()

    def _has_room(self) -> None:
        self._room = None
        self._read_on()

    def _read_on(self) -> None:
        if self._held_bytes <= _MAX_HELD_BYTES // 2 and self._room is None and self._transport is not None:
            self._transport.resume_reading()

    def _hold(self, data: bytes) -> None:
        left_s = self._way.left_s(self._loop.time(), len(data))
        self._held.append((max(left_s + self._delay_s, self._not_before_s), data))
        self._held_bytes += len(data)
        self._send_later()

    def _send_later(self) -> None:
        if self._timer is None and self._held and self._other is not None and not self._full:
            self._timer = self._loop.call_at(self._held[0][0], self._send)

    def _send(self) -> None:
        self._timer = None
        assert self._other is not None
        due_s = self._loop.time() + _TURN_S
        while self._held and self._held[0][0] <= due_s and not self._full:
            _, data = self._held.popleft()
            self._held_bytes -= len(data)
            if not data or self._other._transport is None:
                self._other.close()
                self._held.clear()
                self._held_bytes = 0
                break
            self._other._transport.write(data)
        self._read_on()
        self._send_later()


async def _serve(host: str, port: int, round_trip_s: float, bytes_per_s: float) -> None:
    server = await DelayProxy(host, port, round_trip_s, bytes_per_s).listen()
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float((sys.argv[4:] or ["0"])[0])))

"""What a fast client keeps of its rate while others read a byte a second, or hold connections that they do not use.

Plain unsigned requests over raw sockets, from this one process. The fast client comes from an address of its own, as
another user would: the proxy divides what it has by user, and by source address where nobody has signed.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

__all__ = ["Crowd", "SlowClients", "allow_descriptors", "measure"]

_BUCKET: Final = "bench-slow-clients"
_SMALL_BYTES: Final = 4096
_LARGE_BYTES: Final = 8 * 1024 * 1024
"""More than the socket buffers on both sides take, so that the body is not sent at once."""
_FAST_ADDRESS: Final = "127.0.0.2"
_BYTE_EVERY_S: Final = 1.0
_TIMEOUT_S: Final = 30.0
_RECEIVE_BUFFER_BYTES: Final = 4096


class Crowd(NamedTuple):
    """How many are around while the fast client reads."""

    slow_readers: int
    idle: int


class SlowClients(NamedTuple):
    """The fast client's requests a second and latency, alone and in the crowd, of which `cut` were refused or cut."""

    crowd: Crowd
    solo_per_s: float
    crowded_per_s: float
    solo_p50_us: float
    crowded_p50_us: float
    crowded_p99_us: float
    cut: int

    @property
    def kept(self) -> float:
        """Share of the solo rate."""
        return self.crowded_per_s / self.solo_per_s

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {**self._asdict(), "crowd": self.crowd._asdict(), "kept": self.kept, "cpus": os.cpu_count()}


def measure(address: tuple[str, int], crowd: Crowd, *, seconds: float) -> SlowClients:
    """Read a small object one request after the other, alone, then in the crowd. Raises OSError, ValueError."""
    allow_descriptors(2 * (crowd.slow_readers + crowd.idle) + 256)
    with _connection(address) as client:
        _exchange(client, f"PUT /{_BUCKET}", b"")
        _exchange(client, f"PUT /{_BUCKET}/small", os.urandom(_SMALL_BYTES))
        _exchange(client, f"PUT /{_BUCKET}/large", os.urandom(_LARGE_BYTES))
    before = _read_for(address, seconds / 2)
    with _crowd(address, crowd) as (slow, idle):
        ended = threading.Event()
        drips = threading.Thread(target=_drip, args=(slow, ended), daemon=True)
        drips.start()
        crowded = _read_for(address, seconds)
        ended.set()
        drips.join()
        cut = sum(map(_is_cut, (*slow, *idle)))
    # Before and after: the machine's own pace changes too.
    solo = before + _read_for(address, seconds / 2)
    return SlowClients(
        crowd,
        len(solo) / sum(solo),
        len(crowded) / sum(crowded),
        statistics.median(solo) * 1e6,
        statistics.median(crowded) * 1e6,
        statistics.quantiles(crowded, n=100)[98] * 1e6,
        cut,
    )


def allow_descriptors(count: int) -> None:
    """Lets this process open so many, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


def _connection(
    address: tuple[str, int], *, source: str | None = None, receive_buffer_bytes: int = 0
) -> socket.socket:
    client = socket.socket()
    try:
        if receive_buffer_bytes:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        client.settimeout(_TIMEOUT_S)
        if source is not None:
            client.bind((source, 0))
        client.connect(address)
    except BaseException:
        client.close()
        raise
    return client


def _get(name: str) -> bytes:
    return f"GET /{_BUCKET}/{name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def _exchange(client: socket.socket, line: str, body: bytes) -> None:
    client.sendall(
        f"{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )
    _receive_answer(client)


def _receive_answer(client: socket.socket) -> None:
    """Raises ValueError for anything but a whole 200."""
    received = b""
    while b"\r\n\r\n" not in received:
        data = client.recv(65536)
        if not data:
            raise ValueError("the proxy closed the connection")
        received += data
    head, _, body = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise ValueError(f"the proxy answered {head[:60]!r}")
    left = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]) - len(body)
    while left > 0:
        data = client.recv(65536)
        if not data:
            raise ValueError("the proxy cut an answer")
        left -= len(data)


def _read_for(address: tuple[str, int], seconds: float) -> list[float]:
    """Seconds that each request took."""
    taken = []
    with _connection(address, source=_FAST_ADDRESS) as client:
        request = _get("small")
        end_s = time.perf_counter() + seconds
        while (started_s := time.perf_counter()) < end_s:
            client.sendall(request)
            _receive_answer(client)
            taken.append(time.perf_counter() - started_s)
    return taken


@contextlib.contextmanager
def _crowd(
    address: tuple[str, int], crowd: Crowd
) -> Iterator[tuple[Sequence[socket.socket], Sequence[socket.socket]]]:
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(_connection(address)) for _ in range(crowd.idle)]
        for client in idle:
            client.sendall(_get("small"))
            _receive_answer(client)
        slow = [
            stack.enter_context(_connection(address, receive_buffer_bytes=_RECEIVE_BUFFER_BYTES))
            for _ in range(crowd.slow_readers)
        ]
        for client in slow:
            client.sendall(_get("large"))
        for client in slow:
            client.recv(1)  # the answer has begun
        yield slow, idle


def _drip(slow: Sequence[socket.socket], ended: threading.Event) -> None:
    for client in slow:
        client.setblocking(False)
    while not ended.wait(_BYTE_EVERY_S):
        for client in slow:
            with contextlib.suppress(OSError):
                client.recv(1)


def _is_cut(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True

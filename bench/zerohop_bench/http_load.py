"""Load on an HTTP server from one core: wrk for small reads, raw sockets for large bodies, processes for the rest.

What is sent is made before the clock starts. All functions raise LoadFailed for answers other than the expected.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import queue
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple, cast

import uvloop

__all__ = [
    "LoadFailed",
    "Work",
    "exchanges",
    "get_streams",
    "missing_wrk",
    "put_stream",
    "reads",
    "request_once",
]

_CONNECTIONS: Final = 32
_PROCESSES: Final = 2
_RECEIVE_BYTES: Final = 1 << 20
_TIMEOUT_S: Final = 60.0

_WRK_SCRIPT: Final = """
local targets, at, requests = {}, 0, {}
for line in io.lines(%(file)r) do targets[#targets + 1] = line end
function init(args)
  for i, target in ipairs(targets) do requests[i] = wrk.format("GET", target) end
end
function request() at = at %% #requests + 1; return requests[at] end
"""

Address = tuple[str, int]


class Work(NamedTuple):
    """What was done: requests or bytes, and how many of them a second."""

    units: int
    rate: float


class LoadFailed(Exception):
    """The server did not answer as it must; a rate of such answers would mean nothing."""


def missing_wrk() -> str:
    """How to install what `reads` needs; "" when it is there."""
    return "" if shutil.which("wrk") else "apt-get install -y wrk"


def reads(address: Address, targets: Sequence[str], *, seconds: float, cpu: int | None) -> Work:
    """GETs that wrk gets answered over 32 connections, one after another from `targets`."""
    host = f"{address[0]}:{address[1]}"
    with tempfile.TemporaryDirectory(prefix="zerohop-wrk-") as folder:
        listing, script = Path(folder) / "targets", Path(folder) / "script.lua"
        listing.write_text("\n".join(targets))
        script.write_text(_WRK_SCRIPT % {"file": str(listing)})
        command = ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", str(script)]
        done = subprocess.run(
            [*_pinned(cpu), *command, f"http://{host}/"], capture_output=True, text=True, check=False
        )
    rate = re.search(r"(\d+) requests in .*Requests/sec:\s+([\d.]+)", done.stdout, re.DOTALL)
    errors = re.search(r"Non-2xx.*|Socket errors.*", done.stdout)
    if done.returncode != 0 or rate is None or errors is not None:
        raise LoadFailed(f"wrk on {host}: {errors[0] if errors else done.stdout + done.stderr}")
    return Work(int(rate[1]), float(rate[2]))


def get_streams(address: Address, target: str, size_bytes: int, *, streams: int, cpu: int | None) -> Work:
    """Bytes of one GET of `size_bytes` on each of `streams` connections at once. The kernel drops the bytes."""
    host = f"{address[0]}:{address[1]}"
    request = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()

    def fetch(sock: socket.socket) -> None:
        sock.sendall(request)
        left_bytes = size_bytes - len(_answer(sock))
        untouched = bytearray(_RECEIVE_BYTES)
        while left_bytes > 0:
            received = sock.recv_into(untouched, min(left_bytes, _RECEIVE_BYTES), socket.MSG_TRUNC)
            if not received:
                raise LoadFailed(f"{host} ended {left_bytes} bytes early")
            left_bytes -= received

    return _timed_streams(address, fetch, size_bytes, streams, cpu)


def put_stream(address: Address, head: bytes, body: bytes, *, cpu: int | None) -> Work:
    """Bytes of one PUT, until its answer has come."""

    def send(sock: socket.socket) -> None:
        sock.sendall(head)
        sock.sendall(body)
        _answer(sock)

    return _timed_streams(address, send, len(body), 1, cpu)


def exchanges(address: Address, requests: Sequence[bytes], *, seconds: float, cpu: int | None) -> Work:
    """PUTs or HEADs (wrk can do neither) over 32 connections from several processes.

    Each of `requests` is sent at most once; runs for `seconds`, or until they are used up.
    """
    context = multiprocessing.get_context("fork")  # the requests are large: inherited, not sent
    start = context.Barrier(_PROCESSES)
    results = context.Queue()
    workers = [
        context.Process(
            target=_sender, args=(address, requests[index::_PROCESSES], seconds, cpu, start, results)
        )
        for index in range(_PROCESSES)
    ]
    for worker in workers:
        worker.start()
    try:
        outcomes = [results.get(timeout=_TIMEOUT_S) for _ in workers]
    except queue.Empty:
        raise LoadFailed(f"no end of the requests to {address[0]}:{address[1]}") from None
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()
    for outcome in outcomes:
        if isinstance(outcome, str):
            raise LoadFailed(outcome)
    return Work(sum(count for count, _ in outcomes), sum(count / elapsed_s for count, elapsed_s in outcomes))


def request_once(address: Address, head: bytes, body: bytes = b"") -> None:
    """One request on a connection of its own."""
    with socket.create_connection(address, _TIMEOUT_S) as sock:
        sock.sendall(head + body)
        _answer(sock)


def _pinned(cpu: int | None) -> list[str]:
    return [] if cpu is None else ["taskset", "-c", str(cpu)]


def _timed_streams(
    address: Address, work: Callable[[socket.socket], None], size_bytes: int, streams: int, cpu: int | None
) -> Work:
    before = os.sched_getaffinity(0)
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})  # threads inherit it
    sockets = [socket.create_connection(address, _TIMEOUT_S) for _ in range(streams)]
    try:
        gate = threading.Barrier(streams + 1)

        def run(sock: socket.socket) -> None:
            gate.wait()
            work(sock)

        with ThreadPoolExecutor(streams) as threads:
            jobs = [threads.submit(run, sock) for sock in sockets]
            gate.wait()
            started = time.perf_counter()
            for job in jobs:
                job.result()
            return Work(size_bytes * streams, size_bytes * streams / (time.perf_counter() - started))
    finally:
        for sock in sockets:
            sock.close()
        os.sched_setaffinity(0, before)


def _answer(sock: socket.socket) -> bytes:
    """Reads the head of a 200; returns what came of the body with it."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = sock.recv(64 << 10)
        if not data:
            raise LoadFailed("the server closed the connection")
        head += data
    head, _, rest = head.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise LoadFailed(f"the server answered {(head + rest[:500]).decode('latin-1')!r}")
    return rest


# The processes of `exchanges`.


def _sender(
    address: Address,
    requests: Sequence[bytes],
    seconds: float,
    cpu: int | None,
    start: object,
    results: object,
) -> None:
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    try:
        outcome: object = uvloop.run(_exchange_all(address, requests, seconds, start))
    except (LoadFailed, OSError) as error:
        outcome = str(error)
    results.put(outcome)  # type: ignore[attr-defined]


async def _exchange_all(
    address: Address, requests: Sequence[bytes], seconds: float, start: object
) -> tuple[int, float]:
    loop = asyncio.get_running_loop()
    waiting = iter(requests)
    senders = [_Exchanger(loop, waiting) for _ in range(_CONNECTIONS // _PROCESSES)]
    for sender in senders:
        await loop.create_connection(lambda sender=sender: sender, *address)  # type: ignore[misc]
    start.wait(_TIMEOUT_S)  # type: ignore[attr-defined]
    started = loop.time()
    for sender in senders:
        sender.begin(started + seconds)
    counts = await asyncio.gather(*(sender.done for sender in senders))
    elapsed_s = loop.time() - started
    for sender in senders:
        sender.close()
    return sum(counts), elapsed_s


class _Exchanger(asyncio.Protocol):
    """One connection: the next request goes out as soon as the answer to the last one is whole."""

    def __init__(self, loop: asyncio.AbstractEventLoop, waiting: Iterator[bytes]) -> None:
        self._loop = loop
        self._waiting = waiting
        self._without_body = False
        self._count = 0
        self._until = 0.0
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[int] = loop.create_future()

    def begin(self, until: float) -> None:
        self._until = until
        self._next()

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        length = None if self._without_body else re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            self._fail(f"the server answered {self._received[:800].decode('latin-1')!r}")
        elif len(body) >= (int(length[1]) if length else 0):
            self._received = b""
            self._count += 1
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the server closed the connection: {exc}")

    def _next(self) -> None:
        assert self._transport is not None
        request = next(self._waiting, None) if self._loop.time() < self._until else None
        if request is None:
            if not self.done.done():
                self.done.set_result(self._count)
        else:
            self._without_body = request.startswith(b"HEAD")
            self._transport.write(request)

    def _fail(self, message: str) -> None:
        if not self.done.done():
            self.done.set_exception(LoadFailed(message))

"""Load on an HTTP server from one core: wrk for small reads, raw sockets for large bodies.

What is sent is made before the clock starts. All functions raise LoadFailed for answers other than the expected.
`http_exchanges` sends the rest.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

__all__ = [
    "Address",
    "LoadFailed",
    "Work",
    "get_streams",
    "missing_wrk",
    "put_stream",
    "reads",
    "request_once",
]

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


def reads(
    address: Address, targets: Sequence[str], *, seconds: float, cpu: int | None, connections: int = 32
) -> Work:
    """GETs that wrk gets answered over `connections` connections, one after another from `targets`."""
    host = f"{address[0]}:{address[1]}"
    with tempfile.TemporaryDirectory(prefix="zerohop-wrk-") as folder:
        listing, script = Path(folder) / "targets", Path(folder) / "script.lua"
        listing.write_text("\n".join(targets))
        script.write_text(_WRK_SCRIPT % {"file": str(listing)})
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(script)]
        done = subprocess.run(
            [*_pinned(cpu), *command, f"http://{host}/"], capture_output=True, text=True, check=False
        )
    rate = re.search(r"(\d+) requests in .*Requests/sec:\s+([\d.]+)", done.stdout, re.DOTALL)
    errors = re.search(r"Non-2xx.*|Socket errors.*", done.stdout)
    if done.returncode != 0 or rate is None or errors is not None:
        raise LoadFailed(f"wrk on {host}: {errors[0] if errors else done.stdout + done.stderr}")
    return Work(int(rate[1]), float(rate[2]))


def get_streams(
    address: Address, target: str, size_bytes: int, *, streams: int, cpu: int | None, times: int = 1
) -> Work:
    """Bytes of `times` GETs of `size_bytes` on each of `streams` connections at once. The kernel drops the bytes."""
    host = f"{address[0]}:{address[1]}"
    request = f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()

    def fetch(sock: socket.socket) -> None:
        untouched = bytearray(_RECEIVE_BYTES)
        for _ in range(times):
            sock.sendall(request)
            left_bytes = size_bytes - len(_answer(sock))
            while left_bytes > 0:
                received = sock.recv_into(untouched, min(left_bytes, _RECEIVE_BYTES), socket.MSG_TRUNC)
                if not received:
                    raise LoadFailed(f"{host} ended {left_bytes} bytes early")
                left_bytes -= received

    return _timed_streams(address, fetch, size_bytes * times, streams, cpu)


def put_stream(address: Address, head: bytes, body: bytes, *, cpu: int | None) -> Work:
    """Bytes of one PUT, until its answer has come."""

    def send(sock: socket.socket) -> None:
        sock.sendall(head)
        sock.sendall(body)
        _answer(sock)

    return _timed_streams(address, send, len(body), 1, cpu)


def request_once(address: Address, head: bytes, body: bytes = b"", *, timeout_s: float = _TIMEOUT_S) -> bytes:
    """All that comes after the head of the answer to one request, on a connection of its own.

    Chunks come with their frames. `timeout_s` is that of each step.
    """
    with socket.create_connection(address, timeout_s) as sock:
        sock.sendall(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + body)
        received = bytearray(_answer(sock))
        while data := sock.recv(64 << 10):
            received += data
        return bytes(received)


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

"""Reads whose first byte and rate are taken: GETs of prepared requests on connections that are open already."""

from __future__ import annotations

import socket
import statistics
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from zerohop_bench.http_load import Address, LoadFailed

__all__ = ["Get", "Reading", "read_all"]

_RECEIVE_BYTES: Final = 1 << 20
_TIMEOUT_S: Final = 120.0


class Get(NamedTuple):
    """One read: path and query as they are sent, and how long the body has to be."""

    target: str
    size_bytes: int


class Reading(NamedTuple):
    """What the reads of one turn took: the median over all of them, and bytes of all in a second."""

    first_byte_s: float
    bytes_per_s: float


def read_all(address: Address, probe: Get, readers: Sequence[Sequence[Get]]) -> Reading:
    """Each reader does its reads one after another, all readers at the same time.

    Each has a connection of its own, on which `probe` was read before the clock starts. The kernel drops the bytes.
    Raises LoadFailed for any other answer than a 200 with the whole body.
    """
    gate = threading.Barrier(len(readers) + 1)

    def run(gets: Sequence[Get]) -> list[float]:
        with socket.create_connection(address, _TIMEOUT_S) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                _read(sock, address, probe)
            finally:
                gate.wait(_TIMEOUT_S)
            return [_read(sock, address, get) for get in gets]

    with ThreadPoolExecutor(len(readers)) as threads:
        jobs = [threads.submit(run, gets) for gets in readers]
        gate.wait(_TIMEOUT_S)
        started_s = time.perf_counter()
        first_bytes_s = [first_s for job in jobs for first_s in job.result()]
        took_s = time.perf_counter() - started_s
    size_bytes = sum(get.size_bytes for gets in readers for get in gets)
    return Reading(statistics.median(first_bytes_s), size_bytes / took_s)


def _read(sock: socket.socket, address: Address, get: Get) -> float:
    """Seconds to the first byte of the body; returns when all of it has come."""
    host = f"{address[0]}:{address[1]}"
    started_s = time.perf_counter()
    sock.sendall(f"GET {get.target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    received = b""
    while True:
        head, end, body = received.partition(b"\r\n\r\n")
        if end and (body or not get.size_bytes):
            break
        data = sock.recv(64 << 10)
        if not data:
            raise LoadFailed(f"{host} closed the connection")
        received += data
    first_s = time.perf_counter() - started_s
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(lengths[0].partition(b":")[2]) if lengths else -1
    if b" 200 " not in head.split(b"\r\n", 1)[0] or length != get.size_bytes:
        raise LoadFailed(f"{host} answered {received[:500].decode('latin-1')!r}, not {get.size_bytes} bytes")
    left_bytes = length - len(body)
    untouched = bytearray(min(_RECEIVE_BYTES, max(left_bytes, 1)))
    while left_bytes > 0:
        count = sock.recv_into(untouched, min(left_bytes, len(untouched)), socket.MSG_TRUNC)
        if not count:
            raise LoadFailed(f"{host} ended {left_bytes} bytes early")
        left_bytes -= count
    return first_s

"""What a call over the internal RPC costs: sequential round trips and pipelined calls, over a Unix socket.

Run as `python -m zerohop_bench.rpc [--loop asyncio]`. The server is a process of its own, as in a cluster.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from zerohop.rpc.call import Call, StreamInCall, StreamOutCall
from zerohop.rpc.client import RpcClient
from zerohop.rpc.message import Request
from zerohop.rpc.server import RpcServer

_PIPELINE = 256
"""Calls in flight: what a busy proxy has."""

_CHUNK = bytes(256 << 10)


class Found(msgspec.Struct, array_like=True):
    """As large as the record of a small object."""

    etag: str
    size_bytes: int
    content: bytes


class Lookup(Request[Found], tag="lookup"):
    """Answered inline."""

    bucket: str
    key: str


class LookupInTask(Request[Found], tag="lookup_in_task"):
    """Answered by a handler with a task."""

    bucket: str
    key: str


class Upload(Request[int], tag="upload"):
    """Stream in."""


class Download(Request[int], tag="download"):
    """Stream out."""

    chunks: int


_FOUND = Found("d41d8cd98f00b204e9800998ecf8427e", 4096, b"0123456789abcdef")


def _lookup(_request: Lookup, _call: Call) -> Found:
    return _FOUND


async def _lookup_in_task(_request: LookupInTask, _call: Call) -> Found:
    return _FOUND


async def _upload(_request: Upload, call: StreamInCall) -> int:
    total = 0
    while chunk := await call.read():
        total += len(chunk)
    return total


async def _download(request: Download, call: StreamOutCall) -> None:
    call.respond(request.chunks)
    for _ in range(request.chunks):
        await call.write(_CHUNK)


def _run(main: Any, loop: str) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if loop == "uvloop" else None) as runner:
        runner.run(main)


async def _serve(path: str) -> None:
    server = RpcServer("bench")
    server.register_sync(Lookup, _lookup)
    server.register(LookupInTask, _lookup_in_task)
    server.register_stream_in(Upload, _upload)
    server.register_stream_out(Download, _download)
    await server.listen(f"unix:{path}")
    await asyncio.Event().wait()


def _serve_process(path: str, loop: str) -> None:
    _run(_serve(path), loop)


async def _sequential(client: RpcClient, request: Request[Any], batches: int) -> list[float]:
    """Microseconds a call in each batch of 500, sorted: the best is what the code costs, the rest is the machine."""
    found = []
    for _ in range(batches):
        began = time.perf_counter()
        for _ in range(500):
            await client.call(request)
        found.append((time.perf_counter() - began) / 500 * 1e6)
    return sorted(found)


async def _pipelined(client: RpcClient, request: Request[Any], count: int) -> float:
    async def some() -> None:
        for _ in range(count // _PIPELINE):
            await client.call(request)

    began = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(_PIPELINE)))
    return count / (time.perf_counter() - began)


async def _measure(path: str) -> None:
    client = RpcClient(f"unix:{path}", name="bench")
    await client.wait_ready(10)
    for request in (
        Lookup("bucket", "a/key/of/usual/length.bin"),
        LookupInTask("bucket", "a/key/of/usual/length.bin"),
    ):
        times = await _sequential(client, request, 20)
        name = type(request).__name__
        print(f"{name}: {times[0]:.1f} us a sequential round trip at best, {times[10]:.1f} at the median")
        rates = [await _pipelined(client, request, 12800) for _ in range(5)]
        print(f"{name}: {max(rates):,.0f} pipelined calls/s at best, {sorted(rates)[2]:,.0f} at the median")
    await _streams(client)
    await client.close()


async def _streams(client: RpcClient) -> None:
    chunks = 4096
    began = time.perf_counter()
    async with client.open_stream_in(Upload()) as sink:
        for _ in range(chunks):
            await sink.write(_CHUNK)
        await sink.finish()
    print(f"upload:   {chunks * len(_CHUNK) / (time.perf_counter() - began) / 1e9:.2f} GB/s")
    began = time.perf_counter()
    async with client.open_stream_out(Download(chunks)) as source:
        async for _ in source:
            pass
    print(f"download: {chunks * len(_CHUNK) / (time.perf_counter() - began) / 1e9:.2f} GB/s")


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    loop = parser.parse_args().loop
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "rpc.sock")
        server = multiprocessing.get_context("spawn").Process(
            target=_serve_process, args=(path, loop), daemon=True
        )
        server.start()
        try:
            _run(_measure(path), loop)
        finally:
            server.terminate()
            server.join()


if __name__ == "__main__":
    main()

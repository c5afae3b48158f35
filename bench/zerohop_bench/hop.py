"""What the hop through the proxy costs: reading an object over S3, against reading the same one with the native client.

Both sides are driven by this one process on one loop, in turn, over the same number of connections: HTTP/1.1
connections kept alive on one side, tasks of one native client on the other. Both look the object up at the master
for each read and take every byte of it. So the difference is the proxy (and the parsing of HTTP here).
"""

from __future__ import annotations

import asyncio
import functools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass
from typing import NamedTuple

from zerohop.client.cluster import ClusterClient
from zerohop.client.objects import ObjectClient
from zerohop.errors import NotFound, ZerohopError
from zerohop.model import ANONYMOUS
from zerohop_bench.http_reader import HttpReader

__all__ = ["CONNECTIONS", "QUICK_CONNECTIONS", "QUICK_SIZES", "SIZES", "Cell", "Side", "measure"]

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
SIZES = (KIB, 4 * KIB, 64 * KIB, MIB, 16 * MIB, 128 * MIB, GIB)
CONNECTIONS = (1, 4, 16, 64)
QUICK_SIZES = (KIB, 4 * KIB, 64 * KIB, MIB, 16 * MIB)
QUICK_CONNECTIONS = (1, 16)

_MAX_IN_FLIGHT_BYTES = 4 * GIB
"""Cells in which all connections together would read more at once are left out: they last long and tell nothing new."""

_WRITE_BYTES = MIB

Read = Callable[[], Awaitable[None]]


class Side(NamedTuple):
    """One way of reading in one cell: latencies of whole reads in microseconds, and what went through in a second."""

    requests: int
    p50_us: float
    p99_us: float
    requests_per_s: float
    bytes_per_s: float


@dataclass(frozen=True, slots=True)
class Cell:
    """Reads of one size over one number of connections, through the proxy and directly."""

    size_bytes: int
    connections: int
    proxy: Side
    direct: Side

    @property
    def p50_ratio(self) -> float:
        """How many times the median latency of the direct read the proxy's is."""
        return self.proxy.p50_us / self.direct.p50_us

    @property
    def throughput_ratio(self) -> float:
        """The share of the direct throughput that the proxy reaches."""
        return self.proxy.bytes_per_s / self.direct.bytes_per_s

    def facts(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self) | {
            "proxy": self.proxy._asdict(),
            "direct": self.direct._asdict(),
            "p50_ratio": self.p50_ratio,
            "throughput_ratio": self.throughput_ratio,
        }


async def measure(
    client: ClusterClient,
    endpoint: str,
    sizes: Sequence[int],
    connections: Sequence[int],
    *,
    seconds: float,
    progress: Callable[[Cell], None] = lambda _cell: None,
) -> list[Cell]:
    """Measures each size over each number of connections, for about `seconds` a side; needs anonymous access.

    Writes its objects into a bucket of its own and removes them. Raises ConnectionError when the endpoint refuses.
    """
    objects = ObjectClient(client, ANONYMOUS)
    bucket = f"zerohop-bench-{os.urandom(4).hex()}"
    await objects.create_bucket(bucket)
    cells: list[Cell] = []
    try:
        for size_bytes in sizes:
            key = f"object-{size_bytes}"
            await objects.write(bucket, key, _random(size_bytes), size_bytes=size_bytes)
            for count in connections:
                if count * size_bytes > _MAX_IN_FLIGHT_BYTES:
                    continue
                proxy = await _over_http(endpoint, f"/{bucket}/{key}", size_bytes, count, seconds)
                direct = await _native(objects, bucket, key, size_bytes, count, seconds)
                cells.append(Cell(size_bytes, count, proxy, direct))
                progress(cells[-1])
            await objects.delete(bucket, [key])
    finally:
        await _remove(objects, bucket, sizes)
    return cells


async def _random(size_bytes: int) -> AsyncIterator[bytes]:
    block = os.urandom(min(size_bytes, _WRITE_BYTES))
    for _ in range(size_bytes // len(block)):
        yield block
    yield block[: size_bytes % len(block)]


async def _remove(objects: ObjectClient, bucket: str, sizes: Sequence[int]) -> None:
    with suppress(ZerohopError):
        await objects.delete(bucket, [f"object-{size_bytes}" for size_bytes in sizes])
        await objects.delete_bucket(bucket)


async def _over_http(endpoint: str, path: str, size_bytes: int, count: int, seconds: float) -> Side:
    readers = [await HttpReader.connect(endpoint) for _ in range(count)]
    reads = [functools.partial(reader.get, path, size_bytes) for reader in readers]
    try:
        return await _side(reads, size_bytes, seconds)
    finally:
        for reader in readers:
            reader.close()


async def _native(
    objects: ObjectClient, bucket: str, key: str, size_bytes: int, count: int, seconds: float
) -> Side:
    async def read() -> None:
        taken = 0
        async with aclosing(objects.read(bucket, key)) as chunks:
            async for chunk in chunks:
                taken += len(chunk)
        if taken != size_bytes:
            raise NotFound(f"{taken} of {size_bytes} bytes came")

    return await _side([read] * count, size_bytes, seconds)


async def _side(reads: Sequence[Read], size_bytes: int, seconds: float) -> Side:
    await asyncio.gather(
        *(read() for read in reads)
    )  # connections, caches and code paths are warm from here on
    latencies_s: list[float] = []
    began = time.perf_counter()
    deadline = began + seconds

    async def repeat(read: Read) -> None:
        while True:
            start = time.perf_counter()
            await read()
            now = time.perf_counter()
            latencies_s.append(now - start)
            if now >= deadline:
                return

    await asyncio.gather(*(repeat(read) for read in reads))
    elapsed_s = time.perf_counter() - began
    latencies_s.sort()
    count = len(latencies_s)
    return Side(
        requests=count,
        p50_us=latencies_s[count // 2] * 1e6,
        p99_us=latencies_s[min(count - 1, count * 99 // 100)] * 1e6,
        requests_per_s=count / elapsed_s,
        bytes_per_s=count * size_bytes / elapsed_s,
    )

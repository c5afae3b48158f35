"""How the cost of a GET grows: with the object's size, the connections, the keys of a bucket, and the workers."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from zerohop_bench import many_keys
from zerohop_bench.http_load import Work, get_streams
from zerohop_bench.listing_pages import cluster_of_many_keys
from zerohop_bench.peer_servers import Nginx, SeaweedFs
from zerohop_bench.results import OURS, Series
from zerohop_bench.servers import Server
from zerohop_bench.sigv4 import presigned_target
from zerohop_bench.small_requests import run_presigned
from zerohop_bench.stage import KIB, MIB, Entrant, Stage
from zerohop_bench.zerohop_servers import ZerohopHosts

__all__ = ["GROWTH", "Growth"]

_SIZES: Final = tuple(KIB << shift for shift in range(0, 17, 2))  # 1 KiB to 64 MiB
_LARGEST_BY_WRK: Final = 64 * KIB  # it reads 8 KiB at a time, and would be what is measured beyond
_STREAMS: Final = 8
_STREAMED_BYTES: Final = 512 * MIB
_CONNECTIONS: Final = (1, 4, 16, 64, 256)
_WORKERS: Final = (1, 2, 3)


class Growth(NamedTuple):
    """One curve and how it is measured."""

    name: str
    title: str
    x_label: str
    measure: Callable[[Stage], tuple[Series, ...]]


def _by_size(stage: Stage) -> tuple[Series, ...]:
    servers = stage.servers(Nginx, SeaweedFs)
    for size_bytes in _SIZES:
        body = os.urandom(size_bytes)
        for server in servers.values():
            server.store(f"size-{size_bytes}", body)
    return tuple(
        Series(
            name,
            tuple(stage.point(size, Entrant(name, server, _sized(stage, server, size))) for size in _SIZES),
        )
        for name, server in servers.items()
    )


def _sized(stage: Stage, server: Server, size_bytes: int) -> Callable[[], Work]:
    target = server.target("GET", f"size-{size_bytes}")
    if size_bytes <= _LARGEST_BY_WRK:
        return run_presigned(stage, server, [target])
    times = max(1, _STREAMED_BYTES // _STREAMS // size_bytes)

    def run() -> Work:
        work = get_streams(
            server.address, target, size_bytes, streams=_STREAMS, cpu=stage.load_cpu, times=times
        )
        return Work(work.units // size_bytes, work.rate / size_bytes)

    return run


def _by_connections(stage: Stage) -> tuple[Series, ...]:
    def series(name: str, server: Server) -> Series:
        targets = [server.target("GET", f"small-{number}") for number in range(stage.plan.small_objects)]
        points = (
            stage.point(
                count, Entrant(name, server, run_presigned(stage, server, targets, connections=count))
            )
            for count in _CONNECTIONS
        )
        return Series(name, tuple(points))

    return tuple(series(name, server) for name, server in stage.servers(Nginx, SeaweedFs).items())


def _by_keys(stage: Stage) -> tuple[Series, ...]:
    cluster = cluster_of_many_keys(stage)

    def entrant(count: int) -> Entrant:
        choose = random.Random(4)
        targets = [
            presigned_target(
                cluster.keys,
                "GET",
                cluster.host,
                f"/{many_keys.bucket_of(count)}/{many_keys.key_of(choose.randrange(1, count))}",
            )
            for _ in range(min(count, 20_000))
        ]
        return Entrant(OURS, cluster, run_presigned(stage, cluster, targets))

    return (Series(OURS, tuple(stage.point(count, entrant(count)) for count in stage.plan.listed_keys)),)


def _by_workers(stage: Stage) -> tuple[Series, ...]:
    def cluster(count: int, folder: Path, cpus: str | None, label: str) -> ZerohopHosts:
        return ZerohopHosts(folder, cpus, label, worker_hosts=("one",) * count)

    points = []
    for count in _WORKERS:
        with stage.own(partial(cluster, count)) as server:
            body = os.urandom(64 * KIB)
            for number in range(stage.plan.block_objects):
                server.store(f"block-{number}", body)
            targets = [server.target("GET", f"block-{number}") for number in range(stage.plan.block_objects)]
            points.append(stage.point(count, Entrant(OURS, server, run_presigned(stage, server, targets))))
    return (Series(OURS, tuple(points)),)


GROWTH: Final = (
    Growth("size", "GET by the size of the object", "bytes", _by_size),
    Growth("connections", "4 KiB GET by the number of connections", "connections", _by_connections),
    Growth("keys", "GET of random keys by the keys of the bucket", "keys", _by_keys),
    Growth("workers", "64 KiB GET by the number of workers, all on one core", "workers", _by_workers),
)

"""Lines of more processes: two proxies against one, and the hop through the proxy against the native client."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import uvloop

from zerohop.client.cluster import ClusterClient
from zerohop_bench import hop
from zerohop_bench.results import OURS, Figure
from zerohop_bench.small_requests import run_presigned
from zerohop_bench.stage import KIB, Entrant, Stage
from zerohop_bench.zerohop_servers import Zerohop

__all__ = ["CORES_FOR_A_RATE", "NATIVE", "ONE_PROXY", "hop_p50", "hop_p99", "two_proxies"]

NATIVE: Final = "native client"
ONE_PROXY: Final = f"{OURS}, one proxy"
CORES_FOR_A_RATE: Final = 4
"""With fewer, two proxies have to share one core with all else, and only their processor time tells anything."""


def two_proxies(stage: Stage) -> tuple[Figure, ...]:
    """Presigned 4 KiB GET by a cluster of two proxies, and by one of one."""
    if stage.cores >= CORES_FOR_A_RATE:
        with stage.own(_twins, cpus=stage.wide_cpus) as two, stage.own(Zerohop, cpus=stage.wide_cpus) as one:
            return _compared(stage, two, one)
    with stage.own(_twins) as two:
        return _compared(stage, two, stage.ours)


def hop_p50(stage: Stage) -> tuple[Figure, ...]:
    """Median latency of a 4 KiB read over one connection in microseconds, through the proxy and natively."""
    cells = _hop(stage)
    return (
        Figure(OURS, tuple(cell.proxy.p50_us for cell in cells)),
        Figure(NATIVE, tuple(cell.direct.p50_us for cell in cells)),
    )


def hop_p99(stage: Stage) -> tuple[Figure, ...]:
    """The 99th percentile of the same reads."""
    cells = _hop(stage)
    return (
        Figure(OURS, tuple(cell.proxy.p99_us for cell in cells)),
        Figure(NATIVE, tuple(cell.direct.p99_us for cell in cells)),
    )


def _twins(folder: Path, cpus: str | None, label: str) -> Zerohop:
    return Zerohop(folder, cpus, label, proxies=2)


def _compared(stage: Stage, two: Zerohop, one: Zerohop) -> tuple[Figure, ...]:
    def reader(who: str, server: Zerohop) -> Entrant:
        for number in range(stage.plan.small_objects):
            server.store(f"small-{number}", os.urandom(4 * KIB))
        targets = [server.target("GET", f"small-{number}") for number in range(stage.plan.small_objects)]
        return Entrant(who, server, run_presigned(stage, server, targets))

    return stage.rounds([reader(OURS, two), reader(ONE_PROXY, one)], hot=True)


def _hop(stage: Stage) -> list[hop.Cell]:
    def find() -> list[hop.Cell]:
        before = os.sched_getaffinity(0)
        if stage.load_cpu is not None:
            os.sched_setaffinity(0, {stage.load_cpu})
        try:
            return uvloop.run(_cells(stage.ours, stage.plan.rounds, stage.plan.hop_seconds))
        finally:
            os.sched_setaffinity(0, before)

    return stage.once("hop", find)


async def _cells(server: Zerohop, rounds: int, seconds: float) -> list[hop.Cell]:
    client = await ClusterClient.connect([server.master], name="zerohop-bench")
    async with client:
        found: list[hop.Cell] = []
        for _ in range(rounds):
            found += await hop.measure(client, f"http://{server.host}", [4 * KIB], [1], seconds=seconds)
        return found

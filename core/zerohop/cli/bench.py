"""`zerohop bench`: what the proxy costs, and how the cluster compares."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import uvloop

from zerohop.cli.bench_all import all_lines, build_minio, guard, peers
from zerohop.cli.bench_cache import cache
from zerohop.cli.bench_cluster import BenchCluster, bench_cluster
from zerohop.cli.bench_eviction import eviction
from zerohop.cli.bench_slow_clients import slow_clients
from zerohop.cli.cluster_options import as_json
from zerohop.errors import InvalidRequest, PeerUnavailable
from zerohop.units import format_size, parse_size

if TYPE_CHECKING:
    from zerohop_bench.hop import Cell

__all__ = ["bench"]


@click.group()
def bench() -> None:
    """Measure this cluster on this machine."""


for _command in (all_lines, cache, eviction, peers, guard, slow_clients, build_minio):
    bench.add_command(_command)


@bench.command()
@click.option("--quick", is_flag=True, help="Fewer cells and less time for each: under a minute.")
@click.option("--sizes", help="Sizes of objects, such as 4KiB,1MiB.")
@click.option("--connections", help="Numbers of connections, such as 1,16.")
@click.option("--seconds", type=click.FloatRange(0.05, 60), help="Time for each side of a cell.")
@click.option("--master", help="Address of the master of a running cluster; needs --endpoint.")
@click.option("--endpoint", help="S3 endpoint of the running cluster.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Data folder of a running `zerohop up`.  [default: a cluster of its own, in a temporary folder]",
)
@click.option("--json", "json_output", is_flag=True, help="Print JSON.")
@click.option(
    "--plot", "plot_file", type=click.Path(dir_okay=False, path_type=Path), help="Write a PNG there."
)
def hop(
    quick: bool,
    sizes: str | None,
    connections: str | None,
    seconds: float | None,
    master: str | None,
    endpoint: str | None,
    data: Path | None,
    json_output: bool,
    plot_file: Path | None,
) -> None:
    """Measure the hop: reading through the proxy against reading the same object with the native client."""
    from zerohop_bench import hop as hops
    from zerohop_bench.hop_plot import check_plotting, plot

    if plot_file is not None:
        check_plotting()
    size_list = _sizes(sizes) or (hops.QUICK_SIZES if quick else hops.SIZES)
    counts = _counts(connections) or (hops.QUICK_CONNECTIONS if quick else hops.CONNECTIONS)
    with bench_cluster(master, endpoint, data) as place:
        cells = uvloop.run(_measure(place, size_list, counts, seconds or (0.5 if quick else 2.0)))
    if plot_file is not None:
        plot(cells, plot_file)
    if json_output:
        click.echo(as_json({"cpus": os.cpu_count(), "cells": [cell.facts() for cell in cells]}))
    else:
        _print_table(cells)


def _sizes(text: str | None) -> tuple[int, ...]:
    try:
        found = tuple(parse_size(size) for size in text.split(",")) if text else ()
    except ValueError as error:
        raise InvalidRequest(f"--sizes: {error}") from None
    if any(size <= 0 for size in found):
        raise InvalidRequest("--sizes: an empty object has no throughput")
    return found


def _counts(text: str | None) -> tuple[int, ...]:
    try:
        found = tuple(int(count) for count in text.split(",")) if text else ()
    except ValueError:
        raise InvalidRequest(f"--connections {text!r}: expected whole numbers such as 1,16") from None
    if any(not 0 < count <= 1024 for count in found):
        raise InvalidRequest("--connections: expected 1 to 1024")
    return found


async def _measure(
    place: BenchCluster, sizes: tuple[int, ...], counts: tuple[int, ...], seconds: float
) -> list[Cell]:
    from zerohop.client.cluster import ClusterClient
    from zerohop_bench.hop import measure

    client = await ClusterClient.connect(
        place.target.masters,
        name="zerohop-bench",
        cluster_secret=place.target.cluster_secret or None,
        ssl_context=place.target.ssl_context,
    )
    async with client:
        try:
            return await measure(client, place.endpoint, sizes, counts, seconds=seconds, progress=_say)
        except OSError as error:
            raise PeerUnavailable(f"{place.endpoint}: {error}") from None


def _say(cell: Cell) -> None:
    if sys.stderr.isatty():
        click.echo(f"{format_size(cell.size_bytes)} over {cell.connections}: {cell.p50_ratio:.2f}x", err=True)


def _print_table(cells: list[Cell]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Reading through the proxy and directly (latencies in microseconds)")
    headings = "size conns p50 direct ratio p99 direct req/s direct MB/s direct ratio"
    for heading in headings.split():
        table.add_column(heading, justify="right")
    for cell in cells:
        proxy, direct = cell.proxy, cell.direct
        table.add_row(
            format_size(cell.size_bytes),
            str(cell.connections),
            f"{proxy.p50_us:,.0f}",
            f"{direct.p50_us:,.0f}",
            f"{cell.p50_ratio:.2f}",
            f"{proxy.p99_us:,.0f}",
            f"{direct.p99_us:,.0f}",
            f"{proxy.requests_per_s:,.0f}",
            f"{direct.requests_per_s:,.0f}",
            f"{proxy.bytes_per_s / 1e6:,.0f}",
            f"{direct.bytes_per_s / 1e6:,.0f}",
            f"{cell.throughput_ratio:.2f}",
        )
    width = None if sys.stdout.isatty() else 140
    Console(width=width).print(table)

"""`zerohop bench`: what the proxy costs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
import uvloop

from zerohop.cli.bench_peers import peers
from zerohop.cli.cluster_options import Target, as_json, find_cluster
from zerohop.cli.data_folder import read_running_cluster
from zerohop.errors import InvalidRequest, NotFound, PeerUnavailable
from zerohop.units import format_size, parse_size

if TYPE_CHECKING:
    from zerohop_bench.hop import Cell

__all__ = ["bench"]

_START_TIMEOUT_S = 60.0


class _Place(NamedTuple):
    target: Target
    endpoint: str


@click.group()
def bench() -> None:
    """Measure this cluster on this machine."""


bench.add_command(peers)


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
    with _cluster(master, endpoint, data) as place:
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


@contextmanager
def _cluster(master: str | None, endpoint: str | None, data: Path | None) -> Iterator[_Place]:
    """The cluster that was named, or one of our own for as long as the context lasts."""
    if master or endpoint:
        if not (endpoint and (master or data)):
            raise InvalidRequest("a running cluster is named by --master and --endpoint, or by --data")
        yield _Place(find_cluster(master, data, None), endpoint)
    elif data is not None:
        yield _Place(find_cluster(None, data, None), read_running_cluster(data).endpoint)
    else:
        with tempfile.TemporaryDirectory(prefix="zerohop-bench-") as folder:
            own = Path(folder) / "data"
            with _own_cluster(own):
                yield _Place(find_cluster(None, own, None), read_running_cluster(own).endpoint)


@contextmanager
def _own_cluster(data: Path) -> Iterator[None]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ZEROHOP_")}
    command = [sys.executable, "-m", "zerohop.cli", "up", f"--data={data}", "--port=0"]
    log = data.parent / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=clean, stdout=output, stderr=output)  # noqa: S603
    try:
        _wait_until_ready(process, data, log)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], data: Path, log: Path) -> None:
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            read_running_cluster(data)
        except NotFound:
            if process.poll() is not None or time.monotonic() > deadline_s:
                said = log.read_text(errors="replace")[-1000:]
                raise PeerUnavailable(f"the cluster for the bench did not start:\n{said}") from None
            time.sleep(0.05)
        else:
            return


async def _measure(
    place: _Place, sizes: tuple[int, ...], counts: tuple[int, ...], seconds: float
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

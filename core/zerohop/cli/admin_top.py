"""`zerohop admin top`: what the cluster is doing, live in the terminal."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from zerohop.cli.cluster_look import Member, look
from zerohop.cli.cluster_options import as_json, on_cluster
from zerohop.cli.cluster_rates import Rates, rates
from zerohop.client.objects import ObjectClient
from zerohop.rpc.master_api import ClusterReport
from zerohop.units import format_size

__all__ = ["top"]


@click.command()
@click.option("--once", is_flag=True, help="Look for one interval, print, and end.")
@click.option("--json", "json_output", is_flag=True, help="Print a line of JSON for each interval.")
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(min=0.1),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
)
@on_cluster
async def top(objects: ObjectClient, once: bool, json_output: bool, interval_s: float) -> None:
    """Show requests, latencies, bytes, hit ratios, workers and proxies, live."""
    console = Console()
    plain = once or json_output or not console.is_terminal
    _, _, before = await look(objects)
    with Live(console=console, screen=True, auto_refresh=False) if not plain else _Nothing() as live:
        while True:
            await asyncio.sleep(interval_s)
            report, members, after = await look(objects)
            found = rates(before, after)
            if json_output:
                click.echo(as_json(_facts(members, found)))
                sys.stdout.flush()
            elif isinstance(live, Live):
                live.update(_screen(report, members, found), refresh=True)
            else:
                console.print(_screen(report, members, found))
            if once:
                return
            before = after


class _Nothing:
    """In the place of the live display, where there is none."""

    def __enter__(self) -> None:
        """Nothing begins."""

    def __exit__(self, *_error: object) -> None:
        """Nothing ends."""


def _facts(members: Sequence[Member], found: Rates) -> dict[str, object]:
    return {
        **asdict(found),
        "requests_per_s": sum(one.per_s for one in found.operations),
        "processes": [member._asdict() for member in members],
    }


def _screen(report: ClusterReport, members: Sequence[Member], found: Rates) -> Group:
    live = sum(worker.live for worker in report.workers)
    proxies = sum(member.kind == "proxy" for member in members)
    head = Text(
        f"zerohop {report.version}   {sum(one.per_s for one in found.operations):,.0f} requests/s   "
        f"{found.in_flight:.0f} in flight, {found.connections:.0f} connections   "
        f"{live} workers live, {len(report.workers) - live} lost, {proxies} proxies   "
        f"{found.unpersisted:.0f} contents to persist"
    )
    return Group(head, _operations(found), _tiers(found), _processes(members, found))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    return table


def _operations(found: Rates) -> Table:
    table = _table("operation", "per s", "errors/s", "p50 ms", "p99 ms", "in/s", "out/s")
    for one in found.operations:
        table.add_row(
            one.operation,
            f"{one.per_s:,.1f}",
            f"{one.errors_per_s:,.1f}",
            _milliseconds(one.p50_s),
            _milliseconds(one.p99_s),
            _size(one.received_bytes_per_s),
            _size(one.sent_bytes_per_s),
        )
    return table


def _tiers(found: Rates) -> Table:
    table = _table("tier", "used", "of", "hits/s", "hit ratio", "evictions/s")
    for one in found.tiers:
        table.add_row(
            one.tier,
            _size(one.used_bytes),
            _size(one.capacity_bytes),
            f"{one.hits_per_s:,.1f}",
            "-" if one.hit_ratio is None else f"{one.hit_ratio:.1%}",
            f"{one.evictions_per_s:,.1f}",
        )
    for source, per_s in sorted(found.sources_per_s.items()):
        table.add_row(f"from {source}", "", "", f"{per_s:,.1f}", "", "")
    return table


def _processes(members: Sequence[Member], found: Rates) -> Table:
    table = _table("process", "state", "loop lag ms")
    for member in members:
        state = "lost" if not member.live else "ok" if member.answers else "does not answer"
        table.add_row(f"{member.kind} {member.name}", state, _milliseconds(found.loop_lag_s.get(member.name)))
    return table


def _milliseconds(duration_s: float | None) -> str:
    return "-" if duration_s is None else f"{duration_s * 1000:.2f}"


def _size(size_bytes: float) -> str:
    return format_size(int(size_bytes)) if size_bytes else "0"

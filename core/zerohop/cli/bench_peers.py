"""`zerohop bench peers`: the data path against SeaweedFS and nginx on this machine."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zerohop.cli.cluster_options import as_json

if TYPE_CHECKING:
    from zerohop_bench.peers import Line

__all__ = ["peers"]


@click.command()
@click.option("--quick", is_flag=True, help="Three short rounds: under two minutes.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where the servers keep their data meanwhile.  [default: the system's temporary folder]",
)
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write JSON there."
)
def peers(quick: bool, folder: Path | None, json_file: Path | None) -> None:
    """Measure small and large reads and writes against SeaweedFS and nginx, each on one core.

    Needs wrk. Starts its own servers on loopback, and leaves nothing behind.
    """
    from zerohop_bench import peers as contest
    from zerohop_bench.http_load import LoadFailed, missing_wrk

    if missing_wrk():
        raise click.ClickException(f"wrk makes the load: {missing_wrk()}")
    try:
        versions, missing, lines = contest.measure(
            contest.QUICK if quick else contest.FULL, folder, lambda text: click.echo(text, err=True)
        )
    except LoadFailed as error:
        raise click.ClickException(str(error)) from None
    if json_file is not None:
        json_file.write_text(as_json(_facts(versions, lines)) + "\n")
    _print_table(lines)
    for version in versions.values():
        click.echo(version)
    for name, line in missing.items():
        click.echo(f"{name} was left out, because it is not installed: {line}")


def _facts(versions: dict[str, str], lines: list[Line]) -> dict[str, Any]:
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "versions": versions,
        "lines": [
            {
                "name": line.name,
                "unit": line.unit,
                "figures": [
                    {
                        "server": figure.server,
                        "rate": round(figure.rate, 1),
                        "rounds": [round(rate, 1) for rate in figure.rates],
                        "cpu_us": round(figure.cpu_us, 1),
                        "zerohop_ratio": line.ratio(figure.server),
                        "zerohop_cpu_ratio": line.cpu_ratio(figure.server),
                    }
                    for figure in line.figures
                ],
            }
            for line in lines
        ],
    }


def _print_table(lines: list[Line]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Each server on one core, the load on another; medians of interleaved rounds")
    table.add_column("")
    for heading in ("server", "rate", "range", "CPU us", "zerohop is", "by CPU"):
        table.add_column(heading, justify="right")
    for line in lines:
        for figure in line.figures:
            is_ours = figure is line.figures[0]
            low, high = min(figure.rates), max(figure.rates)
            table.add_row(
                line.name if is_ours else "",
                figure.server,
                _shown(figure.rate, line.unit),
                f"{_shown(low, '')} - {_shown(high, '')}" if line.unit == "req/s" else _range_mb(low, high),
                f"{figure.cpu_us:,.0f}",
                "" if is_ours else _times(line.ratio(figure.server)),
                "" if is_ours else _times(line.cpu_ratio(figure.server)),
            )
        table.add_section()
    Console(width=120).print(table)
    click.echo("CPU us: processor time of the server for one request, or for one MiB of a large body.")
    click.echo(
        "By CPU: how often zerohop does the same work in the other's processor time; the ratio to trust on a"
    )
    click.echo("busy machine.")


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f} x"


def _shown(rate: float, unit: str) -> str:
    return f"{rate / 1e6:,.0f} MB/s" if unit == "B/s" else f"{rate:,.0f} {unit}".rstrip()


def _range_mb(low: float, high: float) -> str:
    return f"{low / 1e6:,.0f} - {high / 1e6:,.0f}"

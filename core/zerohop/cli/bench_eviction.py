"""`zerohop bench eviction`: which eviction policy, by synthetic traces."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zerohop.cli.cluster_options import as_json

if TYPE_CHECKING:
    from zerohop_bench.eviction.contest import Cell

__all__ = ["eviction"]


@click.command()
@click.option("--tune", is_flag=True, help="Compare settings of our own policy instead of policies.")
@click.option("--accesses", type=click.IntRange(100, 10_000_000), help="Length of a trace.")
@click.option(
    "--seed", type=int, help="Of the traces; the same seed, the same traces.  [default: 0; 1 with --tune]"
)
@click.option("--json", "json_output", is_flag=True, help="Print JSON.")
@click.option(
    "--plot", "plot_file", type=click.Path(dir_okay=False, path_type=Path), help="Write a PNG there."
)
def eviction(
    tune: bool, accesses: int | None, seed: int | None, json_output: bool, plot_file: Path | None
) -> None:
    """Replay synthetic traces through the cache's eviction policy and others.

    Prints misses relative to the optimum (Belady's MIN), then hit ratios, as Markdown. Takes a minute and a half of
    processor time.
    """
    from zerohop_bench.eviction import contest, references, report
    from zerohop_bench.hop_plot import check_plotting

    if plot_file is not None:
        check_plotting()
    if not tune and not references.has_references():
        click.echo("libcachesim is left out, because it is not installed: pip install libcachesim", err=True)
    if seed is None:
        seed = int(tune)  # the settings must not be chosen on the traces on which they are then judged
    cells = contest.run(tune=tune, accesses=accesses or contest.ACCESSES, seed=seed, progress=_say)
    ranking = contest.standings(cells)
    if plot_file is not None:
        report.plot(cells, ranking, plot_file)
    if json_output:
        click.echo(as_json(report.facts(cells, ranking)))
    else:
        click.echo(report.tables(cells, ranking))


def _say(cell: Cell) -> None:
    if sys.stderr.isatty():
        click.echo(f"{cell.workload}, {cell.share:.0%}", err=True)

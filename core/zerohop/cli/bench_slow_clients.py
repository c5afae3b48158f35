"""`zerohop bench slow-clients`: what a fast client keeps of its rate in a crowd of slow ones."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import click

from zerohop.cli.bench_cluster import bench_cluster
from zerohop.cli.cluster_options import as_json
from zerohop.errors import PeerUnavailable

__all__ = ["slow_clients"]


@click.command("slow-clients")
@click.option("--slow", default=1000, show_default=True, type=click.IntRange(0, 10_000), help="Slow readers.")
@click.option(
    "--idle", default=1000, show_default=True, type=click.IntRange(0, 10_000), help="Idle connections."
)
@click.option(
    "--seconds", default=5.0, show_default=True, type=click.FloatRange(0.1, 60), help="Time for each side."
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Data folder of a running `zerohop up`.  [default: a cluster of its own, in a temporary folder]",
)
@click.option("--json", "json_output", is_flag=True, help="Print JSON.")
def slow_clients(slow: int, idle: int, seconds: float, data: Path | None, json_output: bool) -> None:
    """Measure small reads alone, and among clients that read a byte a second or nothing at all."""
    from zerohop_bench.slow_clients import Crowd, measure

    with bench_cluster(None, None, data) as place:
        where = urlsplit(place.endpoint)
        try:
            found = measure((where.hostname or "", where.port or 80), Crowd(slow, idle), seconds=seconds)
        except (OSError, ValueError) as error:
            raise PeerUnavailable(f"{place.endpoint}: {error}") from None
    if json_output:
        click.echo(as_json(found.facts()))
        return
    click.echo(f"alone:        {found.solo_per_s:8,.0f} requests/s, p50 {found.solo_p50_us:,.0f} us")
    click.echo(
        f"in the crowd: {found.crowded_per_s:8,.0f} requests/s, p50 {found.crowded_p50_us:,.0f} us, "
        f"p99 {found.crowded_p99_us:,.0f} us"
    )
    click.echo(
        f"{found.kept:.0%} of its rate kept, with {slow} slow readers and {idle} idle connections ({found.cut} cut)"
    )

"""`zerohop bench cache`: cold, warm and direct reads of a mounted origin side by side."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from zerohop.cli.bench_all import stopping_in_order
from zerohop.errors import InvalidRequest, NotSupported
from zerohop.units import parse_duration, parse_size

if TYPE_CHECKING:
    from zerohop_bench.cache_cells import Way
    from zerohop_bench.cache_places import Origin
    from zerohop_bench.results import Run

__all__ = ["cache"]

_WIDTH: Final = 170
_MARKERS: Final = (
    "<!-- written by `zerohop bench cache --docs`: begin -->",
    "<!-- written by `zerohop bench cache --docs`: end -->",
)
_MOST_LATENCY_S: Final = 10.0
_LEAST_BANDWIDTH_BYTES: Final = 1_000_000


@click.command()
@click.option("--quick", is_flag=True, help="Fewer cells and rounds: about a minute.")
@click.option(
    "--latency",
    default="50ms",
    show_default=True,
    help="Added to each round trip to the origin, as if it were in another region; 0 for none.",
)
@click.option(
    "--bandwidth",
    default="125MB",
    show_default=True,
    help="What the way to the origin carries in a second, over all connections, in the lines of a limited way.",
)
@click.option(
    "--endpoint", help="The origin: http://host:port of an S3 store.  [default: a SeaweedFS of its own]"
)
@click.option("--bucket", help="An existing bucket there; what is stored in it is removed at the end.")
@click.option("--prefix", default="zerohop-bench/", show_default=True, help="Of all objects in that bucket.")
@click.option("--access-key", envvar="AWS_ACCESS_KEY_ID", help="[default: $AWS_ACCESS_KEY_ID]")
@click.option("--secret-key", envvar="AWS_SECRET_ACCESS_KEY", help="[default: $AWS_SECRET_ACCESS_KEY]")
@click.option(
    "--results",
    default=Path("bench-results"),
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the JSON and the picture.",
)
@click.option(
    "--docs",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Rewrite the block of this Markdown page too, and put the picture into the folder of its name.",
)
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where origin and clusters keep their data meanwhile.  [default: the system's temporary folder]",
)
def cache(
    quick: bool,
    latency: str,
    bandwidth: str,
    endpoint: str | None,
    bucket: str | None,
    prefix: str,
    access_key: str | None,
    secret_key: str | None,
    results: Path,
    docs: Path | None,
    folder: Path | None,
) -> None:
    """Read mounted objects cold, warm from memory and from SSD, and directly from the origin, side by side.

    First byte and rate, for small and large objects, for one reader and eight, with the origin's round trip made
    longer, and some on a way to it that has a rate. Starts two clusters of its own on loopback, and leaves nothing
    behind. Exits with 1 when a line failed.
    """
    from zerohop_bench.cache_cells import FULL, QUICK, Way, measure
    from zerohop_bench.hop_plot import check_plotting
    from zerohop_bench.http_load import LoadFailed

    check_plotting()
    origin = _origin(endpoint, bucket, prefix, access_key or "", secret_key or "")
    way = Way(_latency(latency), _bandwidth(bandwidth))
    with stopping_in_order():
        try:
            run = measure(QUICK if quick else FULL, origin, way, folder, _say)
        except LoadFailed as error:
            raise click.ClickException(str(error)) from None
    _keep(run, results, docs, way)
    if any(result.failed for result in run.results):
        raise click.exceptions.Exit(1)


def _origin(
    endpoint: str | None, bucket: str | None, prefix: str, access_key: str, secret_key: str
) -> Origin | None:
    from zerohop_bench.cache_places import given_origin
    from zerohop_bench.peer_servers import SeaweedFs
    from zerohop_bench.sigv4 import Keys

    if endpoint is None:
        if SeaweedFs.missing():
            raise NotSupported(f"name an origin by --endpoint, or install SeaweedFS: {SeaweedFs.missing()}")
        return None
    if not bucket or not access_key or not secret_key:
        raise InvalidRequest("--endpoint needs --bucket, --access-key and --secret-key")
    return given_origin(endpoint, bucket, prefix, Keys(access_key, secret_key))


def _latency(text: str) -> float:
    try:
        latency_s = parse_duration(text)
    except ValueError as error:
        raise InvalidRequest(f"--latency: {error}") from None
    if not 0 <= latency_s <= _MOST_LATENCY_S:
        raise InvalidRequest(f"--latency: expected 0 to {_MOST_LATENCY_S:g}s")
    return latency_s


def _bandwidth(text: str) -> float:
    try:
        bytes_per_s = parse_size(text)
    except ValueError as error:
        raise InvalidRequest(f"--bandwidth: {error}") from None
    if bytes_per_s < _LEAST_BANDWIDTH_BYTES:
        raise InvalidRequest("--bandwidth: expected at least 1MB")
    return float(bytes_per_s)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _keep(run: Run, results: Path, docs: Path | None, way: Way) -> None:
    import msgspec
    from rich.console import Console

    from zerohop_bench.cache_plot import plot_cache
    from zerohop_bench.report import as_markdown, as_table, rewrite

    results.mkdir(parents=True, exist_ok=True)
    (results / "cache.json").write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=2) + b"\n")
    picture = plot_cache(run, results)
    if docs is not None:
        beside = docs.with_suffix("")
        beside.mkdir(exist_ok=True)
        (beside / picture.name).write_bytes(picture.read_bytes())
        shown = f"![Reads of a mounted origin]({beside.name}/{picture.name})"
        text = f"The origin is {way.round_trip_s * 1e3:g} ms farther away than loopback. "
        text += f"A limited way carries {way.bytes_per_s / 1e6:g} MB/s.\n\n"
        rewrite(docs, text + as_markdown(run, beside.name, shown), _MARKERS)
    title = f"Reads of a mounted origin, {way.round_trip_s * 1e3:g} ms away"
    title += f", a limited way carrying {way.bytes_per_s / 1e6:g} MB/s"
    Console(width=_WIDTH).print(as_table(run, title))
    click.echo("CPU us: processor time of the whole cluster for one MiB, or for one small object.")
    for version in run.versions.values():
        click.echo(version)
    click.echo(
        f"{run.seconds:.0f} s on {os.cpu_count()} cores, load average {run.machine.load_before:.1f} before; "
        f"JSON and picture are in {results}"
    )

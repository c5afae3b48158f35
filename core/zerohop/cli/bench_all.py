"""`zerohop bench all`, `peers`, `guard` and `build-minio`: the whole table of targets, and the guard of its ratios."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from zerohop.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from zerohop_bench.lines import Line
    from zerohop_bench.results import Run

__all__ = ["all_lines", "build_minio", "guard", "peers", "stopping_in_order"]

_BASELINE: Final = Path("bench/baseline.json")
_WIDTH: Final = 170

_folder = click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where the servers keep their data meanwhile.  [default: the system's temporary folder]",
)
_results = click.option(
    "--results",
    default=Path("bench-results"),
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the JSON and the pictures.",
)
_lines = click.option("--lines", help="Only these lines, such as get-4k,list.")


@click.command("all")
@click.option("--quick", is_flag=True, help="Short rounds, fewer peers, no curves: under three minutes.")
@_lines
@_results
@click.option(
    "--docs",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Rewrite the block of this Markdown page too, and put the pictures into the folder of its name.",
)
@click.option(
    "--run",
    "run_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Show a run.json again, instead of measuring now.",
)
@_folder
def all_lines(
    quick: bool,
    lines: str | None,
    results: Path,
    docs: Path | None,
    run_file: Path | None,
    folder: Path | None,
) -> None:
    """Measure every line of the table of targets against its peers.

    Each server has one core, and the load another. Starts its own servers on loopback, and leaves nothing behind.
    Peers that are not installed are left out, and it says how to install them. Exits with 1 when a line failed.
    """
    from zerohop_bench.report import as_markdown, rewrite

    run = _kept(run_file) if run_file is not None else _measured(quick, lines, folder)
    pictures = _write(run, results)
    if docs is not None:
        beside = docs.with_suffix("")
        beside.mkdir(exist_ok=True)
        for picture in pictures:
            (beside / picture.name).write_bytes(picture.read_bytes())
        rewrite(docs, as_markdown(run, beside.name))
    _print(run)
    click.echo(f"JSON and pictures are in {results}")
    _exit_of(run)


@click.command()
@click.option("--quick", is_flag=True, help="Short rounds.")
@_folder
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write JSON there."
)
def peers(quick: bool, folder: Path | None, json_file: Path | None) -> None:
    """Measure only the lines of small and large reads and writes against peers."""
    from zerohop_bench.lines import PEER_LINES

    run = _measured(quick, ",".join(PEER_LINES), folder)
    if json_file is not None:
        json_file.write_bytes(_json(run))
    _print(run)
    _exit_of(run)


@click.command()
@click.option("--update", is_flag=True, help="Write the ratios of this run as the new baseline.")
@click.option(
    "--baseline",
    default=_BASELINE,
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The committed ratios and their tolerances.",
)
@click.option(
    "--run",
    "run_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A run.json of `bench all --quick` to compare, instead of measuring now.",
)
@_results
@_folder
def guard(update: bool, baseline: Path, run_file: Path | None, results: Path, folder: Path | None) -> None:
    """Compare the ratios of a quick run with the committed ones; exit with 1 when one got worse.

    For a quiet machine, by hand or at night. Absolute figures are not compared.
    """
    import msgspec

    from zerohop_bench.baseline import Baseline, compare, renewed

    before = msgspec.json.decode(baseline.read_bytes(), type=Baseline) if baseline.exists() else None
    if before is None and not update:
        raise NotFound(f"there is no {baseline}: --update writes it")
    if run_file is not None:
        run = _kept(run_file)
    else:
        run = _measured(True, None, folder)
        _write(run, results)
    changes = compare(before, run) if before is not None else []
    for change in changes:
        click.echo(change.text)
    if update:
        new = msgspec.json.encode(renewed(run, before))
        baseline.write_bytes(msgspec.json.format(new, indent=2) + b"\n")
        click.echo(f"wrote {baseline}")
    elif any(change.is_worse for change in changes):
        raise click.exceptions.Exit(1)


@click.command("build-minio")
def build_minio() -> None:
    """Build MinIO with Go, once, into a cache folder: it is in no registry, and is compared where it is there."""
    from zerohop_bench import minio_build

    click.echo("building MinIO, unless it is there", err=True)
    reason = minio_build.build()
    click.echo(f"MinIO will be left out: {reason}" if reason else str(minio_build.built()))


def _measured(quick: bool, lines: str | None, folder: Path | None) -> Run:
    from zerohop_bench.contest import measure
    from zerohop_bench.hop_plot import check_plotting
    from zerohop_bench.stage import FULL, QUICK, NothingToMeasure

    check_plotting()
    chosen = _chosen(lines)
    plan = QUICK if quick else FULL
    if lines:
        plan = plan._replace(curves=False)
    with stopping_in_order():
        try:
            return measure(plan, folder, _say, lines=chosen)
        except NothingToMeasure as error:
            raise click.ClickException(str(error)) from None


def _chosen(names: str | None) -> Sequence[Line]:
    from zerohop_bench.lines import LINES

    if not names:
        return LINES
    wanted = names.split(",")
    unknown = set(wanted) - {line.name for line in LINES}
    if unknown:
        raise InvalidRequest(
            f"--lines: no {', '.join(sorted(unknown))} among {', '.join(line.name for line in LINES)}"
        )
    return [line for line in LINES if line.name in wanted]


def _say(text: str) -> None:
    click.echo(text, err=True)


@contextlib.contextmanager
def stopping_in_order() -> Iterator[None]:
    """Makes SIGTERM what Ctrl-C is: the servers are ended and their folders removed on the way out."""

    def interrupt(*_args: Any) -> None:
        raise KeyboardInterrupt

    before: Callable[..., Any] | int | None = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _write(run: Run, results: Path) -> list[Path]:
    from zerohop_bench.plots import plot_run

    results.mkdir(parents=True, exist_ok=True)
    (results / "run.json").write_bytes(_json(run))
    return plot_run(run, results)


def _kept(run_file: Path) -> Run:
    import msgspec

    from zerohop_bench.results import Run

    try:
        return msgspec.json.decode(run_file.read_bytes(), type=Run)
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"{run_file} is no run of this version: {error}") from None


def _json(run: Run) -> bytes:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(run), indent=2) + b"\n"


def _print(run: Run) -> None:
    from rich.console import Console

    from zerohop_bench.report import as_table

    Console(width=_WIDTH).print(as_table(run))
    for text in (
        "CPU us: processor time of the server for one request, or for one MiB of a large body. Ratios are ours",
        "divided by theirs, pair by pair; the one by CPU is the steadier where the machine is shared: below 1 is less.",
        *(f"{result.title}: {remark}" for result in run.results for remark in result.remarks),
        *run.versions.values(),
        *(f"{name} was left out: {why}" for name, why in run.missing.items()),
        f"{run.seconds:.0f} s on {os.cpu_count()} cores, load average {run.machine.load_before:.1f} before",
    ):
        click.echo(text)


def _exit_of(run: Run) -> None:
    if any(result.failed for result in run.results) or any(curve.failed for curve in run.curves):
        raise click.exceptions.Exit(1)

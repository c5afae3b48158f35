"""A run as text: the table for a terminal, and the block of a Markdown page between its markers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from zerohop.errors import InvalidRequest
from zerohop.units import format_size
from zerohop_bench.results import Curve, Figure, Result, Run, Verdict

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["BEGIN", "END", "as_markdown", "as_table", "rewrite", "shown", "target_text"]

BEGIN: Final = "<!-- written by `zerohop bench all --docs`: begin -->"
END: Final = "<!-- written by `zerohop bench all --docs`: end -->"
_PICTURE: Final = "![How far from its target each line is]({plots}/targets.png)"
_HEADINGS: Final = ("", "server", "median", "range", "CPU us", "ratio", "by CPU", "target", "")
_BOLD: Final = "**"
_IS_TEXT: Final = frozenset({0, 1, 7, 8})

_Row = tuple[str, ...]


def shown(value: float, unit: str) -> str:
    """A value of a line as people read it."""
    if unit == "B/s":
        return f"{value / 1e6:,.0f} MB/s"
    if unit == "B":
        return f"{value / (1 << 20):,.1f} MiB"
    if unit == "s":
        return f"{value * 1e3:,.1f} ms"
    if unit == "%":
        return f"{value:.2f} %"
    return f"{value:,.0f} {'us' if unit == 'us' else '/s'}".replace(" /s", "/s")


def target_text(verdict: Verdict, unit: str) -> str:
    """As in "at least 2 x: 2.31, worst 2.2"."""
    target = verdict.target
    if not target.against:
        return f"at most {shown(target.bound, unit)}"
    parts = [f"{target.bound:.3g} x"]
    if target.worst is not None:
        parts.append(f"worst {target.worst:.3g}, was {verdict.worst:.2f}")
    sign = "at most" if target.at_most else "at least"
    return f"{sign} {', '.join(parts)}{' by CPU' if target.by_cpu else ''}"


def as_table(run: Run, title: str = "Servers on one core, load on another") -> Table:
    """The whole table for a terminal: a row for each figure, ours first."""
    from rich.table import Table

    table = Table(title=f"{title}; medians of interleaved rounds ({run.plan})")
    for number, heading in enumerate(_HEADINGS):
        table.add_column(heading, justify="left" if number in _IS_TEXT else "right")
    for result in run.results:
        for row in _rows(result):
            table.add_row(*(cell.replace(_BOLD, "") for cell in row))
        table.add_section()
    return table


def as_markdown(run: Run, plots: str, picture: str = _PICTURE) -> str:
    """Machine, table, curves and plots; `plots` is the folder of the pictures as the page sees it, `picture` the
    Markdown of the first one.
    """
    lines = [_machine_text(run), "", "| " + " | ".join(_HEADINGS) + " |"]
    lines.append("|" + "|".join("---" if n in _IS_TEXT else "--:" for n in range(len(_HEADINGS))) + "|")
    lines += ["| " + " | ".join(row) + " |" for result in run.results for row in _rows(result)]
    lines += ["", picture.format(plots=plots)]
    for curve in run.curves:
        lines += ["", *_curve_text(curve, plots)]
    remarks = [f"- {result.title}: {remark}." for result in run.results for remark in result.remarks]
    return "\n".join([*lines, *(["", *remarks] if remarks else [])])


def rewrite(page: Path, block: str, markers: tuple[str, str] = (BEGIN, END)) -> None:
    """Puts `block` between the markers of `page`. Raises InvalidRequest unless they are there once each, in order."""
    text = page.read_text()
    before, begin, rest = text.partition(markers[0])
    _, end, after = rest.partition(markers[1])
    if not begin or not end or begin in rest or end in after:
        raise InvalidRequest(f"{page} must hold the lines {markers[0]} and {markers[1]} once each")
    page.write_text(f"{before}{begin}\n{block}\n{end}{after}")


def _rows(result: Result) -> list[_Row]:
    if result.failed:
        return [(result.title, "", "", "", "", "", "", "", f"failed: {result.failed}")]
    verdicts = result.verdicts()
    return [
        _row(
            result,
            figure,
            [v for v in verdicts if v.target.against == ("" if figure is result.figures[0] else figure.who)],
        )
        for figure in result.figures
    ]


def _row(result: Result, figure: Figure, verdicts: list[Verdict]) -> _Row:
    is_ours = figure is result.figures[0]
    low, high = shown(min(figure.values), result.unit), shown(max(figure.values), result.unit)
    cost = figure.cpu_median_us
    return (
        result.title if is_ours else "",
        figure.who,
        shown(figure.median, result.unit),
        "" if len(figure.values) == 1 else f"{low.split(' ')[0].removesuffix('/s')} - {high}",
        "" if cost is None else f"{cost:,.0f}",
        "" if is_ours else _times(result.ratio(figure.who)),
        "" if is_ours else _times(result.ratio(figure.who, by_cpu=True)),
        "; ".join(target_text(verdict, result.unit) for verdict in verdicts),
        "; ".join("met" if verdict.met else f"{_BOLD}missed{_BOLD}" for verdict in verdicts),
    )


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def _machine_text(run: Run) -> str:
    machine = run.machine
    versions = ", ".join([*run.versions.values(), f"Linux {machine.kernel}"])
    left_out = "".join(f" {name} was left out ({why})." for name, why in run.missing.items())
    cores = f"{machine.cpus} cores of {machine.cpu_model}"
    memory = format_size(machine.memory_bytes >> 30 << 30)
    return (
        f"{machine.date}, {run.plan} run of {run.seconds / 60:.0f} minutes on {cores}, {memory} of memory; "
        f"load average {machine.load_before:.1f} before, {machine.load_after:.1f} at the end. "
        f"{versions}.{left_out}"
    )


def _curve_text(curve: Curve, plots: str) -> list[str]:
    if curve.failed:
        return [f"{curve.title}: failed: {curve.failed}"]
    lines = [
        f"### {curve.title}",
        "",
        f"| {curve.x_label} | " + " | ".join(f"{series.who} | CPU us" for series in curve.series) + " |",
        "|--:|" + "--:|--:|" * len(curve.series),
    ]
    for row in zip(*(series.points for series in curve.series), strict=True):
        x = format_size(int(row[0].x)) if curve.x_label == "bytes" else f"{row[0].x:,.0f}"
        cells = " | ".join(f"{point.rate:,.0f}/s | {point.cpu_us:,.0f}" for point in row)
        lines.append(f"| {x} | {cells} |")
    return [*lines, "", f"![{curve.title}]({plots}/{curve.name}.png)"]

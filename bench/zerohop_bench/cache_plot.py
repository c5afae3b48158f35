"""A run of `zerohop bench cache` as a picture. Needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from zerohop_bench.cache_cells import COLD, DIRECT, MEM, SSD
from zerohop_bench.hop_plot import check_plotting
from zerohop_bench.results import Result, Run

__all__ = ["PICTURE", "plot_cache"]

PICTURE: Final = "cache.png"
_DPI = 70
_COLORS: Final = {DIRECT: "tab:gray", COLD: "tab:blue", SSD: "tab:orange", MEM: "tab:green"}


def plot_cache(run: Run, folder: Path) -> Path:
    """Writes cache.png: first byte and rate of each cell, a bar for each of who was compared. Raises NotSupported
    without matplotlib.
    """
    check_plotting()
    from matplotlib import pyplot as plt

    firsts = [result for result in run.results if result.name.endswith("-first")]
    figure, (first, rate) = plt.subplots(2, 1, figsize=(9, 7), layout="constrained")
    _bars(first, [_medians(result) for result in firsts], 1e3)
    first.set(yscale="log", ylabel="ms", title="first byte")
    rates = [
        {
            who: value
            for name in ("cold", "warm")
            if (found := run.result(f"{result.name.removesuffix('first')}{name}")) is not None
            for who, value in _medians(found).items()
        }
        for result in firsts
    ]
    shares = [{who: value / cell.get(DIRECT, 1.0) for who, value in cell.items()} for cell in rates]
    _bars(rate, shares, 1.0)
    rate.set(yscale="log", ylabel="times the origin's own", title="rate")
    rate.axhline(1, color="black", linewidth=0.8)
    for axes in (first, rate):
        names = [result.title.partition(":")[0].replace(", ", "\n") for result in firsts]
        axes.set_xticks(range(len(firsts)), names, fontsize=8)
        axes.legend(fontsize=8)
    path = folder / PICTURE
    figure.savefig(path, dpi=_DPI)
    plt.close(figure)
    return path


def _medians(result: Result) -> dict[str, float]:
    return {figure.who: figure.median for figure in result.figures}


def _bars(axes: Any, cells: list[dict[str, float]], scale: float) -> None:
    width = 0.8 / len(_COLORS)
    for number, (who, color) in enumerate(_COLORS.items()):
        places = [cell - 0.4 + (number + 0.5) * width for cell in range(len(cells))]
        axes.bar(places, [cell.get(who, 0.0) * scale for cell in cells], width, label=who, color=color)

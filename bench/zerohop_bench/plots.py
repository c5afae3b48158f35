"""A run as pictures: how far each line is from its target, and how the cost grows. Needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zerohop.units import format_size
from zerohop_bench.hop_plot import check_plotting
from zerohop_bench.results import Curve, Run

__all__ = ["plot_run"]

_DPI = 70  # each picture stays below 60 kB

_FARTHEST = 10  # what is better or worse by more is drawn so


def plot_run(run: Run, folder: Path) -> list[Path]:
    """Writes targets.png and a picture for each curve; returns their paths. Raises NotSupported without matplotlib."""
    check_plotting()
    made = [folder / "targets.png"]
    _plot_targets(run, made[0])
    for curve in run.curves:
        if not curve.failed:
            made.append(folder / f"{curve.name}.png")
            _plot_curve(curve, made[-1])
    return made


def _plot_targets(run: Run, path: Path) -> None:
    """A bar for each target: how many times as good as it asks for, so that all bars mean the same."""
    from matplotlib import pyplot as plt

    bars: list[tuple[str, float, bool]] = []
    for result in run.results:
        for verdict in result.verdicts():
            target = verdict.target
            ratio = max(verdict.ratio, target.bound / _FARTHEST)
            better = target.bound / ratio if target.at_most else ratio / target.bound
            better = min(max(better, 1 / _FARTHEST), _FARTHEST)
            what = f"{result.title}{', CPU' if target.by_cpu else ''}"
            bars.append((f"{what} / {target.against}" if target.against else what, better, verdict.met))
    figure, axes = plt.subplots(figsize=(9, 0.32 * len(bars) + 1.2), layout="constrained")
    bars.reverse()
    colors = ["tab:green" if met else "tab:red" for *_, met in bars]
    # From the line of the target: to the right what is better, to the left what falls short.
    axes.barh([name for name, *_ in bars], [better - 1 for _, better, _ in bars], left=1, color=colors)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set(xscale="log", xlabel="times as good as the target asks for", xlim=(1 / _FARTHEST, _FARTHEST))
    ticks = (0.1, 0.2, 0.5, 1, 2, 5, 10)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.tick_params(axis="y", labelsize=8)
    figure.savefig(path, dpi=_DPI)
    plt.close(figure)


def _plot_curve(curve: Curve, path: Path) -> None:
    from matplotlib import pyplot as plt

    figure, (cost, rate) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for series in curve.series:
        xs = [point.x for point in series.points]
        cost.plot(xs, [point.cpu_us for point in series.points], marker="o", label=series.who)
        rate.plot(xs, [point.rate for point in series.points], marker="o", label=series.who)
    _label(cost, curve, "CPU us a request")
    _label(rate, curve, "requests/s")
    figure.suptitle(curve.title)
    figure.savefig(path, dpi=_DPI)
    plt.close(figure)


def _label(axes: Any, curve: Curve, what: str) -> None:
    xs = [point.x for point in curve.series[0].points]
    scale = "log" if xs[-1] > 10 * xs[0] else "linear"
    is_steep = any(
        max(values) > 5 * max(min(values), 1e-9)
        for values in ([point.cpu_us for series in curve.series for point in series.points],)
    )
    axes.set(xscale=scale, xlabel=curve.x_label, title=what)
    if is_steep:
        axes.set(yscale="log")
    else:
        axes.set(ylim=(0, None))
    labels = [format_size(int(x)) if curve.x_label == "bytes" else f"{x:,.0f}" for x in xs]
    axes.set_xticks(xs, labels, fontsize=7)
    axes.minorticks_off()
    axes.legend(fontsize=8)

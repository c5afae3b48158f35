"""The hop as a picture. Needs matplotlib, which comes with the extra `zerohop[bench]`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zerohop.errors import NotSupported
from zerohop.units import format_size
from zerohop_bench.hop import Cell

__all__ = ["check_plotting", "plot"]


def check_plotting() -> None:
    """Raises NotSupported when there is no matplotlib: before minutes are spent on measuring."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise NotSupported("plots need matplotlib: pip install 'zerohop[bench]'") from None
    mpl.use("agg")


def plot(cells: Sequence[Cell], path: Path) -> None:
    """Writes a PNG: median latency of both ways by size above, the share of the throughput below."""
    check_plotting()
    from matplotlib import pyplot as plt

    figure, (latency, share) = plt.subplots(2, 1, figsize=(9, 9), sharex=True, layout="constrained")
    counts = sorted({cell.connections for cell in cells})
    for number, count in enumerate(counts):
        row = [cell for cell in cells if cell.connections == count]
        sizes = [cell.size_bytes for cell in row]
        color = f"C{number}"
        latency.plot(
            sizes, [cell.proxy.p50_us for cell in row], color=color, marker="o", label=f"proxy, {count}"
        )
        latency.plot(
            sizes,
            [cell.direct.p50_us for cell in row],
            color=color,
            marker=".",
            linestyle=":",
            label=f"direct, {count}",
        )
        share.plot(sizes, [cell.throughput_ratio for cell in row], color=color, marker="o", label=f"{count}")
    latency.set(
        xscale="log", yscale="log", ylabel="p50 latency, us", title="Reading through the proxy and directly"
    )
    share.set(ylabel="throughput through the proxy / direct", xlabel="size of the object", ylim=(0, None))
    ticks = sorted({cell.size_bytes for cell in cells})
    share.set_xticks(ticks, [format_size(size) for size in ticks])
    share.axhline(1, color="grey", linewidth=0.8)
    latency.legend(title="way, connections", ncols=2)
    share.legend(title="connections")
    figure.savefig(path, dpi=120)
    plt.close(figure)

"""The contest as tables in Markdown, which are also what the docs show, as JSON, and as a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from zerohop_bench.eviction.contest import Cell, Standing
from zerohop_bench.hop_plot import check_plotting

__all__ = ["facts", "plot", "tables"]


def tables(cells: Sequence[Cell], ranking: Sequence[Standing]) -> str:
    """Misses relative to MIN's for each family, and hit ratios for each cell."""
    policies = [standing.policy for standing in ranking]
    families = list(ranking[0].by_family)
    score = _table(
        ["policy", "score", *families, "worst", "CPU us"],
        (
            [
                standing.policy,
                f"**{standing.score:.3f}**",
                *(f"{standing.by_family[family]:.3f}" for family in families),
                f"{standing.worst:.2f}",
                f"{standing.cpu_us:.2f}",
            ]
            for standing in ranking
        ),
    )
    ratios = _table(
        ["trace", "cache", "MIN", *policies],
        (
            [
                cell.workload,
                f"{cell.share:.0%}",
                f"{cell.optimal.hit_ratio:.1%}",
                *(f"{cell.outcomes[policy].hit_ratio:.1%}" for policy in policies),
            ]
            for cell in cells
        ),
    )
    return f"{score}\n\n{ratios}"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = ["---", *("--:" for _ in headings[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, rule, *rows))


def facts(cells: Sequence[Cell], ranking: Sequence[Standing]) -> dict[str, Any]:
    """For JSON."""
    return {
        "standings": [
            {
                "policy": standing.policy,
                "score": round(standing.score, 4),
                "families": {family: round(value, 4) for family, value in standing.by_family.items()},
                "worst": round(standing.worst, 4),
                "cpu_us": round(standing.cpu_us, 3),
            }
            for standing in ranking
        ],
        "cells": [
            {
                "trace": cell.workload,
                "cache_share": cell.share,
                "hit_ratio": _ratios(cell, "hit_ratio"),
                "byte_hit_ratio": _ratios(cell, "byte_hit_ratio"),
            }
            for cell in cells
        ],
    }


def _ratios(cell: Cell, name: str) -> dict[str, float]:
    outcomes = {"MIN": cell.optimal} | cell.outcomes
    return {policy: round(getattr(outcome, name), 4) for policy, outcome in outcomes.items()}


def plot(cells: Sequence[Cell], ranking: Sequence[Standing], path: Path) -> None:
    """Writes a PNG: for each trace its hit ratio at each size of the cache. Needs matplotlib."""
    check_plotting()
    from matplotlib import pyplot as plt

    names = list(dict.fromkeys(cell.workload for cell in cells))
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure, places = plt.subplots(
        rows, columns, figsize=(4 * columns, 3 * rows), layout="constrained", squeeze=False
    )
    own = [standing.policy for standing in ranking if not standing.policy.startswith("libcachesim")]
    for name, place in zip(names, places.flat, strict=False):
        row = [cell for cell in cells if cell.workload == name]
        shares = [f"{cell.share:.0%}" for cell in row]
        place.plot(
            shares, [cell.optimal.hit_ratio for cell in row], color="black", linestyle=":", label="MIN"
        )
        for number, policy in enumerate(own):
            ratios = [cell.outcomes[policy].hit_ratio for cell in row]
            place.plot(
                shares, ratios, color=f"C{number}", marker=".", linewidth=2 if not number else 1, label=policy
            )
        place.set(title=name, ylim=(0, 1))
    for place in list(places.flat)[len(names) :]:
        place.set_visible(False)
    handles, labels = places[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    figure.suptitle("Hit ratio by the size of the cache, as a share of the footprint")
    figure.savefig(path, dpi=70)
    plt.close(figure)

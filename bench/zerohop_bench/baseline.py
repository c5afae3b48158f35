"""The guard against regressions: ratios of a run against those that were committed, each with its tolerance.

Only ratios: they carry over to another machine and another hour, absolute figures do not. What has no other to
compare with (bytes moved, idle memory) is divided by the bound of its target.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from zerohop_bench.lines import LINES
from zerohop_bench.results import Run

__all__ = ["Baseline", "Change", "Expected", "compare", "renewed"]

_DEFAULT_TOLERANCE: Final = 0.3
_RATE_TOLERANCE: Final = 0.5
_ITSELF: Final = "itself"
_SLACK: Final = 0.1
"""Share of its bound that a figure without an opponent may grow by in any case: of nothing, nothing is a multiple."""


class Expected(msgspec.Struct, frozen=True):
    """A ratio, and the share by which it may get worse; rewriting the file keeps the tolerance."""

    ratio: float
    tolerance: float
    at_most: bool = False


class Baseline(msgspec.Struct, frozen=True):
    """The file: which plan and machine its ratios are of, and each by line, opponent and quantity."""

    plan: str
    machine: str
    ratios: dict[str, Expected]


class Change(msgspec.Struct, frozen=True):
    """One ratio then and now, and the worst that is no regression; `now` is None when it was not measured."""

    name: str
    was: float
    now: float | None
    allowed: float
    at_most: bool

    @property
    def is_worse(self) -> bool:
        """Whether it is a regression."""
        return self.now is None or (self.now > self.allowed if self.at_most else self.now < self.allowed)

    @property
    def text(self) -> str:
        """A line for people."""
        mark = "WORSE" if self.is_worse else "ok"
        now = "not measured" if self.now is None else f"{self.now:.3g}"
        sign = "at most" if self.at_most else "at least"
        return f"{mark:5}  {self.name}: {self.was:.3g} -> {now} ({sign} {self.allowed:.3g})"


def compare(baseline: Baseline, run: Run) -> list[Change]:
    """Each ratio of the baseline beside that of the run. One whose opponent is not installed is passed over."""
    found = _ratios(run)
    return [
        _change(name, expected, found[name].ratio if name in found else None)
        for name, expected in baseline.ratios.items()
        if name in found or not _is_excused(name, run)
    ]


def renewed(run: Run, before: Baseline | None) -> Baseline:
    """A baseline of this run, with the tolerances that the one before had; a line's own where it had none."""
    kept: Mapping[str, Expected] = before.ratios if before else {}
    ratios = {
        name: msgspec.structs.replace(
            new,
            ratio=round(new.ratio, 4),
            tolerance=kept[name].tolerance if name in kept else new.tolerance,
        )
        for name, new in _ratios(run).items()
    }
    machine = f"{run.machine.cpus} x {run.machine.cpu_model}, {run.machine.date}"
    return Baseline(run.plan, machine, ratios)


def _ratios(run: Run) -> dict[str, Expected]:
    """By rate and, where it was taken, by processor time; the latter is the steadier, so the former may vary more."""
    tolerances = {line.name: line.tolerance for line in LINES}
    found: dict[str, Expected] = {}
    for result in run.results:
        tolerance = tolerances.get(result.name, _DEFAULT_TOLERANCE)
        for verdict in result.verdicts():
            target = verdict.target
            if not target.against:
                found[f"{result.name} / {_ITSELF} / {result.unit}"] = Expected(
                    verdict.ratio / target.bound, tolerance, at_most=True
                )
                continue
            by_cpu = result.ratio(target.against, by_cpu=True)
            if by_cpu is not None:
                found[f"{result.name} / {target.against} / CPU"] = Expected(by_cpu, tolerance, at_most=True)
            if not target.by_cpu:
                found[f"{result.name} / {target.against} / {result.unit}"] = Expected(
                    verdict.ratio,
                    tolerance if by_cpu is None else max(tolerance, _RATE_TOLERANCE),
                    target.at_most,
                )
    return found


def _change(name: str, expected: Expected, now: float | None) -> Change:
    slack = _SLACK if f"/ {_ITSELF} /" in name else 0.0
    if expected.at_most:
        allowed = expected.ratio * (1 + expected.tolerance) + slack
    else:
        allowed = expected.ratio * (1 - expected.tolerance)
    return Change(name, expected.ratio, now, allowed, expected.at_most)


def _is_excused(name: str, run: Run) -> bool:
    return any(f"/ {peer} " in name or f"/ {peer} (" in name for peer in run.missing)

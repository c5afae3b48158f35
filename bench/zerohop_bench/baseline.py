"""The guard against regressions: ratios of a run against those that were committed, each with its tolerance.

Only ratios: they carry over to another machine and another hour, absolute figures do not. What has no other to
compare with (bytes moved, idle memory) is divided by the bound of its target.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from zerohop_bench.lines import LINES
from zerohop_bench.results import Run, Verdict

__all__ = ["Baseline", "Change", "Expected", "compare", "renewed"]

_DEFAULT_TOLERANCE: Final = 0.3
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
    found = {name: _ratio(verdict) for name, verdict, _ in _verdicts(run)}
    return [
        _change(name, expected, found.get(name))
        for name, expected in baseline.ratios.items()
        if name in found or not _is_excused(name, run)
    ]


def renewed(run: Run, before: Baseline | None) -> Baseline:
    """A baseline of this run, with the tolerances that the one before had; a regular line's where it had none."""
    kept: Mapping[str, Expected] = before.ratios if before else {}
    ratios = {
        name: Expected(
            round(_ratio(verdict), 4),
            kept[name].tolerance if name in kept else tolerance,
            verdict.target.at_most,
        )
        for name, verdict, tolerance in _verdicts(run)
    }
    machine = f"{run.machine.cpus} x {run.machine.cpu_model}, {run.machine.date}"
    return Baseline(run.plan, machine, ratios)


def _verdicts(run: Run) -> list[tuple[str, Verdict, float]]:
    tolerances = {line.name: line.tolerance for line in LINES}
    return [
        (
            f"{result.name} / {verdict.target.against or _ITSELF} / "
            f"{'CPU' if verdict.target.by_cpu else result.unit}",
            verdict,
            tolerances.get(result.name, _DEFAULT_TOLERANCE),
        )
        for result in run.results
        for verdict in result.verdicts()
    ]


def _ratio(verdict: Verdict) -> float:
    return verdict.ratio if verdict.target.against else verdict.ratio / verdict.target.bound


def _change(name: str, expected: Expected, now: float | None) -> Change:
    slack = _SLACK if f"/ {_ITSELF} /" in name else 0.0
    if expected.at_most:
        allowed = expected.ratio * (1 + expected.tolerance) + slack
    else:
        allowed = expected.ratio * (1 - expected.tolerance)
    return Change(name, expected.ratio, now, allowed, expected.at_most)


def _is_excused(name: str, run: Run) -> bool:
    return any(f"/ {peer} " in name or f"/ {peer} (" in name for peer in run.missing)

"""What a run has found: figures of who took part in each line, and how their ratios compare with the targets.

A ratio is always ours divided by the other's, of the same quantity and in pairs: the first round of one with the
first of the other, and so on, because pairs were measured within seconds of each other on the same machine.
"""

from __future__ import annotations

import statistics

import msgspec

__all__ = ["OURS", "Curve", "Figure", "Machine", "Point", "Result", "Run", "Series", "Target", "Verdict"]

OURS = "zerohop"


class Figure(msgspec.Struct, frozen=True):
    """What one of them reached: a value a round in the unit of the line, and processor time for each unit of work."""

    who: str
    values: tuple[float, ...]
    cpu_us: tuple[float, ...] = ()
    """Microseconds for a request, or for a MiB where the unit is bytes; empty where it was not taken."""

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.values)

    @property
    def cpu_median_us(self) -> float | None:
        """None where processor time was not taken."""
        return statistics.median(self.cpu_us) if self.cpu_us else None


class Target(msgspec.Struct, frozen=True):
    """A bound on a ratio; or, where `against` is empty, on our own figure."""

    bound: float
    against: str = ""
    at_most: bool = False
    by_cpu: bool = False
    """Whether it speaks of processor time instead of the line's own unit."""
    worst: float | None = None
    """A further bound that no pair may miss."""

    def holds(self, ratio: float) -> bool:
        """Whether a median is within the bound."""
        return ratio <= self.bound if self.at_most else ratio >= self.bound

    @property
    def text(self) -> str:
        """As in "at least 2 x"."""
        sign = "at most" if self.at_most else "at least"
        unit = " x" if self.against else ""
        further = "" if self.worst is None else f", never below {self.worst:g}"
        return f"{sign} {self.bound:g}{unit}{further}{' CPU' if self.by_cpu else ''}"


class Verdict(msgspec.Struct, frozen=True):
    """One target and what was found: the median of the ratios, and the worst."""

    target: Target
    ratio: float
    worst: float
    met: bool


class Result(msgspec.Struct, frozen=True):
    """One line. The first figure is ours. `failed` says why there are none; `remarks` who was left out, and why."""

    name: str
    title: str
    unit: str
    figures: tuple[Figure, ...] = ()
    targets: tuple[Target, ...] = ()
    failed: str = ""
    remarks: tuple[str, ...] = ()

    def figure(self, who: str) -> Figure | None:
        """That of `who`; None when it was not measured."""
        return next((figure for figure in self.figures if figure.who == who), None)

    def ratios(self, against: str, *, by_cpu: bool = False) -> tuple[float, ...]:
        """Ours / theirs, a pair a round; empty where one of them was not measured."""
        other = self.figure(against)
        if other is None or not self.figures:
            return ()
        ours = self.figures[0]
        pairs = zip(ours.cpu_us, other.cpu_us) if by_cpu else zip(ours.values, other.values)  # noqa: B905
        return tuple(mine / theirs for mine, theirs in pairs if theirs)

    def ratio(self, against: str, *, by_cpu: bool = False) -> float | None:
        """The median of `ratios`."""
        found = self.ratios(against, by_cpu=by_cpu)
        return statistics.median(found) if found else None

    def verdicts(self) -> tuple[Verdict, ...]:
        """Of all targets whose sides were measured."""
        return tuple(filter(None, map(self._verdict, self.targets)))

    def _verdict(self, target: Target) -> Verdict | None:
        if target.against:
            found = self.ratios(target.against, by_cpu=target.by_cpu)
        else:
            found = self.figures[0].values if self.figures else ()
        if not found:
            return None
        ratio = statistics.median(found)
        worst = max(found) if target.at_most else min(found)
        met = target.holds(ratio) and (target.worst is None or worst >= target.worst)
        return Verdict(target, ratio, worst, met)


class Point(msgspec.Struct, frozen=True):
    """Requests a second and processor time for each, at one place of the x axis."""

    x: float
    rate: float
    cpu_us: float


class Series(msgspec.Struct, frozen=True):
    """Points of one server."""

    who: str
    points: tuple[Point, ...]


class Curve(msgspec.Struct, frozen=True):
    """How the cost grows with something."""

    name: str
    title: str
    x_label: str
    series: tuple[Series, ...] = ()
    failed: str = ""


class Machine(msgspec.Struct, frozen=True):
    """Where and when. The load averages are of the minute before the run and of its last."""

    date: str
    cpus: int
    cpu_model: str
    memory_bytes: int
    kernel: str
    load_before: float
    load_after: float = 0.0


class Run(msgspec.Struct, frozen=True):
    """All that one call has found."""

    plan: str
    machine: Machine
    seconds: float
    versions: dict[str, str]
    missing: dict[str, str]
    results: tuple[Result, ...]
    curves: tuple[Curve, ...] = ()

    def result(self, name: str) -> Result | None:
        """That of the line `name`."""
        return next((result for result in self.results if result.name == name), None)

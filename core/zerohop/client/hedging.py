"""When a worker counts as slow, and what is done about it. Pure.

A worker may live, send its heartbeats, and yet answer late or in a trickle. A read that has waited longer than is
usual is asked of a second worker, too (it is hedged), and the first to answer serves it. Were the cluster merely
overloaded, that would make it worse: so hedges are a small share of the reads.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum, auto

__all__ = ["Hedging", "Pace", "Step"]

_SHORTEST_DELAY_S = 1.0
"""A read waits that long at least: a worker of a busy machine answers later than usual now and then."""
_LONGEST_DELAY_S = 8.0
"""The client of an S3 read commonly waits for a minute; this leaves time for the second worker, and for a third."""
_DELAY_MULTIPLE = 4.0
"""Of the usual time to the first byte: behind a slow under-store it is no worker's fault."""
_ADJUSTMENT = 1.05
"""By this factor each answer moves what counts as usual, up or down. It comes to rest where as many answers are slower
as faster: at their median, which a single slow worker does not move."""

_SHARE = 0.1
_BURST = 8.0
"""Hedges that may be sent at once; after that one for every ten reads."""

_LOSSES = 3
"""A worker that was beaten so often, without answering in time in between, is avoided."""
_AVOID_S = 3.0
_LONGEST_AVOID_S = 30.0
"""Each further defeat doubles the time, up to this: so a slow worker costs one late read in half a minute."""

_MIN_BYTES_PER_S = 64 << 10
_CREDIT_S = 4.0


class Step(Enum):
    """What a read does that has waited for its worker for long."""

    WAIT = auto()
    HEDGE = auto()
    """Ask another worker too; the first to answer serves it."""
    MOVE = auto()
    """Ask another worker instead: this one is known to be slow by now."""


class Hedging:
    """Of all reads of one client. `hedges` counts them, `wins` those in which the second worker was first.

    Invariant: `hedges` is at most `_BURST` more than `_SHARE` of the reads.
    """

    def __init__(self) -> None:
        self._usual_s = _SHORTEST_DELAY_S / _DELAY_MULTIPLE
        self._budget = _BURST
        self._losses: dict[str, int] = {}  # in a row, by worker
        self.hedges = 0
        self.wins = 0

    @property
    def delay_s(self) -> float:
        """How long a read waits for its first byte before `late` is asked."""
        return min(max(self._usual_s * _DELAY_MULTIPLE, _SHORTEST_DELAY_S), _LONGEST_DELAY_S)

    def asked(self) -> None:
        """A read began."""
        self._budget = min(self._budget + _SHARE, _BURST)

    def late(self, worker_id: str, avoided: Collection[str], *, may_hedge: bool = True) -> Step:
        """What a read that may go elsewhere does now that it has waited for `delay_s`. A hedge counts as sent."""
        if worker_id in avoided:
            return Step.MOVE
        if not may_hedge or self._budget < 1.0:
            return Step.WAIT
        self._budget -= 1.0
        self.hedges += 1
        return Step.HEDGE

    def answered(self, worker_id: str, after_s: float) -> None:
        """The first byte came, `after_s` after it was asked for."""
        if after_s <= self.delay_s:
            self._losses.pop(worker_id, None)
        self._learn(after_s)

    def beaten(self, worker_id: str, after_s: float) -> float:
        """Another worker was faster, or this one trickled: for how many seconds to avoid it, 0 for not at all yet."""
        self._learn(max(after_s, self.delay_s))
        losses = self._losses[worker_id] = self._losses.get(worker_id, 0) + 1
        if losses < _LOSSES:
            return 0.0
        return min(_AVOID_S * 2.0 ** min(losses - _LOSSES, 10), _LONGEST_AVOID_S)

    def _learn(self, after_s: float) -> None:
        usual_s = self._usual_s * _ADJUSTMENT if after_s > self._usual_s else self._usual_s / _ADJUSTMENT
        shortest_s = _SHORTEST_DELAY_S / _DELAY_MULTIPLE
        self._usual_s = min(max(usual_s, shortest_s), _LONGEST_DELAY_S / _DELAY_MULTIPLE)

    def keep(self, worker_ids: Collection[str]) -> None:
        """Forgets workers that are not among these."""
        self._losses = {one: losses for one, losses in self._losses.items() if one in worker_ids}


class Pace:
    """Whether a worker that has begun to send keeps up at least 64 KiB/s, by the time that was spent waiting for it.

    Bytes buy time to wait, up to `_CREDIT_S`. A reader who is slow himself is not held against the worker.
    """

    def __init__(self) -> None:
        self.patience_s = _CREDIT_S
        """How long the next bytes may take."""

    def moved(self, waited_s: float, size_bytes: int) -> None:
        """Bytes came, and were waited for."""
        left_s = self.patience_s - waited_s + size_bytes / _MIN_BYTES_PER_S
        self.patience_s = min(max(left_s, 0.0), _CREDIT_S)

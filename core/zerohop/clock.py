"""Time as a dependency: production code takes a `Clock`, tests move a `ManualClock` by hand."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "ManualClock", "SystemClock"]


class Clock(Protocol):
    """What a process may ask about time. Durations are measured on `monotonic_s`, dates are taken from `now_s`."""

    def now_s(self) -> float:
        """Wall clock: seconds since the epoch (UTC). May jump when the machine's clock is set."""
        ...

    def monotonic_s(self) -> float:
        """Seconds since an arbitrary point; never goes back."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that stands still until it is moved. Both readings advance together; the wall can be set alone."""

    def __init__(self, now_s: float = 1_700_000_000.0, monotonic_s: float = 0.0) -> None:
        self._now_s = now_s
        self._monotonic_s = monotonic_s

    def now_s(self) -> float:
        return self._now_s

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def advance(self, duration_s: float) -> None:
        """Moves both readings. Raises ValueError for a negative duration: time that passes only goes forward."""
        if duration_s < 0:
            raise ValueError(f"time cannot pass backwards: {duration_s}")
        self._now_s += duration_s
        self._monotonic_s += duration_s

    def set_wall(self, now_s: float) -> None:
        """Sets the wall clock alone, as an administrator or NTP does; it may go back."""
        self._now_s = now_s

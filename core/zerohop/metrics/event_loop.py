"""How late the event loop is: a timer that measures by how much it missed its time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from time import monotonic
from typing import Final

from prometheus_client import Metric
from prometheus_client.registry import Collector

from zerohop.metrics.families import gauge, histograms
from zerohop.metrics.histogram import Histogram

__all__ = ["LoopWatch"]

_INTERVAL_S: Final = 0.25
"""Four looks a second see every stall that a person would, and cost nothing."""


class LoopWatch(Collector):
    """Begins with `start`, ends with `stop`. uvloop's timers count whole milliseconds: less than that is noise."""

    def __init__(self) -> None:
        self.lag = Histogram()
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0

    def start(self) -> None:
        """Begins to look, on the running loop."""
        self._due_s = monotonic() + _INTERVAL_S
        self._timer = asyncio.get_running_loop().call_later(_INTERVAL_S, self._look)

    def _look(self) -> None:
        self.lag.observe(max(0.0, monotonic() - self._due_s))
        self.start()

    def stop(self) -> None:
        """Ends it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def collect(self) -> Iterator[Metric]:
        """The loop's lag and load."""
        yield histograms(
            "zerohop_event_loop_lag_seconds",
            "By how much a timer of the event loop was late, four times a second.",
            "",
            {"": self.lag},
        )
        yield gauge("zerohop_tasks", "Asyncio tasks that have not ended.", len(asyncio.all_tasks()))

"""RPC calls as they are counted: by operation, how they ended and how long they took."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Any, Final

from prometheus_client import Metric
from prometheus_client.registry import Collector

from zerohop.errors import ZerohopError
from zerohop.metrics.families import counters, histograms
from zerohop.metrics.histogram import LATENCY_BOUNDS_S, Histogram

__all__ = ["Calls", "CallsCollector", "CallsOfOperation", "outgoing"]


_CODES: Final[dict[type, str]] = {asyncio.CancelledError: "Cancelled", GeneratorExit: "Cancelled"}
"""Whoever made the call did not wait for its end."""


class CallsOfOperation:
    """Calls of one operation that have ended. What is not in `failures` went well."""

    __slots__ = ("failures", "name", "seconds")

    def __init__(self, name: str) -> None:
        self.name = name
        self.seconds = Histogram()
        self.failures: dict[str, int] = {}  # by code of the error

    def ended(self, started_s: float, error: BaseException | None = None) -> None:
        """A call that began at `started_s` (of `time.perf_counter`) has ended."""
        duration_s = perf_counter() - started_s
        seconds = self.seconds
        # `observe`, without the call: this is on the way of every lookup.
        seconds.counts[bisect_left(LATENCY_BOUNDS_S, duration_s)] += 1
        seconds.total += duration_s
        if error is not None:
            code = error.code if isinstance(error, ZerohopError) else _CODES.get(type(error), "Internal")
            self.failures[code] = self.failures.get(code, 0) + 1

    def outcomes(self) -> Iterator[tuple[str, int]]:
        """("ok" or the code of an error, how many)."""
        yield "ok", self.seconds.count - sum(self.failures.values())
        yield from self.failures.items()


class Calls(dict[type, CallsOfOperation]):
    """By class of the request: `calls[type(request)]`, which is all that the hot path does to find its numbers."""

    def __missing__(self, request_class: type[Any]) -> CallsOfOperation:
        name = request_class.__struct_config__.tag
        found = self[request_class] = CallsOfOperation(str(name))
        return found


outgoing = Calls()
"""Calls that this process makes of others. One for the process, as its clients are made in many places."""


def _collect(side: str, found: Sequence[CallsOfOperation]) -> Iterator[Metric]:
    what = "answered" if side == "server" else "made"
    yield counters(
        f"zerohop_rpc_{side}_calls_total",
        f"RPC calls {what}, by operation and outcome (ok, or the error's code).",
        ("operation", "outcome"),
        (((calls.name, outcome), count) for calls in found for outcome, count in calls.outcomes()),
    )
    yield histograms(
        f"zerohop_rpc_{side}_seconds",
        f"Time from beginning to end of RPC calls {what}.",
        "operation",
        {calls.name: calls.seconds for calls in found},
    )


class CallsCollector(Collector):
    """Both sides of one process. `servers` are the numbers of its servers."""

    def __init__(self, *servers: Calls) -> None:
        self._servers = servers

    def collect(self) -> Iterator[Metric]:
        """Outcomes and durations."""
        yield from _collect("server", [found for calls in self._servers for found in calls.values()])
        yield from _collect("client", list(outgoing.values()))

"""What is counted of each request: plain additions on the way out, read by the collector at a scrape."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict

from zerohop.metrics import LATENCY_BOUNDS_S, Histogram

__all__ = ["NO_OPERATION", "OperationNumbers", "RequestNumbers"]

NO_OPERATION = "Unknown"
"""What a request counts as that names no operation, or cannot even be parsed."""


class OperationNumbers:
    """The requests of one operation that have ended."""

    __slots__ = ("bytes_in", "bytes_out", "first_byte", "seconds", "statuses")

    def __init__(self) -> None:
        self.statuses: defaultdict[int, int] = defaultdict(int)  # 0: cut before an answer
        self.seconds = Histogram()
        self.first_byte = Histogram()
        self.bytes_in = 0
        self.bytes_out = 0

    def ended(self, status: int, total_s: float, first_byte_s: float) -> None:
        """Counts one; `first_byte_s` is not looked at when it was cut before its answer began (status 0)."""
        self.statuses[status] += 1
        slot = bisect_left(LATENCY_BOUNDS_S, total_s)
        self.seconds.counts[slot] += 1
        self.seconds.total += total_s
        if status:
            # The first byte of a small answer is as good as its end: then one search does for both.
            if slot and first_byte_s <= LATENCY_BOUNDS_S[slot - 1]:
                slot = bisect_left(LATENCY_BOUNDS_S, first_byte_s)
            self.first_byte.counts[slot] += 1
            self.first_byte.total += first_byte_s


class RequestNumbers(dict[str, OperationNumbers]):
    """By name of the operation. `sources` counts answers with bytes of an object, by where these came from."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: defaultdict[str, int] = defaultdict(int)
        self.slow = 0

    def __missing__(self, operation: str) -> OperationNumbers:
        found = self[operation] = OperationNumbers()
        return found

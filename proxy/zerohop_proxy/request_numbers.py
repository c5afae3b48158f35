"""What is counted of each request: plain additions on the way out, read by the collector at a scrape."""

from __future__ import annotations

from zerohop.metrics import Histogram

__all__ = ["NO_OPERATION", "OperationNumbers", "RequestNumbers"]

NO_OPERATION = "Unknown"
"""What a request counts as that names no operation, or cannot even be parsed."""


class OperationNumbers:
    """The requests of one operation that have ended."""

    __slots__ = ("bytes_in", "bytes_out", "first_byte", "seconds", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}  # 0: cut before an answer
        self.seconds = Histogram()
        self.first_byte = Histogram()
        self.bytes_in = 0
        self.bytes_out = 0


class RequestNumbers(dict[str, OperationNumbers]):
    """By name of the operation. `sources` counts answers with bytes of an object, by where these came from."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: dict[str, int] = {}
        self.slow = 0

    def __missing__(self, operation: str) -> OperationNumbers:
        found = self[operation] = OperationNumbers()
        return found

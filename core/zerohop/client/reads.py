"""Reads in flight: how long ago the oldest began. The master collects nothing that was replaced after that."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

__all__ = ["ReadsInFlight"]


class ReadsInFlight:
    """A set of reads with their starts. Entered once per read, so it does as little as it can."""

    def __init__(self) -> None:
        # In the order of their starts: the first one is the oldest.
        self._started: dict[_Read, float] = {}

    def start(self) -> _Read:
        """A context for one read: in flight from entering to leaving it."""
        return _Read(self._started)

    def __len__(self) -> int:
        return len(self._started)

    def oldest_ms(self, margin_s: float = 0.0) -> int:
        """How long ago the oldest began, plus `margin_s`, in milliseconds rounded up; 0 for none."""
        for started in self._started.values():
            return int((time.monotonic() - started + margin_s) * 1000) + 1
        return 0


class _Read:
    __slots__ = ("_started",)

    def __init__(self, started: dict[_Read, float]) -> None:
        self._started = started

    def __enter__(self) -> Self:
        self._started[self] = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        del self._started[self]

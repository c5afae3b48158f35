"""Many deadlines on one timer of the loop: a timer each would cost as much as the rest of a call."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

__all__ = ["Deadlines"]

_EARLY_S = 0.001
"""Loops keep time in milliseconds, so a timer may fire that much too early."""


class Deadlines:
    """Calls `expire(call_id)` for each id whose time has come.

    The timer stands at the earliest deadline that was known when it was set, and is left there when that call ends:
    so with calls of similar time-outs it fires about once per time-out, not once per call.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, expire: Callable[[int], None]) -> None:
        self._loop = loop
        self._expire = expire
        self._due: dict[int, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf

    def add(self, call_id: int, when: float) -> None:
        """Sets the deadline of `call_id`, in `loop.time()`."""
        self._due[call_id] = when
        if when < self._timer_at:
            self._arm(when)

    def discard(self, call_id: int) -> None:
        """The call is over."""
        self._due.pop(call_id, None)

    def close(self) -> None:
        """Forgets everything."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._timer_at = None, math.inf

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.call_at(when, self._fire), when

    def _fire(self) -> None:
        self._timer, self._timer_at = None, math.inf
        now = self._loop.time() + _EARLY_S
        for call_id in [call_id for call_id, when in self._due.items() if when <= now]:
            if self._due.pop(call_id, None) is not None:
                self._expire(call_id)
        earliest = min(self._due.values(), default=math.inf)
        if earliest < self._timer_at:
            self._arm(earliest)

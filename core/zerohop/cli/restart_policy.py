"""When a crashed process is started again: at once, then with growing delays, then not any more."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["RestartPolicy"]

_WINDOW_S: Final = 60.0
_FIRST_DELAY_S: Final = 0.25
_LONGEST_DELAY_S: Final = 8.0


class RestartPolicy:
    """The crashes of one process within the last minute, and what follows from them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._crashes: deque[float] = deque(maxlen=limit + 1)

    def delay_after_crash(self, now_s: float) -> float | None:
        """Seconds to wait before the restart, or None when there were too many: the cluster shall stop.

        The first restart is immediate: a process that was killed once is expected back at once, and its connections
        wait in the backlog meanwhile.
        """
        while self._crashes and self._crashes[0] <= now_s - _WINDOW_S:
            self._crashes.popleft()
        self._crashes.append(now_s)
        count = len(self._crashes)
        if count > self._limit:
            return None
        return 0.0 if count == 1 else min(_FIRST_DELAY_S * 2 ** min(count - 2, 10), _LONGEST_DELAY_S)

"""Spacing of attempts to connect."""

from __future__ import annotations

import random

__all__ = ["Backoff"]


class Backoff:
    """When the next attempt to connect may be made: doubling waits with jitter, so that callers do not come in step."""

    _FIRST_S = 0.02
    _LAST_S = 1.0

    def __init__(self) -> None:
        self._failures = 0
        self.not_before = 0.0

    def failed(self, now: float) -> None:
        """An attempt has failed at `now`."""
        wait_s = min(self._FIRST_S * 2 ** min(self._failures, 10), self._LAST_S)
        self._failures += 1
        self.not_before = now + wait_s * random.uniform(0.5, 1.0)

    def succeeded(self) -> None:
        """An attempt has succeeded: start over."""
        self._failures = 0
        self.not_before = 0.0

"""When a request to an origin is repeated."""

from __future__ import annotations

import random
from typing import Final

__all__ = ["backoff_s"]

_FIRST_S: Final = 0.1
_LONGEST_S: Final = 5.0


def backoff_s(failures: int, asked_s: float = 0.0) -> float:
    """Seconds to wait after that many failures (from 1 on) in a row.

    Full jitter, so that those who were throttled together do not come back together. `asked_s` is what the origin
    asked for (`Retry-After`): it is the least, as far as it is no longer than the longest of ours.
    """
    window_s = min(_LONGEST_S, _FIRST_S * 2.0 ** (failures - 1))
    return max(min(asked_s, _LONGEST_S), random.uniform(0, window_s))

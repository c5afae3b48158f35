"""When a call to the master is sent again, and after how long. Pure.

Reads may be repeated at will. Mutations carry an id: sent again, the same mutation answers the recorded result, so
they too may be repeated when the outcome of the first sending is not known. A stream is never repeated here.
"""

from __future__ import annotations

from collections.abc import Iterator

from zerohop.errors import OutcomeUnknown, Overloaded, PeerUnavailable, ZerohopError

__all__ = ["REPEATABLE", "delays_s"]

REPEATABLE: tuple[type[ZerohopError], ...] = (PeerUnavailable, OutcomeUnknown, Overloaded)
"""After these the same request is sent again. All other errors are answers."""

_FIRST_S = 0.01
_MOST_S = 0.5
"""A master that restarts is back in about a second: this finds it soon, and a thousand waiting clients do not
keep it from starting."""


def delays_s(jitter: Iterator[float]) -> Iterator[float]:
    """Pauses before each further try, in seconds, without end: doubling to a bound, each between half and whole.

    `jitter` gives numbers in [0, 1), so that clients that failed together do not come back together.
    """
    delay_s = _FIRST_S
    for random in jitter:
        yield delay_s * (0.5 + random / 2)
        delay_s = min(delay_s * 2, _MOST_S)

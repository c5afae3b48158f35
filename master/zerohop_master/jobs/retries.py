"""When what failed is tried again, and what its failure says. Pure."""

from __future__ import annotations

from typing import Final

from zerohop.errors import (
    NoWorker,
    OriginRefused,
    OutOfSpace,
    Overloaded,
    PeerUnavailable,
    TransportError,
    UnderStoreFailed,
    ZerohopError,
)

__all__ = ["is_of_all_keys", "pause_ms", "was_tried"]

_FIRST_MS: Final = 1_000
_LONGEST_MS: Final = 5 * 60_000
"""An origin that is back after a long time is not waited for any longer than that."""


def pause_ms(failures: int, chance: float, *, longest_ms: int = _LONGEST_MS) -> int:
    """The pause after so many failures in a row: doubled by each, less up to half of it (`chance` in [0, 1)), so that
    what failed together does not come back together.
    """
    whole_ms = min(longest_ms, _FIRST_MS * 2 ** min(max(0, failures - 1), 20))
    return int(whole_ms * (1 - chance / 2))


def is_of_all_keys(error: ZerohopError) -> bool:
    """Whether other keys of the mount would fail in the same way: the origin does not answer, or no worker does."""
    return isinstance(error, UnderStoreFailed | OriginRefused | OutOfSpace | TransportError | NoWorker)


def was_tried(error: ZerohopError) -> bool:
    """Whether it says anything of the key: not if no worker has begun with it."""
    return not isinstance(error, NoWorker | PeerUnavailable | Overloaded)

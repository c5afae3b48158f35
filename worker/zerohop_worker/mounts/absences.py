"""Keys that an origin was found not to have. Pure decisions on what was seen."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

__all__ = ["Absences"]

_MAX_KEYS = 65_536
"""About 200 bytes each; the longest unasked is forgotten."""


class _Seen(NamedTuple):
    generation: int
    asked_s: float


class Absences:
    """Believed as long as metadata is, and as long as nothing is written to the mount or synced there: engines look
    for the same folders and side files, which do not exist, at each query.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[bytes, str], _Seen] = OrderedDict()

    def note(self, mount_id: bytes, key: str, generation: int, asked_s: float) -> None:
        """There was no such key at `asked_s`; `generation` is one that the mount had before that."""
        name = (mount_id, key)
        self._seen[name] = _Seen(generation, asked_s)
        self._seen.move_to_end(name)
        if len(self._seen) > _MAX_KEYS:
            self._seen.popitem(last=False)

    def is_believed(self, mount_id: bytes, key: str, generation: int, ttl_s: float, now_s: float) -> bool:
        """Whether the origin need not be asked. `ttl_s` is the mount's: -1 for ever."""
        name = (mount_id, key)
        seen = self._seen.get(name)
        if seen is None:
            return False
        if seen.generation != generation or (ttl_s >= 0 and now_s - seen.asked_s >= ttl_s):
            del self._seen[name]
            return False
        self._seen.move_to_end(name)
        return True

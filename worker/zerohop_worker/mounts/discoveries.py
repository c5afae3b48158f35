"""Keys that this worker has told the master of a moment ago. Pure decisions on what was seen."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

__all__ = ["Discoveries"]

_MAX_KEYS: Final = 16_384
"""About 200 bytes each; the oldest is forgotten."""

_OLDEST_ANSWER_S: Final = 60.0
"""Who asks was told by the master at most so long ago that it knows nothing: longer no question is under way."""


class Discoveries:
    """Many readers of a new object learn at once from the master that it does not know it. One of them has the origin
    asked; those whose questions come after that is done must not have it asked again, but the master.
    """

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[bytes, str], float] = OrderedDict()

    def note(self, mount_id: bytes, key: str, now_s: float) -> None:
        """The master has a row of the key since now."""
        name = (mount_id, key)
        self._made[name] = now_s
        self._made.move_to_end(name)
        if len(self._made) > _MAX_KEYS:
            self._made.popitem(last=False)

    def is_recent(self, mount_id: bytes, key: str, now_s: float) -> bool:
        """Whether who was told that there is no row may have been told before there was one."""
        made_s = self._made.get((mount_id, key))
        return made_s is not None and now_s - made_s < _OLDEST_ANSWER_S

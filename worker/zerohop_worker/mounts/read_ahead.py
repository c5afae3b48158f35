"""How far to read ahead of a reader of a mounted object. Pure decisions on what was seen of it."""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["ReadAhead"]

_MAX_OBJECTS = 4096
"""Objects whose readers are remembered, about 200 bytes each; the longest unread is forgotten."""

_MAX_WINDOW_BLOCKS = 8
_MAX_JUMP_BLOCKS = 1
"""A reader that skips so little still counts as sequential: readers of columnar files leave out footers and pages."""

_MAX_WASTE = 8
"""Blocks fetched ahead in vain, net of those that were read, after which an object gets no more of them."""


class _Seen:
    __slots__ = ("ahead", "next_block", "waste", "window")

    def __init__(self) -> None:
        self.next_block = -9  # a first read is not sequential, wherever it begins
        self.window = 0
        self.waste = 0
        self.ahead: set[int] = set()  # fetched ahead, and not read since


class ReadAhead:
    """Windows by content: doubled by each read that goes on where the last one ended, closed by one that does not."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, _Seen] = OrderedDict()

    def blocks_ahead(self, content: bytes, first: int, last: int) -> int:
        """A reader reads blocks [first, last]: how many of the following ones to fetch before it asks for them."""
        seen = self._seen.get(content)
        if seen is None:
            seen = self._seen[content] = _Seen()
            if len(self._seen) > _MAX_OBJECTS:
                self._seen.popitem(last=False)
        else:
            self._seen.move_to_end(content)
        used = {index for index in seen.ahead if first <= index <= last}
        seen.ahead -= used
        seen.waste = max(0, seen.waste - len(used))
        if 0 <= first - seen.next_block <= _MAX_JUMP_BLOCKS or first == seen.next_block - 1:
            seen.window = min(_MAX_WINDOW_BLOCKS, max(1, seen.window * 2))
        else:
            seen.waste += len(seen.ahead)
            seen.ahead.clear()
            seen.window = 0
        seen.next_block = last + 1
        return 0 if seen.waste >= _MAX_WASTE else seen.window

    def fetched(self, content: bytes, index: int) -> None:
        """The block was fetched ahead."""
        seen = self._seen.get(content)
        if seen is not None:
            seen.ahead.add(index)

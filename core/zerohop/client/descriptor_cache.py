"""The descriptors at hand: least recently used ones go first, bounded in bytes and in number."""

from __future__ import annotations

import resource
from collections import OrderedDict
from collections.abc import Callable

from zerohop.client.open_block import OpenBlock

__all__ = ["DescriptorCache", "default_max_count"]

_KEPT_FOR_OTHERS = 4
"""The cache takes at most this part (1/4) of the descriptors that the process may have: the rest are sockets."""
_MOST = 16_384
"""More would not help: the bound in bytes is met first, except for small blocks that stand inline anyway."""
_FEWEST = 16


def default_max_count() -> int:
    """How many descriptors the cache may hold in this process (`RLIMIT_NOFILE`)."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST
    return max(_FEWEST, min(_MOST, soft // _KEPT_FOR_OTHERS))


class DescriptorCache:
    """Open blocks by (content, index). Holds one reference to each; what it drops closes once nobody reads it.

    Invariant: `size_bytes` is the sum of the lengths of all entries. Plain functions only: atomic on the loop.
    """

    def __init__(self, max_bytes: int, max_count: int) -> None:
        self._entries: OrderedDict[tuple[bytes, int], OpenBlock] = OrderedDict()
        self._max_bytes = max_bytes
        self._max_count = max_count
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: tuple[bytes, int]) -> bool:
        return key in self._entries

    def get(self, key: tuple[bytes, int]) -> OpenBlock | None:
        """The block, now the most recently used one. The caller acquires it before it gives up control."""
        block = self._entries.get(key)
        if block is not None:
            self._entries.move_to_end(key)
        return block

    def peek(self, key: tuple[bytes, int]) -> OpenBlock | None:
        """The block, without counting as a use."""
        return self._entries.get(key)

    def put(self, block: OpenBlock) -> None:
        """Takes a reference of its own, and drops what no longer fits. A block that is there already is replaced."""
        key = (block.content, block.index)
        self.drop(key)
        self._entries[key] = block.acquire()
        self.size_bytes += block.length
        while len(self._entries) > self._max_count or self.size_bytes > self._max_bytes:
            self.drop(next(iter(self._entries)))

    def drop(self, key: tuple[bytes, int]) -> None:
        """Forgets the block, if it is there."""
        block = self._entries.pop(key, None)
        if block is not None:
            self.size_bytes -= block.length
            block.release()

    def drop_where(self, unwanted: Callable[[OpenBlock], bool]) -> None:
        """Forgets every block that is unwanted."""
        for key in [key for key, block in self._entries.items() if unwanted(block)]:
            self.drop(key)

    def check_invariants(self) -> None:
        """For tests."""
        assert self.size_bytes == sum(block.length for block in self._entries.values())
        assert len(self._entries) <= self._max_count
        assert self.size_bytes <= self._max_bytes
        assert all(block.references > 0 for block in self._entries.values())

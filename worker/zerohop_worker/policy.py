"""Which block goes when a tier needs room: the policy behind a small interface, and S3-FIFO as the one in use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

__all__ = ["BlockId", "Policy", "S3Fifo", "Victim"]

BlockId = tuple[bytes, int]
"""A block: id of its content (16 bytes) and its index in it."""

_SMALL_SHARE = 10
"""The probationary queue holds a tenth of the bytes (the paper's figure; flat between a twentieth and a fifth)."""

_MAX_USES = 3
"""Uses are counted to 3: two bits are enough to tell hot from hottest."""

_MIN_GHOSTS = 256
_MAX_REFUSALS = 32
"""After so many blocks that may not go the policy gives up: the caller has other tiers, and an answer is due."""


class Victim(NamedTuple):
    """A block to evict. `earned`: it was used again after it came in, so a lower tier may be worth its bytes."""

    block: BlockId
    earned: bool


class Policy(Protocol):
    """Orders the evictable blocks of one tier. Blocks that must stay (pinned, unpersisted) are not shown to it."""

    def insert(self, block: BlockId, size_bytes: int) -> None:
        """A block came in."""

    def touch(self, block: BlockId) -> None:
        """A block was used; unknown ones are ignored."""

    def remove(self, block: BlockId) -> None:
        """A block left other than by `evict`; unknown ones are ignored."""

    def evict(self, allowed: Callable[[BlockId], bool]) -> Victim | None:
        """Takes out the next victim; None when there is none. Those not `allowed` stay and are passed over."""

    def __contains__(self, block: object) -> bool: ...

    def __len__(self) -> int: ...


@dataclass(slots=True)
class _Node:
    size_bytes: int
    uses: int = 0


class S3Fifo:
    """S3-FIFO (Yang et al., SOSP 2023): a small probationary queue, a main queue, and a memory of what it let go.

    A block that is read once, as in a scan, leaves by the small queue without having displaced anything of the main
    one. One that was used again moves to the main queue, and one that comes back soon after it was let go enters there.
    """

    def __init__(self) -> None:
        self._small: OrderedDict[BlockId, _Node] = OrderedDict()
        self._main: OrderedDict[BlockId, _Node] = OrderedDict()
        self._ghosts: OrderedDict[int, None] = OrderedDict()
        self._small_bytes = 0  # sum of the sizes in _small
        self._bytes = 0  # sum of the sizes in _small and _main

    def __contains__(self, block: object) -> bool:
        return block in self._small or block in self._main

    def __len__(self) -> int:
        return len(self._small) + len(self._main)

    def insert(self, block: BlockId, size_bytes: int) -> None:
        """A block came in: to the main queue if it was let go not long ago."""
        if block in self:
            return
        self._bytes += size_bytes
        ghost = hash(block)
        if ghost in self._ghosts:
            del self._ghosts[ghost]
            self._main[block] = _Node(size_bytes)
        else:
            self._small[block] = _Node(size_bytes)
            self._small_bytes += size_bytes

    def touch(self, block: BlockId) -> None:
        """A block was used."""
        node = self._small.get(block) or self._main.get(block)
        if node is not None and node.uses < _MAX_USES:
            node.uses += 1

    def remove(self, block: BlockId) -> None:
        """A block left."""
        node = self._small.pop(block, None)
        if node is not None:
            self._small_bytes -= node.size_bytes
        else:
            node = self._main.pop(block, None)
        if node is not None:
            self._bytes -= node.size_bytes

    def evict(self, allowed: Callable[[BlockId], bool]) -> Victim | None:
        """The next victim. Ends: each turn takes a use from a block, refuses one (bounded), or returns."""
        refusals = 0
        while self._small or self._main:
            from_small = bool(self._small) and (
                not self._main or self._small_bytes * _SMALL_SHARE >= self._bytes
            )
            queue = self._small if from_small else self._main
            block, node = next(iter(queue.items()))
            if node.uses > 0:
                node.uses = 0 if from_small else node.uses - 1
                self._to_main(block, node, from_small)
                continue
            if not allowed(block):
                refusals += 1
                self._to_main(block, node, from_small)
                if refusals >= _MAX_REFUSALS or refusals >= len(self):
                    return None
                continue
            self.remove(block)
            if from_small:
                self._remember(block)
            return Victim(block, earned=not from_small)
        return None

    def _to_main(self, block: BlockId, node: _Node, from_small: bool) -> None:
        if from_small:
            del self._small[block]
            self._small_bytes -= node.size_bytes
            self._main[block] = node
        else:
            self._main.move_to_end(block)

    def _remember(self, block: BlockId) -> None:
        self._ghosts[hash(block)] = None
        while len(self._ghosts) > max(_MIN_GHOSTS, len(self)):
            self._ghosts.popitem(last=False)

    def check_invariants(self) -> None:
        """For tests."""
        assert not self._small.keys() & self._main.keys()
        assert self._small_bytes == sum(node.size_bytes for node in self._small.values())
        in_main = sum(node.size_bytes for node in self._main.values())
        assert self._bytes == self._small_bytes + in_main

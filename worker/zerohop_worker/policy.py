"""Which block goes when a tier needs room: the policy behind a small interface, and S3-FIFO as the one in use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

__all__ = ["DEFAULT_TUNING", "BlockId", "Policy", "S3Fifo", "S3FifoTuning", "Victim"]

BlockId = tuple[bytes, int]
"""A block: id of its content (16 bytes) and its index in it."""

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


@dataclass(frozen=True, slots=True)
class S3FifoTuning:
    """The defaults did best on the traces of `zerohop bench eviction --tune`; docs/eviction.md has the table."""

    small_share: float = 0.05  # of the bytes: what the probationary queue holds
    ghost_ratio: float = 1.0  # blocks remembered for each block held
    max_uses: int = 3  # uses are counted so far
    settling_share: float = (
        0.5  # of the probationary queue, its newest part: uses of a block there do not count
    )
    contested: bool = (
        True  # a block that comes back takes a place in the main queue only if one there is unused
    )


@dataclass(slots=True)
class _Node:
    size_bytes: int
    entered_at: int = 0  # what `_entered_bytes` was when it entered the small queue
    uses: int = 0


DEFAULT_TUNING = S3FifoTuning()


class S3Fifo:
    """S3-FIFO (Yang et al., SOSP 2023): a small probationary queue, a main queue, and a memory of what it let go.

    A block that is read once, as in a scan, leaves by the small queue without having displaced anything of the main
    one. One that was used again moves to the main queue, and one that comes back soon after it was let go enters there.

    Two things are not in the paper. A block is often read in several ranges, or was fetched ahead and is then read:
    uses that follow its arrival closely are of one reader and say nothing, so they do not count (Clock2Q+ has the
    like). And a loop over more than the cache holds brings every block back soon; if each took a place in the main
    queue, they would displace each other. So the block there whose turn it is defends its place with one of its uses.
    """

    def __init__(self, tuning: S3FifoTuning = DEFAULT_TUNING) -> None:
        self._tuning = tuning
        self._small: OrderedDict[BlockId, _Node] = OrderedDict()
        self._main: OrderedDict[BlockId, _Node] = OrderedDict()
        self._ghosts: OrderedDict[int, None] = OrderedDict()
        self._small_bytes = 0  # sum of the sizes in _small
        self._bytes = 0  # sum of the sizes in _small and _main
        self._entered_bytes = 0  # all that ever entered the small queue: the clock of settling

    def __contains__(self, block: object) -> bool:
        return block in self._small or block in self._main

    def __len__(self) -> int:
        return len(self._small) + len(self._main)

    def insert(self, block: BlockId, size_bytes: int) -> None:
        """A block came in: to the main queue if it was let go not long ago, and finds a place there."""
        if block in self:
            return
        self._bytes += size_bytes
        ghost = hash(block)
        came_back = ghost in self._ghosts
        if came_back:
            del self._ghosts[ghost]
        if came_back and not (self._tuning.contested and self._main_defends_itself()):
            self._main[block] = _Node(size_bytes)
        else:
            self._entered_bytes += size_bytes
            self._small[block] = _Node(size_bytes, self._entered_bytes)
            self._small_bytes += size_bytes

    def touch(self, block: BlockId) -> None:
        """A block was used."""
        node = self._small.get(block)
        if node is None:
            node = self._main.get(block)
        elif self._is_settling(node):
            return
        if node is not None and node.uses < self._tuning.max_uses:
            node.uses += 1

    def _is_settling(self, node: _Node) -> bool:
        newer_bytes = self._entered_bytes - node.entered_at
        small_bytes = self._bytes * self._tuning.small_share
        return newer_bytes + node.size_bytes <= small_bytes * self._tuning.settling_share

    def _main_defends_itself(self) -> bool:
        """Whether the main block whose turn it is gave a use to stay."""
        for block, node in self._main.items():
            if node.uses > 0:
                node.uses -= 1
                self._main.move_to_end(block)
                return True
            break
        return False

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
                not self._main or self._small_bytes >= self._bytes * self._tuning.small_share
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
        while len(self._ghosts) > max(_MIN_GHOSTS, len(self) * self._tuning.ghost_ratio):
            self._ghosts.popitem(last=False)

    def check_invariants(self) -> None:
        """For tests."""
        assert not self._small.keys() & self._main.keys()
        assert self._small_bytes == sum(node.size_bytes for node in self._small.values())
        in_main = sum(node.size_bytes for node in self._main.values())
        assert self._bytes == self._small_bytes + in_main

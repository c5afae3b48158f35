"""Other policies behind the product's interface: LRU, SIEVE and W-TinyLFU, as plain as their papers have them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import xxhash

from zerohop_worker.policy import BlockId, Victim

__all__ = ["Lru", "Sieve", "WTinyLfu"]


class Lru:
    """Least recently used."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[BlockId, int] = OrderedDict()  # the size, the next to go first

    def __contains__(self, block: object) -> bool:
        return block in self._blocks

    def __len__(self) -> int:
        return len(self._blocks)

    def insert(self, block: BlockId, size_bytes: int) -> None:
        self._blocks[block] = size_bytes

    def touch(self, block: BlockId) -> None:
        if block in self._blocks:
            self._blocks.move_to_end(block)

    def remove(self, block: BlockId) -> None:
        self._blocks.pop(block, None)

    def evict(self, allowed: Callable[[BlockId], bool]) -> Victim | None:
        for block in self._blocks:
            if allowed(block):
                del self._blocks[block]
                return Victim(block, earned=False)
        return None


@dataclass(slots=True, eq=False)
class _Link:
    block: BlockId
    newer: _Link | None = None
    older: _Link | None = None
    visited: bool = False


class Sieve:
    """SIEVE (Zhang et al., NSDI 2024): one queue, a bit for each block, and a hand that goes from old to new."""

    def __init__(self) -> None:
        self._links: dict[BlockId, _Link] = {}
        self._newest: _Link | None = None
        self._oldest: _Link | None = None
        self._hand: _Link | None = None

    def __contains__(self, block: object) -> bool:
        return block in self._links

    def __len__(self) -> int:
        return len(self._links)

    def insert(self, block: BlockId, size_bytes: int) -> None:  # noqa: ARG002 - it looks at no size
        link = self._links[block] = _Link(block, older=self._newest)
        if self._newest is not None:
            self._newest.newer = link
        else:
            self._oldest = link
        self._newest = link

    def touch(self, block: BlockId) -> None:
        if (link := self._links.get(block)) is not None:
            link.visited = True

    def remove(self, block: BlockId) -> None:
        link = self._links.pop(block, None)
        if link is None:
            return
        if link.newer is not None:
            link.newer.older = link.older
        else:
            self._newest = link.older
        if link.older is not None:
            link.older.newer = link.newer
        else:
            self._oldest = link.newer
        if self._hand is link:
            self._hand = link.newer

    def evict(self, allowed: Callable[[BlockId], bool]) -> Victim | None:
        for _ in range(2 * len(self._links)):
            link = self._hand or self._oldest
            if link is None:
                break
            self._hand = link.newer
            if link.visited:
                link.visited = False
            elif allowed(link.block):
                self.remove(link.block)
                return Victim(link.block, earned=False)
        return None


def _places(block: BlockId) -> int:
    # Not hash(): it differs from process to process, and with it what the sketch confuses.
    return xxhash.xxh3_64_intdigest(block[0], seed=block[1])


class _Sketch:
    """How often blocks were seen of late: a count-min sketch of 4 rows, halved when it has counted enough."""

    def __init__(self, blocks: int) -> None:
        self._mask = (1 << max(6, (2 * blocks).bit_length())) - 1
        self._rows = [bytearray(self._mask + 1) for _ in range(4)]
        self._sample = 10 * blocks
        self._counted = 0

    def count(self, block: BlockId) -> None:
        places = _places(block)
        for row in self._rows:
            place = places & self._mask
            if row[place] < 15:
                row[place] += 1
            places >>= 15
        self._counted += 1
        if self._counted >= self._sample:
            self._counted //= 2
            halves = bytes(number // 2 for number in range(256))
            self._rows = [row.translate(halves) for row in self._rows]

    def estimate(self, block: BlockId) -> int:
        places = _places(block)
        least = 255
        for row in self._rows:
            least = min(least, row[places & self._mask])
            places >>= 15
        return least


class WTinyLfu:
    """W-TinyLFU (Einziger et al., TOS 2017): a window, and a segmented main part that the more frequent one enters.

    `blocks`: about how many the cache holds. `window_share` of the bytes; the paper's figure is a hundredth.
    """

    def __init__(self, blocks: int, window_share: float = 0.01) -> None:
        self._window_share = window_share
        self._window: OrderedDict[BlockId, int] = OrderedDict()  # sizes, the next to go first; as those below
        self._probation: OrderedDict[BlockId, int] = OrderedDict()
        self._protected: OrderedDict[BlockId, int] = OrderedDict()
        self._window_bytes = self._protected_bytes = self._bytes = 0
        self._sketch = _Sketch(max(64, blocks))
        self._candidate: BlockId | None = None  # the last that left the window, until it has been compared

    def __contains__(self, block: object) -> bool:
        return block in self._window or block in self._probation or block in self._protected

    def __len__(self) -> int:
        return len(self._window) + len(self._probation) + len(self._protected)

    def insert(self, block: BlockId, size_bytes: int) -> None:
        self._sketch.count(block)
        self._window[block] = size_bytes
        self._window_bytes += size_bytes
        self._bytes += size_bytes
        # The newest stays in the window, however small that is, as nothing else can be said of it yet.
        while self._window_bytes > self._bytes * self._window_share and len(self._window) > 1:
            self._leave_window()

    def _leave_window(self) -> None:
        block, size_bytes = self._window.popitem(last=False)
        self._window_bytes -= size_bytes
        self._probation[block] = size_bytes
        self._candidate = block

    def touch(self, block: BlockId) -> None:
        self._sketch.count(block)
        if block in self._window:
            self._window.move_to_end(block)
        elif block in self._protected:
            self._protected.move_to_end(block)
        elif (size_bytes := self._probation.pop(block, None)) is not None:
            self._protected[block] = size_bytes
            self._protected_bytes += size_bytes
            while self._protected_bytes > 0.8 * (self._bytes - self._window_bytes):
                demoted, demoted_bytes = self._protected.popitem(last=False)
                self._protected_bytes -= demoted_bytes
                self._probation[demoted] = demoted_bytes

    def remove(self, block: BlockId) -> None:
        if (size_bytes := self._window.pop(block, None)) is not None:
            self._window_bytes -= size_bytes
        elif (size_bytes := self._protected.pop(block, None)) is not None:
            self._protected_bytes -= size_bytes
        else:
            size_bytes = self._probation.pop(block, 0)
        self._bytes -= size_bytes

    def evict(self, allowed: Callable[[BlockId], bool]) -> Victim | None:
        """The less frequent one of the block that left the window and the oldest on probation."""
        for queue in (self._probation, self._protected, self._window):
            for block in queue:
                if queue is self._probation:
                    block = self._rarer(block)
                if allowed(block):
                    self.remove(block)
                    return Victim(block, earned=queue is self._protected)
        return None

    def _rarer(self, victim: BlockId) -> BlockId:
        candidate, self._candidate = self._candidate, None
        if candidate is None or candidate not in self._probation:
            return victim
        return candidate if self._sketch.estimate(candidate) <= self._sketch.estimate(victim) else victim

"""Synthetic traces: which blocks are read, in which order, and how large they are. The same for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, count
from random import Random

from zerohop_worker.policy import BlockId

__all__ = ["PAGE_BYTES", "SHARES", "WORKLOADS", "Trace", "Workload"]

SHARES = (0.01, 0.05, 0.10, 0.25)
"""Sizes of the cache, of the footprint."""

BLOCKS = 8_000
"""The footprint: popular blocks, or objects. What is read once comes on top of it."""

BLOCK_BYTES = 4 << 20
PAGE_BYTES = 4096

_READERS = 8
"""Sequential readers at a time."""

_PIECES = 4
"""Reads of a block by one that reads in ranges, as Parquet readers and s3fs do; the block's read-ahead is one more."""

_PHASES = 8
"""Popularity is dealt anew so often in a shifting trace."""


@dataclass(frozen=True, slots=True)
class Trace:
    """`sizes` in bytes by block; `capacity_bytes` of the cache that it is meant for."""

    accesses: list[BlockId]
    sizes: dict[BlockId, int]
    capacity_bytes: int


@dataclass(frozen=True, slots=True)
class Workload:
    """`family` is what it counts towards: families weigh the same, however many workloads they have."""

    name: str
    family: str
    make: Callable[[Random, int], Iterator[int]]
    """From a source of chance and the number of blocks that the cache holds: numbers of blocks, without an end."""
    object_sizes: bool = False

    def trace(self, share: float, accesses: int, seed: int = 0) -> Trace:
        """A trace of so many accesses, for a cache of that share of the footprint."""
        chance = Random(f"{self.name} {share} {seed}")
        numbers = self.make(chance, max(1, int(BLOCKS * share)))
        blocks = [_block(next(numbers)) for _ in range(accesses)]
        if not self.object_sizes:
            return Trace(blocks, dict.fromkeys(blocks, BLOCK_BYTES), int(BLOCKS * share) * BLOCK_BYTES)
        # A median of 128 KiB and a long tail, up to what is one block; more is several blocks.
        sizes = {
            block: _pages(min(BLOCK_BYTES, chance.lognormvariate(11.8, 1.6))) for block in sorted(set(blocks))
        }
        return Trace(blocks, sizes, int(share * sum(sizes.values()) * min(1.0, BLOCKS / len(sizes))))


def _block(number: int) -> BlockId:
    return number.to_bytes(16), 0


def _pages(size_bytes: float) -> int:
    return max(1, -(-int(size_bytes) // PAGE_BYTES)) * PAGE_BYTES


class _Zipf:
    """Numbers below `size`, the one of rank r with a weight of 1 / r ** alpha; ranks are dealt at random."""

    def __init__(self, chance: Random, alpha: float, size: int = BLOCKS) -> None:
        self._chance = chance
        self._weights = list(accumulate(1 / rank**alpha for rank in range(1, size + 1)))
        self._numbers = list(range(size))
        self.deal()

    def deal(self) -> None:
        self._chance.shuffle(self._numbers)

    def drift(self) -> None:
        """Two blocks change places: a little of the popularity moves."""
        one = self._chance.choices(range(len(self._numbers)), cum_weights=self._weights)[0]
        other = self._chance.randrange(len(self._numbers))
        self._numbers[one], self._numbers[other] = self._numbers[other], self._numbers[one]

    def draws(self) -> Iterator[int]:
        while True:
            yield from self._chance.choices(self._numbers, cum_weights=self._weights, k=64)


def _zipf(chance: Random, _cache_blocks: int, *, alpha: float) -> Iterator[int]:
    return _Zipf(chance, alpha).draws()


def _scans(chance: Random, _cache_blocks: int, *, alpha: float, uses: int = 1) -> Iterator[int]:
    """A third of the reads are runs over blocks that nobody reads again, `uses` times each within the run."""
    popular = _Zipf(chance, alpha).draws()
    fresh = count(BLOCKS)
    while True:
        run = chance.randrange(50, 800)
        for _ in range(2 * run):
            yield next(popular)
        for _ in range(run // uses):
            block = next(fresh)
            for _ in range(uses):
                yield block
                yield next(popular)


def _loop(_chance: Random, cache_blocks: int, *, excess: float) -> Iterator[int]:
    """Round and round over a little more than the cache holds."""
    size = int(cache_blocks * excess) + 1
    while True:
        yield from range(size)


def _epochs(chance: Random, cache_blocks: int, *, excess: float) -> Iterator[int]:
    """As a loop, but in another order each time round, as training reads its samples."""
    numbers = list(range(int(cache_blocks * excess) + 1))
    while True:
        chance.shuffle(numbers)
        yield from numbers


def _loop_and_zipf(chance: Random, cache_blocks: int) -> Iterator[int]:
    popular = _Zipf(chance, 0.9).draws()
    for block in _loop(chance, cache_blocks, excess=1.1):
        yield BLOCKS + block
        yield next(popular)


def _readers(chance: Random, _cache_blocks: int, *, pieces: int = 1) -> Iterator[int]:
    """Large objects read from end to end by some readers at a time, in turns; the objects follow Zipf."""
    objects = _objects(chance)
    popular = _Zipf(chance, 0.9, len(objects)).draws()
    readers: list[Iterator[int]] = [iter(()) for _ in range(_READERS)]
    while True:
        turn = chance.randrange(_READERS)
        for _ in range(chance.randrange(1, 2 * pieces)):
            block = next(readers[turn], None)
            if block is None:
                found = objects[next(popular)]
                readers[turn] = iter([number for number in found for _ in range(pieces)])
                block = next(readers[turn])
            yield block


def _objects(chance: Random) -> list[range]:
    """The footprint cut in objects of 8 to 128 blocks."""
    objects, start = [], 0
    while start < BLOCKS:
        stop = min(BLOCKS, start + chance.randrange(8, 128))
        objects.append(range(start, stop))
        start = stop
    return objects


def _phases(chance: Random, _cache_blocks: int, *, accesses: int = 7_500) -> Iterator[int]:
    """What is popular changes all at once, again and again."""
    popular = _Zipf(chance, 0.9)
    while True:
        draws = popular.draws()
        for _ in range(accesses):
            yield next(draws)
        popular.deal()


def _drifting(chance: Random, _cache_blocks: int) -> Iterator[int]:
    """What is popular changes by and by: some block loses its place to another every few reads."""
    popular = _Zipf(chance, 0.9)
    draws = popular.draws()
    while True:
        for _ in range(16):
            yield next(draws)
        popular.drift()


def _mixed(chance: Random, cache_blocks: int) -> Iterator[int]:
    """Point reads, sequential readers in ranges, one-time scans and a loop, in turns of a few hundred reads."""
    spread = 1 << 32  # keeps the blocks of one source apart from another's
    sources = [
        _drifting(chance, cache_blocks),
        (spread + number for number in _readers(chance, cache_blocks, pieces=_PIECES)),
        (2 * spread + number for number in _scans(chance, cache_blocks, alpha=0.8, uses=2)),
        (3 * spread + number for number in _loop(chance, cache_blocks, excess=0.5)),
    ]
    while True:
        source = chance.choices(sources, (4, 2, 2, 1))[0]
        for _ in range(chance.randrange(20, 400)):
            yield next(source)


WORKLOADS = (
    Workload("zipf 0.6", "zipf", partial(_zipf, alpha=0.6)),
    Workload("zipf 0.8", "zipf", partial(_zipf, alpha=0.8)),
    Workload("zipf 1.0", "zipf", partial(_zipf, alpha=1.0)),
    Workload("zipf 1.2", "zipf", partial(_zipf, alpha=1.2)),
    Workload("zipf 0.8 and scans", "scan", partial(_scans, alpha=0.8)),
    Workload("zipf 1.0 and scans", "scan", partial(_scans, alpha=1.0)),
    Workload("zipf 1.0 and scans, read twice", "scan", partial(_scans, alpha=1.0, uses=2)),
    Workload("loop of 1.1 caches", "loop", partial(_loop, excess=1.1)),
    Workload("loop of 1.5 caches", "loop", partial(_loop, excess=1.5)),
    Workload("epochs of 1.5 caches, shuffled", "loop", partial(_epochs, excess=1.5)),
    Workload("loop and zipf 0.9", "loop", _loop_and_zipf),
    Workload("readers of whole blocks", "readers", _readers),
    Workload("readers of ranges", "readers", partial(_readers, pieces=_PIECES)),
    Workload("popularity changes at once", "shift", _phases),
    Workload("popularity drifts", "shift", _drifting),
    Workload("objects, zipf 0.8", "objects", partial(_zipf, alpha=0.8), object_sizes=True),
    Workload("objects, zipf 1.0 and scans", "objects", partial(_scans, alpha=1.0), object_sizes=True),
    Workload("mixed", "mixed", _mixed),
    Workload("mixed, objects", "mixed", _mixed, object_sizes=True),
)

"""Replaying a trace through a policy, as the worker's cache index drives it, and the bound that none can pass."""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass

from zerohop_bench.eviction.traces import Trace
from zerohop_worker.policy import BlockId, Policy

__all__ = ["Outcome", "replay", "replay_optimal"]

_NEVER = 1 << 60


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a replay came to. `cpu_us`: processor time for one access, that of the driver included."""

    accesses: int
    misses: int
    total_bytes: int
    missed_bytes: int
    cpu_us: float = 0.0

    @property
    def hit_ratio(self) -> float:
        """Of the accesses."""
        return 1 - self.misses / self.accesses

    @property
    def byte_hit_ratio(self) -> float:
        """Of the bytes."""
        return 1 - self.missed_bytes / self.total_bytes


def _every_block(_block: BlockId) -> bool:
    return True


def replay(trace: Trace, policy: Policy) -> Outcome:
    """Room is made before a block enters, a block larger than the cache does not, and each later read is a use."""
    sizes, capacity_bytes = trace.sizes, trace.capacity_bytes
    cached: set[BlockId] = set()
    free_bytes = capacity_bytes
    total_bytes = misses = missed_bytes = 0
    start_s = time.process_time()
    for block in trace.accesses:
        size_bytes = sizes[block]
        total_bytes += size_bytes
        if block in cached:
            policy.touch(block)
            continue
        misses += 1
        missed_bytes += size_bytes
        if size_bytes > capacity_bytes:
            continue
        while free_bytes < size_bytes:
            victim = policy.evict(_every_block)
            assert victim is not None
            cached.remove(victim.block)
            free_bytes += sizes[victim.block]
        policy.insert(block, size_bytes)
        cached.add(block)
        free_bytes -= size_bytes
    cpu_us = (time.process_time() - start_s) / len(trace.accesses) * 1e6
    return Outcome(len(trace.accesses), misses, total_bytes, missed_bytes, cpu_us)


def replay_optimal(trace: Trace) -> Outcome:
    """Belady's MIN, which knows the future and need not admit a block.

    A bound for blocks of one size; for objects of several sizes, where the optimum is hard to compute, a yardstick.
    """
    sizes = trace.sizes
    following = _next_uses(trace.accesses)
    cached: dict[BlockId, int] = {}  # when it is used next
    furthest: list[tuple[int, BlockId]] = []  # (-next use, block), with entries that `cached` has outdated
    free_bytes = trace.capacity_bytes
    total_bytes = misses = missed_bytes = 0
    for now, block in enumerate(trace.accesses):
        size_bytes, next_use = sizes[block], following[now]
        total_bytes += size_bytes
        if block not in cached:
            misses += 1
            missed_bytes += size_bytes
            if size_bytes > trace.capacity_bytes or next_use == _NEVER:
                continue
            free_bytes = _make_room(cached, furthest, sizes, free_bytes, size_bytes, next_use)
            if free_bytes < size_bytes:
                continue
            free_bytes -= size_bytes
        cached[block] = next_use
        heapq.heappush(furthest, (-next_use, block))
    return Outcome(len(trace.accesses), misses, total_bytes, missed_bytes)


def _make_room(
    cached: dict[BlockId, int],
    furthest: list[tuple[int, BlockId]],
    sizes: dict[BlockId, int],
    free_bytes: int,
    wanted_bytes: int,
    next_use: int,
) -> int:
    """Evicts what is used later than `next_use`, the latest first. The free bytes there are then."""
    while free_bytes < wanted_bytes and furthest:
        negative_use, block = furthest[0]
        if cached.get(block) != -negative_use:
            heapq.heappop(furthest)
            continue
        if -negative_use <= next_use:
            break
        heapq.heappop(furthest)
        del cached[block]
        free_bytes += sizes[block]
    return free_bytes


def _next_uses(accesses: list[BlockId]) -> list[int]:
    following = [_NEVER] * len(accesses)
    seen: dict[BlockId, int] = {}
    for now in range(len(accesses) - 1, -1, -1):
        following[now] = seen.get(accesses[now], _NEVER)
        seen[accesses[now]] = now
    return following

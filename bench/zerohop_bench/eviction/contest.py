"""The contest: each workload at each size of the cache through each policy, and the rule by which one wins."""

from __future__ import annotations

import math
import multiprocessing
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from zerohop_bench.eviction.candidates import Lru, Sieve, WTinyLfu
from zerohop_bench.eviction.references import REFERENCES, has_references, replay_reference
from zerohop_bench.eviction.replay import Outcome, replay, replay_optimal
from zerohop_bench.eviction.traces import SHARES, WORKLOADS, Trace, Workload
from zerohop_worker.policy import Policy, S3Fifo, S3FifoTuning

__all__ = ["OURS", "PAPER", "TUNINGS", "Cell", "Standing", "candidates", "run", "standings"]

OURS = "zerohop"
"""The product's policy as the worker makes it."""

PAPER = S3FifoTuning(small_share=0.1, settling_share=0.0, contested=False)

ACCESSES = 40_000
"""Of each trace: five for each block of the footprint."""

TUNINGS: dict[str, S3FifoTuning] = {
    "S3-FIFO": PAPER,
    "settling only": S3FifoTuning(small_share=0.1, contested=False),
    "contested only": S3FifoTuning(small_share=0.1, settling_share=0.0),
    "small 2%": S3FifoTuning(small_share=0.02),
    "small 10%": S3FifoTuning(small_share=0.1),
    "small 20%": S3FifoTuning(small_share=0.2),
    "ghosts 0.5": S3FifoTuning(ghost_ratio=0.5),
    "ghosts 2": S3FifoTuning(ghost_ratio=2.0),
    "ghosts 4": S3FifoTuning(ghost_ratio=4.0),
    "uses to 1": S3FifoTuning(max_uses=1),
    "uses to 7": S3FifoTuning(max_uses=7),
    "settling 25%": S3FifoTuning(settling_share=0.25),
    "settling 100%": S3FifoTuning(settling_share=1.0),
}
"""Variations of the product's policy: each has the product's settings but for what its name says."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One workload at one size of the cache. `outcomes` by policy."""

    workload: str
    family: str
    share: float
    optimal: Outcome
    outcomes: dict[str, Outcome]

    def excess(self, policy: str) -> float:
        """Misses, relative to those that Belady's MIN has."""
        return self.outcomes[policy].misses / self.optimal.misses


@dataclass(frozen=True, slots=True)
class Standing:
    """What a policy came to: geometric means of its misses relative to MIN's, and of its processor time."""

    policy: str
    score: float
    by_family: dict[str, float]
    worst: float
    cpu_us: float


def candidates(*, tune: bool) -> dict[str, Callable[[int], Policy]]:
    """Policies by name, made for about so many blocks. They are driven by the same code as the product's."""
    ours: dict[str, Callable[[int], Policy]] = {OURS: lambda _blocks: S3Fifo()}
    if tune:
        return ours | {name: _tuned(tuning) for name, tuning in TUNINGS.items()}
    return ours | {
        "S3-FIFO": _tuned(PAPER),
        "LRU": lambda _blocks: Lru(),
        "SIEVE": lambda _blocks: Sieve(),
        "W-TinyLFU": WTinyLfu,
        "W-TinyLFU 5%": lambda blocks: WTinyLfu(blocks, window_share=0.05),
    }


def _tuned(tuning: S3FifoTuning) -> Callable[[int], Policy]:
    return lambda _blocks: S3Fifo(tuning)


def run(
    *,
    tune: bool = False,
    accesses: int = ACCESSES,
    seed: int = 0,
    workloads: Sequence[Workload] = WORKLOADS,
    shares: Sequence[float] = SHARES,
    progress: Callable[[Cell], None] = lambda _cell: None,
) -> list[Cell]:
    """All cells, each in some process of its own. The same numbers each time, but for processor time."""
    places = [(workload, share) for workload in workloads for share in shares]
    cells = []
    # Spawned, because the caller may have threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(len(places), os.cpu_count() or 1), mp_context=context) as pool:
        pending = [pool.submit(_measure, workload, share, accesses, seed, tune) for workload, share in places]
        for future in pending:
            cells.append(future.result())
            progress(cells[-1])
    return cells


def _measure(workload: Workload, share: float, accesses: int, seed: int, tune: bool) -> Cell:
    trace = workload.trace(share, accesses, seed)
    blocks = max(1, trace.capacity_bytes * len(trace.sizes) // sum(trace.sizes.values()))
    outcomes = {name: replay(trace, make(blocks)) for name, make in candidates(tune=tune).items()}
    if not tune and has_references():
        outcomes |= _references(trace)
    return Cell(workload.name, workload.family, share, replay_optimal(trace), outcomes)


def _references(trace: Trace) -> dict[str, Outcome]:
    return {f"libcachesim {name}": replay_reference(trace, name) for name in REFERENCES}


def standings(cells: Sequence[Cell]) -> list[Standing]:
    """The policies, the best first.

    The rule: the lowest geometric mean of misses relative to MIN's, over the workloads and sizes of each family and
    then over the families, which weigh the same.
    """
    found = []
    for policy in cells[0].outcomes:
        excesses: Mapping[str, list[float]] = defaultdict(list)
        for cell in cells:
            excesses[cell.family].append(cell.excess(policy))
        by_family = {family: _geometric_mean(values) for family, values in excesses.items()}
        worst = max(cell.excess(policy) for cell in cells)
        cpu_us = _geometric_mean([cell.outcomes[policy].cpu_us for cell in cells])
        found.append(Standing(policy, _geometric_mean(by_family.values()), by_family, worst, cpu_us))
    return sorted(found, key=lambda standing: standing.score)


def _geometric_mean(values: Iterable[float]) -> float:
    logarithms = [math.log(max(value, 1e-9)) for value in values]
    return math.exp(sum(logarithms) / len(logarithms))

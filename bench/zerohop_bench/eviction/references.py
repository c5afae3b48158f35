"""The same policies as libcachesim has them (C, from PyPI), so that ours are not judged by our own understanding."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from zerohop_bench.eviction.replay import Outcome
from zerohop_bench.eviction.traces import PAGE_BYTES, Trace

__all__ = ["REFERENCES", "has_references", "replay_reference"]

REFERENCES = ("LRU", "Sieve", "S3FIFO", "WTinyLFU", "ARC", "Clock2QPlus")
"""Classes of libcachesim."""

_OPTIONS: dict[str, dict[str, Any]] = {"WTinyLFU": {"window_size": 0.05}}
"""A window of a hundredth, its default, is less than a block in the smallest caches, and then it keeps nothing."""


def has_references() -> bool:
    """Whether libcachesim is installed; it has no wheels for every system."""
    return find_spec("libcachesim") is not None


def replay_reference(trace: Trace, name: str) -> Outcome:
    """The trace through libcachesim's class of that name."""
    libcachesim: Any = import_module("libcachesim")
    # In pages: the frequency sketch of its W-TinyLFU is sized by the capacity, and bytes overflow it.
    numbers: dict[tuple[bytes, int], int] = {}
    requests = [
        (numbers.setdefault(block, len(numbers) + 1), trace.sizes[block] // PAGE_BYTES)
        for block in trace.accesses
    ]
    make: Callable[..., Any] = getattr(libcachesim, name)
    get = make(trace.capacity_bytes // PAGE_BYTES, hashpower=16, **_OPTIONS.get(name, {})).get
    request = libcachesim.Request()
    total_bytes = misses = missed_bytes = 0
    start_s = time.process_time()
    for number, size_bytes in requests:
        request.obj_id = number
        request.obj_size = size_bytes
        total_bytes += size_bytes
        if not get(request):
            misses += 1
            missed_bytes += size_bytes
    cpu_us = (time.process_time() - start_s) / len(requests) * 1e6
    return Outcome(len(requests), misses, total_bytes * PAGE_BYTES, missed_bytes * PAGE_BYTES, cpu_us)

"""What a process counts, and how it is exposed.

The hot paths only add to plain numbers (`Histogram`, `Calls` and attributes of their owners); whatever costs more is
done when somebody asks: each part of a process has a collector, which turns its numbers into Prometheus metrics.
"""

from __future__ import annotations

from zerohop.metrics.calls import Calls, CallsCollector, CallsOfOperation, outgoing
from zerohop.metrics.event_loop import LoopWatch
from zerohop.metrics.exposition import Exposition
from zerohop.metrics.families import counter, counters, gauge, gauges, histograms
from zerohop.metrics.histogram import LATENCY_BOUNDS_S, Histogram

__all__ = [
    "LATENCY_BOUNDS_S",
    "Calls",
    "CallsCollector",
    "CallsOfOperation",
    "Exposition",
    "Histogram",
    "LoopWatch",
    "counter",
    "counters",
    "gauge",
    "gauges",
    "histograms",
    "outgoing",
]

"""What processes hold while they are under load: sampled now and again, and judged at the end."""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import psutil
from prometheus_client.parser import text_string_to_metric_families
from tests.observability.admin_http import ask
from tests.support.real_cluster import RealCluster

__all__ = ["ProcessSamples", "Sample", "growth_bytes", "slope", "table"]

_MIB: Final = 1 << 20
_MAX_POINTS: Final = 200
"""For slopes: all pairs of them are looked at."""


@dataclass(frozen=True)
class Sample:
    """One process at a moment. `private_bytes` is resident memory that is shared with nobody, files included.

    `fds` are those beside the lent blocks that a proxy keeps open, whose number is bounded by a cache.
    """

    at_s: float
    rss_bytes: int
    private_bytes: int
    fds: int
    lent_blocks: int
    threads: int
    tasks: int


@dataclass
class ProcessSamples:
    """Of all processes of a cluster. Sampling goes on while a `with` block runs."""

    cluster: RealCluster
    interval_s: float
    series: dict[str, list[Sample]] = field(default_factory=dict)
    over_quota: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._begun = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> ProcessSamples:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(60)

    @property
    def names(self) -> list[str]:
        return ["master", *self.cluster.workers, *self.cluster.proxies]

    def take(self, name: str) -> Sample:
        """Of one process, now. Also looks whether its tiers keep to their quotas."""
        process = psutil.Process(self.cluster.pid(name))
        numbers = metrics(self.cluster, name)
        memory = process.memory_info()
        lent = int(numbers.get("zerohop_proxy_lent_blocks", 0))
        self._look_at_tiers(name, numbers)
        return Sample(
            at_s=round(time.monotonic() - self._begun, 1),
            rss_bytes=memory.rss,
            private_bytes=memory.rss - memory.shared,
            fds=process.num_fds() - lent,
            lent_blocks=lent,
            threads=process.num_threads(),
            tasks=int(numbers["zerohop_tasks"]),
        )

    def statuses(self) -> Counter[str]:
        """Requests that the proxies have answered since their start, by status."""
        found: Counter[str] = Counter()
        for name in self.cluster.proxies:
            for metric, labels, value in _samples(self.cluster, name):
                if metric == "zerohop_proxy_requests_total":
                    found[labels["status"]] += int(value)
        return found

    def connections(self) -> int:
        """Of clients, at all proxies."""
        return sum(
            int(metrics(self.cluster, name)["zerohop_proxy_connections"]) for name in self.cluster.proxies
        )

    def written(self) -> dict[str, Any]:
        """All samples, for JSON."""
        return {name: [asdict(sample) for sample in taken] for name, taken in self.series.items()}

    def _watch(self) -> None:
        while not self._stop.is_set():
            for name in self.names:
                try:
                    self.series.setdefault(name, []).append(self.take(name))
                except (OSError, psutil.Error, KeyError) as error:
                    self.problems.append(f"{name}: {error!r}")
            self._stop.wait(self.interval_s)

    def _look_at_tiers(self, name: str, numbers: dict[str, float]) -> None:
        for tier in ("MEM", "SSD", "HDD"):
            capacity = numbers.get(f"zerohop_worker_tier_capacity_bytes {tier}", 0)
            held = numbers.get(f"zerohop_worker_tier_used_bytes {tier}", 0)
            held += numbers.get(f"zerohop_worker_tier_lent_bytes {tier}", 0)
            if held > capacity:
                self.over_quota.append(f"{name}: {tier} holds {held:.0f} bytes of {capacity:.0f}")


def metrics(cluster: RealCluster, name: str) -> dict[str, float]:
    """All numbers of a process by name, and tier where there is one."""
    return {
        f"{metric} {labels['tier']}" if "tier" in labels else metric: value
        for metric, labels, value in _samples(cluster, name)
    }


def _samples(cluster: RealCluster, name: str) -> Iterator[tuple[str, dict[str, str], float]]:
    text = ask(cluster.admin_address(name), "/metrics").text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The median of the slopes of all pairs (Theil and Sen): outliers, as many as a quarter, do not move it."""
    step = max(1, len(points) // _MAX_POINTS)
    thin = points[::step]
    slopes = [
        (y2 - y1) / (x2 - x1) for at, (x1, y1) in enumerate(thin) for x2, y2 in thin[at + 1 :] if x2 > x1
    ]
    return statistics.median(slopes) if slopes else 0.0


def growth_bytes(series: Sequence[Sample]) -> tuple[int, int]:
    """By how much private memory grew in the first and in the second half, going by the slope in each."""
    half = len(series) // 2
    grown = []
    for part in (series[:half], series[half:]):
        points = [(sample.at_s, float(sample.private_bytes)) for sample in part]
        grown.append(int(slope(points) * (points[-1][0] - points[0][0])) if points else 0)
    return grown[0], grown[1]


def table(columns: dict[str, dict[str, Sample]]) -> str:
    """Markdown: a line for each process, and for each moment what it held then."""
    lines = [
        "| process | " + " | ".join(columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for name in next(iter(columns.values())):
        cells = (
            f"{one.rss_bytes / _MIB:.0f} MiB, {one.fds} fds, {one.tasks} tasks, {one.threads} threads"
            for one in (column[name] for column in columns.values())
        )
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"

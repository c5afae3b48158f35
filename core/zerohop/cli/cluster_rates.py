"""What happened in a cluster between two looks at its metrics: plain arithmetic for `zerohop admin top`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Look", "OperationRate", "Rates", "Samples", "TierRate", "parse", "quantile", "rates"]

Labels = tuple[tuple[str, str], ...]
Samples = dict[tuple[str, Labels], float]


@dataclass(frozen=True, slots=True)
class Look:
    """The metrics of the processes that answered, by name, at a moment of the monotonic clock."""

    time_s: float
    processes: Mapping[str, Samples]


@dataclass(frozen=True, slots=True)
class OperationRate:
    """Requests of one operation. Latencies in seconds, interpolated within buckets; None without requests."""

    operation: str
    per_s: float
    errors_per_s: float
    p50_s: float | None
    p99_s: float | None
    received_bytes_per_s: float
    sent_bytes_per_s: float


@dataclass(frozen=True, slots=True)
class TierRate:
    """One tier over all workers. `hit_ratio`: of the uses that got as far as this tier; None without any."""

    tier: str
    capacity_bytes: float
    used_bytes: float
    hits_per_s: float
    hit_ratio: float | None
    evictions_per_s: float


@dataclass(frozen=True, slots=True)
class Rates:
    """Between two looks, `interval_s` apart."""

    interval_s: float
    operations: Sequence[OperationRate]
    tiers: Sequence[TierRate]
    sources_per_s: Mapping[str, float]
    in_flight: float
    connections: float
    unpersisted: float
    loop_lag_s: Mapping[str, float] = field(default_factory=dict)
    """By process: the mean over the interval."""


def parse(text: str) -> Samples:
    """The samples of one process. Raises ValueError for what is no exposition."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def rates(before: Look, after: Look) -> Rates:
    """A process that did not answer before shows what it is, and no growth; a restarted one counts from its start."""
    interval_s = max(after.time_s - before.time_s, 1e-9)
    grown: Samples = defaultdict(float)
    now: Samples = defaultdict(float)
    lags: dict[str, float] = {}
    for name, samples in after.processes.items():
        earlier = before.processes.get(name, samples)
        own: Samples = {}
        for key, value in samples.items():
            now[key] += value
            own[key] = value - earlier[key] if earlier.get(key, value + 1) <= value else value
            grown[key] += own[key]
        looks = own.get(("zerohop_event_loop_lag_seconds_count", ()), 0.0)
        if looks:
            lags[name] = own.get(("zerohop_event_loop_lag_seconds_sum", ()), 0.0) / looks
    return Rates(
        interval_s=interval_s,
        operations=_operations(grown, interval_s),
        tiers=_tiers(grown, now, interval_s),
        sources_per_s={
            source: value / interval_s
            for source, value in _by(grown, "zerohop_proxy_object_reads_total", "source").items()
        },
        in_flight=now["zerohop_proxy_requests_in_flight", ()],
        connections=now["zerohop_proxy_connections", ()],
        unpersisted=now["zerohop_worker_unpersisted_contents", ()],
        loop_lag_s=lags,
    )


def _operations(grown: Samples, interval_s: float) -> list[OperationRate]:
    counts = _by(grown, "zerohop_proxy_request_seconds_count", "operation")
    received = _by(grown, "zerohop_proxy_received_bytes_total", "operation")
    sent = _by(grown, "zerohop_proxy_sent_bytes_total", "operation")
    failed: dict[str, float] = defaultdict(float)
    buckets: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for (name, labels), value in grown.items():
        if name == "zerohop_proxy_requests_total" and dict(labels)["status"][0] in "05":
            failed[dict(labels)["operation"]] += value
        elif name == "zerohop_proxy_request_seconds_bucket":
            buckets[dict(labels)["operation"]].append((float(dict(labels)["le"]), value))
    return [
        OperationRate(
            operation=operation,
            per_s=count / interval_s,
            errors_per_s=failed[operation] / interval_s,
            p50_s=quantile(buckets[operation], 0.5),
            p99_s=quantile(buckets[operation], 0.99),
            received_bytes_per_s=received.get(operation, 0.0) / interval_s,
            sent_bytes_per_s=sent.get(operation, 0.0) / interval_s,
        )
        for operation, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def _tiers(grown: Samples, now: Samples, interval_s: float) -> list[TierRate]:
    hits = _by(grown, "zerohop_worker_hits_total", "tier")
    misses = _by(grown, "zerohop_worker_misses_total", "tier")
    evictions = _by(grown, "zerohop_worker_evictions_total", "tier")
    used = _by(now, "zerohop_worker_tier_used_bytes", "tier")
    return [
        TierRate(
            tier=tier,
            capacity_bytes=capacity,
            used_bytes=used.get(tier, 0.0),
            hits_per_s=hits.get(tier, 0.0) / interval_s,
            hit_ratio=_ratio(hits.get(tier, 0.0), misses.get(tier, 0.0)),
            evictions_per_s=evictions.get(tier, 0.0) / interval_s,
        )
        for tier, capacity in _by(now, "zerohop_worker_tier_capacity_bytes", "tier").items()
    ]


def _by(samples: Samples, name: str, label: str) -> dict[str, float]:
    return {dict(labels)[label]: value for (found, labels), value in samples.items() if found == name}


def _ratio(hits: float, misses: float) -> float | None:
    return hits / (hits + misses) if hits + misses else None


def quantile(buckets: Iterable[tuple[float, float]], share: float) -> float | None:
    """The value below which `share` of the observations lie, from (greatest value, how many up to it).

    As Prometheus does it: evenly spread within a bucket, and beyond the last bound nothing is known but the bound.
    """
    ordered = sorted(buckets)
    if not ordered or ordered[-1][1] <= 0:
        return None
    wanted = ordered[-1][1] * share
    lower_bound = lower_count = 0.0
    for bound, count in ordered:
        if count >= wanted and count > lower_count:
            if bound == float("inf"):
                return lower_bound
            return lower_bound + (bound - lower_bound) * (wanted - lower_count) / (count - lower_count)
        lower_bound, lower_count = bound, count
    return lower_bound

"""What the proxy exposes: its requests, its connections, its view of the cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.registry import Collector

from zerohop.client.cluster import ClusterClient
from zerohop.metrics import counter, counters, gauge, histograms
from zerohop_proxy.funnel import Funnel
from zerohop_proxy.server import S3Server

__all__ = ["ProxyMetrics"]


class ProxyMetrics(Collector):
    """One proxy's collector, and its readiness."""

    def __init__(
        self, funnel: Funnel, server: S3Server, cluster: ClusterClient, monotonic_s: Callable[[], float]
    ) -> None:
        self._funnel = funnel
        self._server = server
        self._cluster = cluster
        self._monotonic_s = monotonic_s

    @property
    def _view_age_s(self) -> float:
        return max(0.0, self._monotonic_s() - self._cluster.view_taken_s)

    async def unready(self) -> Sequence[str]:
        """Why this proxy had better not get requests now."""
        reasons = []
        if not self._server.is_accepting:
            reasons.append("connections are not accepted")
        if self._view_age_s > self._cluster.view.settings.lost_after_s:
            reasons.append(f"nothing was heard of the master for {self._view_age_s:.1f} s")
        return reasons

    def collect(self) -> Iterator[Metric]:
        """All of it."""
        yield from self._of_requests()
        yield counters(
            "zerohop_proxy_object_reads_total",
            "Answers with bytes of an object, by where these came from (of several, joined by +).",
            ("source",),
            [((source,), count) for source, count in self._funnel.numbers.sources.items()],
        )
        yield counter(
            "zerohop_proxy_slow_requests_total",
            "Requests that took longer than slow_request_s.",
            self._funnel.numbers.slow,
        )
        yield gauge("zerohop_proxy_requests_in_flight", "Requests being worked on.", self._funnel.in_flight)
        yield gauge(
            "zerohop_proxy_buffered_bytes",
            "Bytes of bodies that requests hold in memory.",
            self._funnel.buffered_bytes,
        )
        yield gauge("zerohop_proxy_connections", "Connections of clients.", self._server.connection_count)
        yield counter(
            "zerohop_proxy_connections_accepted_total", "Connections accepted.", self._server.accepted_count
        )
        yield counter(
            "zerohop_proxy_connections_refused_total",
            "Connections answered 503 because there were too many.",
            self._server.refused_count,
        )
        yield gauge(
            "zerohop_proxy_view_age_seconds",
            "Since when nothing was heard of the master.",
            self._view_age_s,
        )
        blocks = self._cluster.blocks
        yield gauge("zerohop_proxy_lent_blocks", "Blocks whose descriptors are kept.", blocks.cached_count)
        yield gauge("zerohop_proxy_lent_bytes", "Bytes of these blocks.", blocks.cached_bytes)
        known = self._cluster.known
        yield gauge("zerohop_proxy_known_objects", "Answers of lookups that are kept.", len(known))
        yield gauge("zerohop_proxy_known_bytes", "Bytes of these answers.", known.size_bytes)
        yield counter("zerohop_proxy_known_hits_total", "Lookups that were answered from those.", known.hits)
        yield counter("zerohop_proxy_known_misses_total", "Lookups that the master was asked.", known.misses)
        hedging = self._cluster.workers.hedging
        yield counter(
            "zerohop_proxy_hedges_total",
            "Reads that were asked of a second worker, because the first was slow.",
            hedging.hedges,
        )
        yield counter(
            "zerohop_proxy_hedges_won_total", "Of these, reads that the second worker served.", hedging.wins
        )

    def _of_requests(self) -> Iterator[Metric]:
        numbers = self._funnel.numbers
        yield counters(
            "zerohop_proxy_requests_total",
            "Requests, by operation and status of the answer (0: cut before there was one).",
            ("operation", "status"),
            [
                ((operation, str(status)), count)
                for operation, found in numbers.items()
                for status, count in found.statuses.items()
            ],
        )
        yield histograms(
            "zerohop_proxy_request_seconds",
            "Time from a request's head to the end of its answer.",
            "operation",
            {operation: found.seconds for operation, found in numbers.items()},
        )
        yield histograms(
            "zerohop_proxy_first_byte_seconds",
            "Time from a request's head to the first byte of its answer.",
            "operation",
            {operation: found.first_byte for operation, found in numbers.items()},
        )
        for name, doc, values in (
            ("received", "Bytes of bodies received.", {key: one.bytes_in for key, one in numbers.items()}),
            ("sent", "Bytes of bodies sent.", {key: one.bytes_out for key, one in numbers.items()}),
        ):
            yield counters(
                f"zerohop_proxy_{name}_bytes_total",
                doc,
                ("operation",),
                [((operation,), size_bytes) for operation, size_bytes in values.items()],
            )

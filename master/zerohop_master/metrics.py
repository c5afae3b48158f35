"""What the master exposes: its store, the namespace operations, the members of the cluster, the housekeeping."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from prometheus_client import Metric
from prometheus_client.registry import Collector

from zerohop.errors import ZerohopError
from zerohop.metrics import Calls, counter, counters, gauge, gauges
from zerohop.rpc.message import Request
from zerohop_master import keys
from zerohop_master.cluster import Cluster
from zerohop_master.housekeeping import Housekeeping
from zerohop_master.kv.interface import KeyValueStore
from zerohop_master.workers import Workers

__all__ = ["MasterMetrics"]

_MAX_PENDING: Final = 10_000
"""Pending deletions are counted no further: a scrape must not hold up the master."""


class MasterMetrics(Collector):
    """One master's collector, and its readiness. `calls` are those that its server answers."""

    def __init__(
        self,
        store: KeyValueStore,
        workers: Workers,
        cluster: Cluster,
        housekeeping: Housekeeping,
        calls: Calls,
    ) -> None:
        self._store = store
        self._workers = workers
        self._cluster = cluster
        self._housekeeping = housekeeping
        self._calls = calls
        self._pending_deletions = 0

    async def prepare(self) -> None:
        """Reads what only the store knows. It stays at what it was when the store does not answer."""
        start, end = keys.span(keys.DELETIONS)
        try:
            self._pending_deletions = len(await self._store.scan(start, end, limit=_MAX_PENDING))
        except ZerohopError:
            return

    async def unready(self) -> Sequence[str]:
        """Why this master cannot do its work: no store, or nobody known to do the housekeeping."""
        reasons = []
        try:
            await self._store.get([keys.USERS_GENERATION])
        except ZerohopError as error:
            reasons.append(f"the metadata store does not answer: {error.message}")
        if not self._housekeeping.is_settled:
            reasons.append("the housekeeping lease is not taken yet, by this master or another one")
        return reasons

    def collect(self) -> Iterator[Metric]:
        """All of it."""
        yield from self._of_store()
        yield counters(
            "zerohop_master_namespace_operations_total",
            "Operations on buckets, objects and uploads that were asked for, whatever became of them.",
            ("operation",),
            [
                ((calls.name,), calls.seconds.count)
                for request_class, calls in self._calls.items()
                if _is_of_namespace(request_class)
            ],
        )
        yield from self._of_members()
        yield from self._of_housekeeping()

    def _of_store(self) -> Iterator[Metric]:
        counted = self._store.counters
        prefix = "zerohop_master_kv"
        yield counter(
            f"{prefix}_commits_total", "Commits carried out by the metadata store.", counted.commits
        )
        yield counter(
            f"{prefix}_commit_groups_total", "Groups that they were made durable in.", counted.groups
        )
        yield counter(
            f"{prefix}_conflicts_total", "Commits whose conditions did not hold.", counted.conflicts
        )
        yield counter(f"{prefix}_rows_read_total", "Rows read.", counted.rows_read)
        yield counter(f"{prefix}_seeks_total", "Positions in the order of the keys looked up.", counted.seeks)

    def _of_members(self) -> Iterator[Metric]:
        found = Counter("live" if worker.live else "lost" for worker in self._workers.membership.workers())
        yield gauges(
            "zerohop_master_workers",
            "Workers, by whether they are heard; those that left in an orderly way count as lost.",
            ("state",),
            [((state,), found[state]) for state in ("live", "lost")],
        )
        readers = self._cluster.readers.proxies()
        proxies = sum(bool(reader.address) for reader in readers)
        yield gauges(
            "zerohop_master_readers",
            "Proxies, and other clients that read, that are heard.",
            ("kind",),
            [(("proxy",), proxies), (("client",), len(readers) - proxies)],
        )

    def _of_housekeeping(self) -> Iterator[Metric]:
        done = self._housekeeping.done
        yield gauge(
            "zerohop_master_housekeeping",
            "1 while this master holds the lease and does the housekeeping.",
            self._housekeeping.is_holding,
        )
        yield counter(
            "zerohop_master_collected_total", "Due deletions that the collector dealt with.", done.collected
        )
        yield counter(
            "zerohop_master_sweeps_total", "Sweeps of all workers that were completed.", done.sweeps
        )
        yield counter("zerohop_master_orphans_total", "Orphaned contents that sweeps deleted.", done.orphans)
        yield counter("zerohop_master_upkeep_total", "Pieces of background work that were done.", done.upkeep)
        yield gauge(
            "zerohop_master_pending_deletions",
            "Contents that wait for their deletion, counted up to 10,000.",
            self._pending_deletions,
        )


def _is_of_namespace(request_class: type[Request[Any]]) -> bool:
    """Requests about the content of the cluster name a bucket, or list all buckets."""
    return "bucket" in request_class.__struct_fields__ or request_class.__name__ == "ListBuckets"

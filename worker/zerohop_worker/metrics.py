"""What the worker exposes: its tiers, what they served, its under-store, what it still owes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import monotonic

from prometheus_client import Metric
from prometheus_client.registry import Collector

from zerohop.metrics import counter, counters, gauge, gauges, histograms
from zerohop_worker.membership import Membership
from zerohop_worker.origin import PEER, UNDER
from zerohop_worker.understore.metered import UnderStoreNumbers
from zerohop_worker.worker import Worker

__all__ = ["WorkerMetrics"]


class WorkerMetrics(Collector):
    """One worker's collector, and its readiness."""

    def __init__(self, worker: Worker, membership: Membership, under_store: UnderStoreNumbers) -> None:
        self._worker = worker
        self._membership = membership
        self._under_store = under_store

    def collect(self) -> Iterator[Metric]:
        """All of it."""
        yield from self._of_reads()
        yield from self._of_tiers()
        yield from self._of_under_store()
        worker = self._worker
        yield gauge(
            "zerohop_worker_unpersisted_contents",
            "Contents that this worker answers for, and that are not in the under-store.",
            len(worker.contents.held),
        )
        yield gauge(
            "zerohop_worker_persist_queue",
            "Contents that wait to be brought to the under-store, or are on their way.",
            worker.persister.queue_length,
        )
        yield counter(
            "zerohop_worker_corrupt_blocks_total",
            "Cached blocks that were found damaged, and dropped.",
            worker.store.corrupt_blocks,
        )
        yield gauge(
            "zerohop_worker_writes_in_flight", "Contents being written.", len(worker.contents.writing)
        )
        yield counter(
            "zerohop_worker_corrupt_streams_total",
            "Streams from other workers that did not match their checksums, and were refused.",
            worker.peers.corrupt_streams,
        )
        yield counter(
            "zerohop_worker_hedges_total",
            "Blocks asked of the under-store too, because the worker that they belong to was slow.",
            worker.peers.hedging.hedges,
        )
        yield counter(
            "zerohop_worker_hedges_won_total",
            "Of these, blocks that the under-store gave.",
            worker.peers.hedging.wins,
        )

    def _of_reads(self) -> Iterator[Metric]:
        hits = self._worker.store.hits
        order = list(self._worker.store.index.tiers)
        elsewhere = sum(count for source, count in hits.items() if source not in order)
        misses = {
            tier: sum(hits[slower] for slower in order[position + 1 :]) + elsewhere
            for position, tier in enumerate(order)
        }
        yield counters(
            "zerohop_worker_hits_total",
            "Uses of blocks that were in the tier.",
            ("tier",),
            [((tier,), hits[tier]) for tier in order],
        )
        yield counters(
            "zerohop_worker_misses_total",
            "Uses of blocks that were not in the tier, nor in a faster one.",
            ("tier",),
            [((tier,), count) for tier, count in misses.items()],
        )
        yield counters(
            "zerohop_worker_fetches_total",
            "Uses of blocks that were in no tier, by where they were fetched: UNDER, or PEER for another worker.",
            ("source",),
            [((source,), hits[source]) for source in (UNDER, PEER)],
        )

    def _of_tiers(self) -> Iterator[Metric]:
        index = self._worker.store.index
        uses = index.uses()
        tiers = [(use.name,) for use in uses]
        for name, doc, values in (
            ("capacity", "Bytes that the tier may hold.", [use.quota_bytes for use in uses]),
            ("used", "Bytes of blocks in the tier.", [use.used_bytes for use in uses]),
            ("lent", "Bytes of evicted blocks whose descriptors are out.", [use.lent_bytes for use in uses]),
            ("pinned", "Bytes of pinned blocks.", [use.pinned_bytes for use in uses]),
        ):
            yield gauges(f"zerohop_worker_tier_{name}_bytes", doc, ("tier",), zip(tiers, values, strict=True))
        yield gauges(
            "zerohop_worker_tier_blocks",
            "Blocks in the tier.",
            ("tier",),
            [((use.name,), use.block_count) for use in uses],
        )
        yield counters(
            "zerohop_worker_evictions_total",
            "Blocks that had to leave the tier.",
            ("tier",),
            [((tier,), index.evicted[tier]) for tier in index.tiers],
        )
        yield counter("zerohop_worker_promotions_total", "Blocks copied to a faster tier.", index.promotions)
        yield counter("zerohop_worker_demotions_total", "Blocks moved to a slower tier.", index.demotions)

    def _of_under_store(self) -> Iterator[Metric]:
        numbers = self._under_store
        yield counter(
            "zerohop_worker_under_store_read_bytes_total",
            "Bytes read from the under-store.",
            numbers.read_bytes,
        )
        yield counter(
            "zerohop_worker_under_store_written_bytes_total",
            "Bytes written to the under-store.",
            numbers.written_bytes,
        )
        yield histograms(
            "zerohop_worker_under_store_seconds",
            "Time spent in the under-store, by operation (read, write, stat, delete, list).",
            "operation",
            numbers.seconds,
        )
        yield counters(
            "zerohop_worker_under_store_errors_total",
            "Operations that the under-store failed.",
            ("operation",),
            [((operation,), numbers.errors[operation]) for operation in numbers.seconds],
        )

    async def unready(self) -> Sequence[str]:
        """Why the worker is of no use to the cluster now."""
        if not self._membership.registered.is_set():
            return ["not registered with a master"]
        silent_s = monotonic() - self._membership.heard_s
        if silent_s > self._membership.lost_after_s:
            return [f"the master has not answered for {silent_s:.1f} s"]
        return []

"""Keeps the rules: pins on workers that have started anew, and all of them now and then."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable

from zerohop.errors import ZerohopError
from zerohop.model import ADMIN, BucketRecord
from zerohop.rpc.master_api import JobInfo
from zerohop_master import keys
from zerohop_master.jobs.cluster_calls import ClusterCalls
from zerohop_master.jobs.copies import Placement, all_buckets
from zerohop_master.jobs.lifetimes import Lifetimes
from zerohop_master.jobs.options import copies_of, lifetime_of
from zerohop_master.jobs.pinning import Pinning
from zerohop_master.jobs.rules import all_rules
from zerohop_master.jobs.running import RunningJob
from zerohop_master.namespace import Namespace
from zerohop_master.rows import JOB, JobRow, RuleRow
from zerohop_master.transaction import Transaction, commit_internally

__all__ = ["RuleKeeper"]

_log = logging.getLogger(__name__)


class RuleKeeper:
    """`on_job` is called when a job was written that is to run."""

    def __init__(
        self, namespace: Namespace, calls: ClusterCalls, pinning: Pinning, is_holding: Callable[[], bool]
    ) -> None:
        self.copies = Placement(namespace, calls)
        self.on_job: Callable[[], None] = lambda: None
        self._namespace = namespace
        self._calls = calls
        self._pinning = pinning
        self._lifetimes = Lifetimes(namespace, calls)
        self._is_holding = is_holding
        self._told: dict[str, bytes] = {}  # sessions by worker, that know all pins
        self._known: set[str] | None = None  # workers that were ever seen

    async def look(self) -> None:
        """Tells workers in new sessions what is pinned. One that was never seen gets what belongs to it now."""
        if not self._is_holding():
            return
        workers = self._calls.look()
        live = {worker.worker_id: worker.session for worker in workers}
        new = {one: session for one, session in live.items() if self._told.get(one) != session}
        if new:
            async for bucket, rule in self._rules():
                if rule.kind == "pin":
                    await self._pin(bucket, rule, list(new))
            self._told = {one: session for one, session in self._told.items() if one in live} | new
        if self._known is None:
            self._known = set(live)  # who joined while no master ran is not told from who was there before
        joined = live.keys() - self._known
        self._known |= joined
        filled = {worker.worker_id for worker in workers if any(tier.used_bytes for tier in worker.tiers)}
        for worker_id in sorted(joined):
            if filled - {worker_id}:
                await self._start_rebalance(worker_id)

    async def _start_rebalance(self, worker_id: str) -> None:
        now_ms, job_id = self._namespace.now_ms(), self._namespace.new_id()
        job = JobInfo(
            job_id=job_id.hex(),
            kind="rebalance",
            created_ms=now_ms,
            updated_ms=now_ms,
            options={"worker": worker_id},
        )
        row = JobRow(job=job, key="", recursive=True, user=ADMIN.user, admin=True)

        async def body(transaction: Transaction) -> None:
            transaction.put(keys.job(job_id), JOB.encode(row))

        await commit_internally(self._namespace.store, body)
        self.on_job()

    async def sweep(self) -> None:
        """Carries out all rules once."""
        if not self._is_holding() or not self._calls.look():
            return
        async for bucket, rule in self._rules():
            try:
                await self._apply(bucket, rule)
            except ZerohopError as error:
                _log.warning("the %s rule of /%s/%s waits: %s", rule.kind, bucket.name, rule.key, error)

    async def _apply(self, bucket: BucketRecord, rule: RuleRow) -> None:
        if rule.kind == "pin":
            await self._pin(bucket, rule, None)
        elif rule.kind == "ttl":
            await self._lifetimes.apply(bucket, rule)
        else:
            await self.copies.apply(bucket, rule)

    async def _pin(self, bucket: BucketRecord, rule: RuleRow, workers: list[str] | None) -> None:
        try:
            await self._pinning.apply(bucket, rule, workers)
        except ZerohopError as error:
            _log.warning("what is pinned below /%s/%s is not kept: %s", bucket.name, rule.key, error)

    async def _rules(self) -> AsyncIterator[tuple[BucketRecord, RuleRow]]:
        """All rules with their buckets; those of buckets that are gone are removed."""
        found = await all_rules(self._namespace)
        if not found:
            return
        left = set(found)
        async for bucket in all_buckets(self._namespace):
            left.discard(bucket.bucket_id)
            for rule in found.get(bucket.bucket_id, ()):
                yield bucket, rule
        for bucket_id in left:
            await self._forget(bucket_id)

    async def _forget(self, bucket_id: bytes) -> None:
        start, end = keys.span(keys.rules_of(bucket_id))

        async def body(transaction: Transaction) -> None:
            for row in await transaction.scan(start, end, limit=1000):
                transaction.delete(row.key)

        await commit_internally(self._namespace.store, body)

    # ------------------------------------------------------------------------------------------------- jobs

    async def run_lifetimes(self, job: RunningJob) -> None:
        """A job that has set a time to live: carries it out on what is due at once."""
        assert job.bucket is not None
        wanted = lifetime_of(job.row.job.options)
        if wanted.ttl_s:
            rule = RuleRow(
                kind="ttl",
                key=job.row.key,
                recursive=job.row.recursive,
                since_ms=job.row.job.created_ms,
                ttl_s=wanted.ttl_s,
                action=wanted.action,
            )
            await self._lifetimes.apply(job.bucket, rule, job)

    async def run_copies(self, job: RunningJob) -> None:
        """A job that has set numbers of copies."""
        assert job.bucket is not None
        wanted = copies_of(job.row.job.options)
        if wanted.least or wanted.most:
            rule = RuleRow(
                kind="copies",
                key=job.row.key,
                recursive=job.row.recursive,
                since_ms=job.row.job.created_ms,
                min_copies=wanted.least,
                max_copies=wanted.most,
            )
            await self.copies.apply(job.bucket, rule, job)

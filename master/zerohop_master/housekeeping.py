"""The background jobs of a master, one master at a time: whoever holds the lease does them."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from zerohop.clock import Clock
from zerohop.errors import LeaseLost, NoWorker, TransportError, UnderStoreFailed
from zerohop_master.cluster import Cluster
from zerohop_master.collector import Collector
from zerohop_master.kv.interface import Lease
from zerohop_master.namespace import Namespace
from zerohop_master.sweep import Sweep
from zerohop_master.upkeep import Upkeep
from zerohop_master.worker_calls import ContentStore
from zerohop_master.workers import Workers

__all__ = ["Housekeeping"]

_log = logging.getLogger(__name__)
_LEASE: Final = "housekeeping"
_LEASE_TTL_S: Final = 60.0
_MAX_BATCHES: Final = 100
"""Of one job in one run: then the others get their turn, and the lease is renewed."""


@dataclass(slots=True)
class _Done:
    """Work done by this life of the process."""

    collected: int = 0
    sweeps: int = 0
    orphans: int = 0
    upkeep: int = 0


class Housekeeping:
    """Entry points for the timers of the process. Each renews the lease first, and does nothing without it."""

    def __init__(
        self,
        namespace: Namespace,
        workers: Workers,
        cluster: Cluster,
        calls: ContentStore,
        clock: Clock,
        *,
        grace_s: float,
    ) -> None:
        self._namespace = namespace
        self._workers = workers
        self._cluster = cluster
        self._calls = calls
        self._clock = clock
        self._holder = f"{os.getpid()}-{os.urandom(4).hex()}"  # names one life of a process
        self._collector = Collector(namespace, calls, grace_s)
        self._sweep = Sweep(namespace, calls)
        self._upkeep = Upkeep(namespace)
        self.done = _Done()
        self.is_settled = False
        """Whether somebody is known to do the housekeeping: this master, or whoever had the lease when it asked."""
        self._held: Lease | None = None
        self._renew_at_s = 0.0

    @property
    def is_holding(self) -> bool:
        """Whether this master does the housekeeping."""
        return self._held is not None

    async def expire(self) -> None:
        """Gives up workers and readers that were silent for too long, and looks at what the next views are to tell."""
        self._cluster.expire()
        await self._cluster.look_at_mounts()
        await self._calls.forget_all_but(self._workers.membership.live())

    async def collect(self) -> None:
        """Does the work that is due, then deletes the contents that are."""
        lease = await self.lease()
        if lease is None:
            return
        with self._giving_up_a_lost_lease():
            await self._collect(lease)

    async def _collect(self, lease: Lease) -> None:
        for _ in range(_MAX_BATCHES):
            if not (done := await self._upkeep.run_once(lease, self._namespace.now_ms())):
                break
            self.done.upkeep += done
        for _ in range(_MAX_BATCHES):
            live = self._workers.membership.live()
            now_ms, oldest_read_ms = self._namespace.now_ms(), self._cluster.oldest_read_ms()
            if not (done := await self._collector.run_once(lease, now_ms, oldest_read_ms, live)):
                break
            self.done.collected += done

    async def sweep(self) -> None:
        """Removes orphans and old results; a worker that cannot be asked is passed over."""
        lease = await self.lease()
        if lease is None:
            return
        with self._giving_up_a_lost_lease():
            await self._sweep_all(lease)

    async def _sweep_all(self, lease: Lease) -> None:
        await self._sweep.drop_results(lease, self._namespace.now_ms(), self._clock.monotonic_s())
        is_complete = True
        for worker in self._workers.membership.live():
            live = self._workers.membership.live()
            try:
                self.done.orphans += await self._sweep.sweep_worker(lease, worker, live)
            except (TransportError, NoWorker, UnderStoreFailed) as error:
                # It was lost meanwhile, or hangs: that must not keep the others from being swept.
                _log.info("worker %s could not be swept, the next sweep will: %s", worker.worker_id, error)
                is_complete = False
        self.done.sweeps += is_complete

    async def lease(self) -> Lease | None:
        """The lease, renewed by a commit only when a third of its time is over: an idle cluster should not write.

        One that was lost in between is found out by the first commit that depends on it.
        """
        now_s = self._clock.monotonic_s()
        if self._held is None or now_s >= self._renew_at_s:
            self._held = None
            try:
                self._held = await self._namespace.store.lease(_LEASE, self._holder, _LEASE_TTL_S)
            except LeaseLost:
                self.is_settled = True
                return None
            self.is_settled = True
            self._renew_at_s = now_s + _LEASE_TTL_S / 3
        return self._held

    @contextlib.contextmanager
    def _giving_up_a_lost_lease(self) -> Iterator[None]:
        try:
            yield
        except LeaseLost:
            self._held = None
            _log.info("another master does the housekeeping now")

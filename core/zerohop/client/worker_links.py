"""The ways to the workers: one RPC client each, and which of them are on this host or better left alone for now."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from zerohop.client.hedging import Hedging
from zerohop.client.placement import block_key, read_order, write_order
from zerohop.errors import NoWorker, PeerUnavailable
from zerohop.host import host_id
from zerohop.model import WorkerInfo
from zerohop.rpc.client import RpcClient

__all__ = ["Refresh", "WorkerLinks", "address_for"]

_log = logging.getLogger(__name__)

_AVOID_S = 3.0
"""How long a worker that could not be reached comes last: until the master declares it lost, or it is back."""


class Refresh(Protocol):
    """Takes a fresh view of the cluster, which ends in `WorkerLinks.update`."""

    def __call__(self) -> Awaitable[None]: ...


def address_for(worker: WorkerInfo, own_host_id: str) -> str:
    """The RPC address to use: the Unix socket if it is on this host and there, else the one for other hosts."""
    if worker.host_id == own_host_id and worker.unix_address:
        path = worker.unix_address.removeprefix("unix:")
        if Path(path).exists() or not worker.address:
            return worker.unix_address
    return worker.address


class WorkerLinks:
    """Knows the live workers of the last view. `update` is called with each new one.

    Invariant: a client in `_clients` is for the address in `_addresses`; one whose worker has gone or moved is closed.
    """

    def __init__(
        self,
        *,
        name: str,
        cluster_secret: str | None,
        ssl_context: ssl.SSLContext | None,
        own_host_id: str = "",
    ) -> None:
        self.name = name
        self.own_host_id = host_id(own_host_id)
        self._secret = cluster_secret
        self._ssl = ssl_context
        self._workers: tuple[WorkerInfo, ...] = ()
        self._local: frozenset[str] = frozenset()
        self._clients: dict[str, RpcClient] = {}
        self._addresses: dict[str, str] = {}
        self._avoided: dict[str, float] = {}  # worker id -> until, in loop.time()
        self._closing: set[asyncio.Task[None]] = set()
        self.hedging = Hedging()
        self.refresh: Refresh | None = None
        self.on_update: Callable[[Collection[WorkerInfo]], None] | None = None

    def update(self, workers: Sequence[WorkerInfo]) -> None:
        """Takes the live workers of a new view."""
        if self._workers == workers:
            return
        own = self.own_host_id
        known = {worker.worker_id: worker.session for worker in self._workers}
        self._workers = tuple(worker for worker in workers if worker.live)
        self._tell_changes(known)
        self.hedging.keep({worker.worker_id for worker in self._workers})
        self._local = frozenset(
            worker.worker_id for worker in self._workers if worker.host_id == own and worker.descriptor_path
        )
        self._addresses = {worker.worker_id: address_for(worker, own) for worker in self._workers}
        for worker_id, client in list(self._clients.items()):
            if str(client.address) != self._addresses.get(worker_id):
                del self._clients[worker_id]
                self._close_later(client)
        if self.on_update is not None:
            self.on_update(self._workers)

    def _tell_changes(self, known: Mapping[str, bytes]) -> None:
        """Also of a worker that was restarted between two views, which none of them shows as gone."""
        live = {worker.worker_id: worker.session for worker in self._workers}
        for worker_id in sorted(live):
            if worker_id not in known:
                _log.info("worker %s is live", worker_id)
            elif live[worker_id] != known[worker_id]:
                _log.info("worker %s is live again, in a new session", worker_id)
        for worker_id in sorted(known.keys() - live.keys()):
            _log.info("worker %s is no longer live", worker_id)

    @property
    def all(self) -> tuple[WorkerInfo, ...]:
        """All live workers."""
        return self._workers

    @property
    def local(self) -> frozenset[str]:
        """Ids of the workers that may pass us descriptors."""
        return self._local

    def for_read(self, content: bytes, index: int, holders: Collection[str]) -> list[WorkerInfo]:
        """Workers to ask for a block, best first."""
        return read_order(
            self._workers,
            block_key(content, index),
            local=self._local,
            holders=holders,
            avoid=self.avoided(),
        )

    def for_write(self, token: bytes) -> list[WorkerInfo]:
        """Workers to offer a content, best first."""
        local = [worker.worker_id for worker in self._workers if worker.host_id == self.own_host_id]
        return write_order(self._workers, token, local=local, avoid=self.avoided())

    def client(self, worker_id: str) -> RpcClient:
        """The RPC client of a worker of the view. Raises PeerUnavailable if it has gone."""
        client = self._clients.get(worker_id)
        if client is None:
            address = self._addresses.get(worker_id)
            if not address:
                raise PeerUnavailable(
                    f"worker {worker_id} has left the cluster, or cannot be reached from this host"
                )
            client = self._clients[worker_id] = RpcClient(
                address, name=self.name, cluster_secret=self._secret, ssl_context=self._ssl
            )
        return client

    def avoid(self, worker_id: str, for_s: float = _AVOID_S) -> None:
        """The worker could not be reached, or is slow: others come first for a few seconds."""
        until_s = asyncio.get_running_loop().time() + for_s
        self._avoided[worker_id] = max(until_s, self._avoided.get(worker_id, 0.0))

    def avoided(self) -> Collection[str]:
        """Ids of the workers that come last for now."""
        if self._avoided:
            now = asyncio.get_running_loop().time()
            self._avoided = {worker_id: until for worker_id, until in self._avoided.items() if until > now}
        return self._avoided.keys()

    async def fresh(self, order: Callable[[], list[WorkerInfo]]) -> list[WorkerInfo]:
        """What `order` gives; if that is nothing, once more after asking the master. Raises NoWorker."""
        workers = order()
        if not workers and self.refresh is not None:
            await self.refresh()
            workers = order()
        if not workers:
            raise NoWorker("no worker is registered with the master: start one, or wait until it is back")
        return workers

    def _close_later(self, client: RpcClient) -> None:
        task = asyncio.create_task(client.close(), name=f"close {client.address}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Closes all connections."""
        clients, self._clients = list(self._clients.values()), {}
        self._addresses = {}
        await asyncio.gather(*(client.close() for client in clients), *self._closing)

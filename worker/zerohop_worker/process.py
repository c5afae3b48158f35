"""The worker process: identity, tiers, sockets, membership; drains when it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import zerohop
from zerohop.admin_port import AdminPort, admin_port
from zerohop.client.master_link import MasterLink
from zerohop.clock import Clock, SystemClock
from zerohop.config import WorkerConfig, resolve
from zerohop.host import host_id
from zerohop.metrics import CallsCollector
from zerohop.rpc.address import Address
from zerohop.rpc.descriptors import DescriptorServer
from zerohop.rpc.master_api import RegisterWorker
from zerohop.rpc.server import RpcServer
from zerohop.rpc.tls import rpc_client_tls, rpc_server_tls
from zerohop_worker.identity import Identity
from zerohop_worker.membership import Membership
from zerohop_worker.metrics import WorkerMetrics
from zerohop_worker.understore.folder import FolderStore
from zerohop_worker.understore.metered import MeteredStore, UnderStoreNumbers
from zerohop_worker.worker import Worker

__all__ = ["run"]

_log = logging.getLogger(__name__)
_DRAIN_CALLS_S: Final = 10.0
"""How long writes and reads in flight may go on after the stop."""

_DRAIN_PERSIST_S: Final = 10.0
"""How long unpersisted contents are brought to the under-store after that; a restart goes on with the rest."""


async def run(
    config: WorkerConfig, *, ready: Callable[[str], None], stop: asyncio.Event, clock: Clock | None = None
) -> None:
    """Serves until `stop` is set. `ready` is called once, with the first address, when the worker is registered.

    Raises ConfigError, DataFolderInUse, UnderStoreFailed.
    """
    config = resolve(config)
    clock = clock or SystemClock()
    identity = Identity(Path(config.data_dir))
    try:
        under_store = MeteredStore(FolderStore(Path(config.under_store), identity.worker_id))
        under_store_id = await under_store.start()
        worker = Worker(config, identity.worker_id, under_store, clock)
        await worker.start()
        try:
            async with admin_port("worker", config.admin_listen) as admin:
                await _serve(config, worker, under_store_id, admin, under_store.numbers, ready, stop)
        finally:
            await worker.stop(drain_s=_DRAIN_PERSIST_S)
    finally:
        identity.close()


async def _serve(
    config: WorkerConfig,
    worker: Worker,
    under_store_id: str,
    admin: AdminPort,
    numbers: UnderStoreNumbers,
    ready: Callable[[str], None],
    stop: asyncio.Event,
) -> None:
    async with _listening(config, worker) as (server, descriptors):
        addresses = server.addresses
        registration = RegisterWorker(
            worker_id=worker.worker_id,
            host_id=host_id(config.host_id),
            address=next((str(item) for item in addresses if not item.is_unix), ""),
            unix_address=next((str(item) for item in addresses if item.is_unix), ""),
            descriptor_path=descriptors.path,
            version=zerohop.__version__,
            under_store_id=under_store_id,
            tiers=worker.store.index.uses(),
            admin_address=admin.address,
        )
        master = MasterLink(
            config.master,
            name=f"worker {worker.worker_id}",
            cluster_secret=config.cluster_secret or None,
            ssl_context=rpc_client_tls(config),
        )
        membership = Membership(
            master, registration, worker.contents, worker.under_store, worker.store.index.uses, worker.see
        )
        worker.mounts.attach(master)
        membership.on_session = worker.mounts.registry.drop_all
        worker.on_persisted = membership.persisted
        worker.peers.look = membership.look
        worker.replication.tell_holders = membership.tell_holders
        metrics = WorkerMetrics(worker, membership, numbers)
        admin.add(CallsCollector(server.calls, descriptors.calls), metrics)
        admin.on_readiness(metrics.unready)
        beating = asyncio.create_task(membership.run())
        try:
            await _first(membership.registered.wait(), stop.wait(), beating)
            if membership.registered.is_set():
                ready(str(addresses[0]))
                await _first(stop.wait(), beating)
                _log.info("draining")
                admin.begin_drain()
                if worker.peers.has_others:
                    await membership.retire()
            await server.close(drain_s=_DRAIN_CALLS_S)
            await worker.persister.drain(_DRAIN_PERSIST_S)
        finally:
            beating.cancel()
            await asyncio.wait((beating,))
            await membership.leave()
            await master.close()


async def _first(*events: Coroutine[Any, Any, object] | asyncio.Task[None]) -> None:
    """Returns when one of them has come. Raises what a task among them raised."""
    tasks = [item if isinstance(item, asyncio.Task) else asyncio.create_task(item) for item in events]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task, item in zip(tasks, events, strict=True):
            if task is not item:
                task.cancel()


@contextlib.asynccontextmanager
async def _listening(
    config: WorkerConfig, worker: Worker
) -> AsyncIterator[tuple[RpcServer, DescriptorServer]]:
    """The sockets: those of the configuration, and for processes of this host two Unix sockets in `socket_dir`."""
    socket_dir = Path(config.socket_dir)
    socket_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # noqa: ASYNC240 - once, before anything runs
    server = RpcServer(
        f"worker {worker.worker_id}",
        config.cluster_secret or None,
        ssl_context=rpc_server_tls(config),
        plaintext_allowed=config.rpc_plaintext,
    )
    descriptors = DescriptorServer(
        str(socket_dir / "blocks.sock"), name=server.name, on_lost=worker.lending.holder_lost
    )
    worker.service.serve(server)
    worker.mounts.serve(server)
    worker.cache_jobs.serve(server)
    worker.lending.serve(descriptors)
    try:
        for address in config.listen:
            await server.listen(address)
        if not any(address.is_unix for address in server.addresses):
            await server.listen(Address.unix(socket_dir / "worker.sock"))
        await descriptors.listen()
        yield server, descriptors
    finally:
        await descriptors.close()
        await server.close()

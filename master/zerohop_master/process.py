"""The master process: opens the store, answers calls, runs the background jobs, drains when it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from zerohop.admin_port import admin_port
from zerohop.clock import Clock, SystemClock
from zerohop.config import MasterConfig
from zerohop.errors import ConfigError
from zerohop.host import host_id
from zerohop.metrics import CallsCollector
from zerohop.model import ClusterSettings
from zerohop.rpc.server import RpcServer
from zerohop.rpc.tls import rpc_client_tls, rpc_server_tls
from zerohop.tasks import TaskGroup
from zerohop_master import keys
from zerohop_master.api import register_handlers
from zerohop_master.cluster import Cluster
from zerohop_master.declared_mounts import DeclaredMounts
from zerohop_master.housekeeping import Housekeeping
from zerohop_master.jobs.cluster_calls import ClusterCalls
from zerohop_master.jobs.service import Jobs
from zerohop_master.kv.interface import KeyValueStore
from zerohop_master.kv.memory import MemoryStore
from zerohop_master.kv.sqlite import SqliteStore
from zerohop_master.metrics import MasterMetrics
from zerohop_master.mounts import Mounts
from zerohop_master.namespace import Namespace
from zerohop_master.secret_box import SecretBox
from zerohop_master.store_facts import prepare_store
from zerohop_master.users import Users
from zerohop_master.worker_calls import WorkerCalls
from zerohop_master.workers import Workers

__all__ = ["run"]

_log = logging.getLogger(__name__)
_DECLARED_S: Final = 2.0
"""Between two looks at what the configuration wants mounted; nothing is done once it is."""

_DRAIN_S: Final = 5.0
"""How long calls that were accepted may go on after the stop: commits take milliseconds."""


async def run(
    config: MasterConfig, *, ready: Callable[[str], None], stop: asyncio.Event, clock: Clock | None = None
) -> None:
    """Serves until `stop` is set. `ready` is called once, with the first address, when calls are answered.

    Raises ConfigError, DataFolderInUse, FormatTooNew, StoreFailed.
    """
    clock = clock or SystemClock()
    async with admin_port("master", config.admin_listen) as admin, _open_store(config, clock) as (store, box):
        await prepare_store(store, int(clock.now_s() * 1000))
        namespace = Namespace(store, _settings(config), clock)
        workers = Workers(namespace, clock)
        await workers.load()
        users = Users(namespace, box)
        cluster = Cluster(
            namespace,
            workers,
            users,
            clock,
            kv_engine=config.kv_engine,
            admin_address=admin.address,
            board=store.board if isinstance(store, SqliteStore) else None,
        )
        server = RpcServer(
            "master",
            config.cluster_secret or None,
            ssl_context=rpc_server_tls(config),
            plaintext_allowed=config.rpc_plaintext,
        )
        calls = WorkerCalls(
            config.cluster_secret or None, rpc_client_tls(config), own_host_id=host_id(config.host_id)
        )
        housekeeping = Housekeeping(namespace, workers, cluster, calls, clock, grace_s=config.grace_s)
        mounts = Mounts(namespace, box, workers.membership, calls)
        cluster_calls = ClusterCalls(
            namespace,
            workers.membership,
            cluster_secret=config.cluster_secret or None,
            ssl_context=rpc_client_tls(config),
            own_host_id=config.host_id,
        )
        tasks = TaskGroup("master")
        jobs = Jobs(namespace, cluster_calls, tasks, lambda: housekeeping.is_holding)
        register_handlers(server, namespace, workers, users, cluster, mounts, jobs, reads_in_turn=True)
        metrics = MasterMetrics(store, workers, cluster, housekeeping, server.calls)
        admin.add(CallsCollector(server.calls), metrics)
        admin.on_scrape(metrics.prepare)
        try:
            for address in config.listen:
                await server.listen(address)
            cluster.address = str(server.addresses[0])
            _start_housekeeping(config, tasks, housekeeping)
            tasks.every(_DECLARED_S, "declared mounts", DeclaredMounts(config, mounts, users).settle)
            jobs.begin(look_s=config.heartbeat_s, sweep_s=config.sweep_interval_s)
            admin.on_readiness(metrics.unready)
            ready(cluster.address)
            await stop.wait()
            _log.info("draining")
        finally:
            admin.begin_drain()
            await server.close(drain_s=_DRAIN_S)
            await tasks.close()
            await calls.close()
            await cluster_calls.close()


def _settings(config: MasterConfig) -> ClusterSettings:
    return ClusterSettings(
        block_size_bytes=config.block_size_bytes,
        inline_max_bytes=config.inline_max_bytes,
        heartbeat_s=config.heartbeat_s,
        lost_after_s=config.lost_after_s,
        orphan_after_s=config.orphan_after_s,
        async_replicas=config.async_replicas,
    )


@contextlib.asynccontextmanager
async def _open_store(config: MasterConfig, clock: Clock) -> AsyncIterator[tuple[KeyValueStore, SecretBox]]:
    store: KeyValueStore
    if config.kv_engine == "memory":
        store, box = MemoryStore(now=clock.now_s), SecretBox.ephemeral()
    else:
        folder = _data_folder(config.data_dir)
        store = await SqliteStore.open(folder / "metadata.sqlite", now=clock.now_s, watched=keys.WATCHED)
        box = SecretBox.open(folder / "secret.key")  # the store's lock is held: nobody else creates it now
    try:
        yield store, box
    finally:
        await store.close()


def _data_folder(path: str) -> Path:
    folder = Path(path)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot create the data folder {folder}: {error.strerror}; choose another with --data-dir"
        ) from None
    return folder


def _start_housekeeping(config: MasterConfig, tasks: TaskGroup, housekeeping: Housekeeping) -> None:
    """The collector comes often, because it costs one read when nothing is due."""
    tasks.every(min(config.heartbeat_s, config.lost_after_s / 4), "membership", housekeeping.expire)
    tasks.every(min(config.heartbeat_s, config.sweep_interval_s), "collector", housekeeping.collect)
    tasks.every(config.sweep_interval_s, "sweep", housekeeping.sweep)

"""All parts of a worker but its sockets and its place in the cluster, put together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from zerohop.client.worker_links import WorkerLinks
from zerohop.clock import Clock
from zerohop.config import WorkerConfig
from zerohop.errors import ConfigError, DataFolderInUse
from zerohop.rpc.master_api import ClusterView
from zerohop.rpc.tls import rpc_client_tls
from zerohop_worker.block_store import BlockStore
from zerohop_worker.cache_index import CacheIndex
from zerohop_worker.cache_jobs import CacheJobs
from zerohop_worker.contents import Contents, Held, Markers
from zerohop_worker.fetching import Fetching
from zerohop_worker.files import Files
from zerohop_worker.lending import Lending
from zerohop_worker.mounts.service import Mounts
from zerohop_worker.origin import Origin
from zerohop_worker.origins.opening import open_origin
from zerohop_worker.peers import Peers
from zerohop_worker.persisting import Persister
from zerohop_worker.pool import ThreadPool
from zerohop_worker.reading import Reading
from zerohop_worker.replication import Replication
from zerohop_worker.scrub import Scrub
from zerohop_worker.service import Service
from zerohop_worker.tier_folder import TierFolder
from zerohop_worker.understore.interface import UnderStore
from zerohop_worker.writing import Writing

__all__ = ["Worker"]

_log = logging.getLogger(__name__)
_THREADS = 8
"""For the tiers: enough to keep two disks busy; more only take turns at the interpreter."""

_HEADROOM_S = 0.5


class Worker:
    """`config` has its folders and quotas resolved. `start` opens the tiers and adopts what they hold."""

    def __init__(
        self,
        config: WorkerConfig,
        worker_id: str,
        under_store: UnderStore,
        clock: Clock,
        *,
        files: Files | None = None,
    ) -> None:
        self.worker_id = worker_id
        self.under_store = under_store
        self.contents = Contents()
        self._pool = ThreadPool(_THREADS, "tiers")
        tiers = [("MEM", config.mem_quota), ("SSD", config.ssd_quota), ("HDD", config.hdd_quota)]
        index = CacheIndex(tiers, high_water=config.watermark_high, low_water=config.watermark_low)
        self.folders = _folders(config, worker_id, list(index.tiers), files)
        self.store = BlockStore(index, self.folders, self._pool, clock)
        self._persisted: list[Sequence[bytes]] = []
        self.on_persisted = self._persisted.append
        self.persister = Persister(
            self.store,
            under_store,
            self.contents,
            Markers(Path(config.data_dir) / "unpersisted", files),
            lambda contents: self.on_persisted(contents),
        )
        links = _links(config, worker_id)
        self.peers = Peers(worker_id, links)
        self.fetching = Fetching(self.store, Origin(under_store, self.peers))
        self.reading = Reading(self.store, under_store, self.contents, self.fetching)
        self.replication = Replication(
            worker_id, self.store, self.contents, self.persister, self.peers, clock
        )
        self.persister.on_release = self.replication.release
        self.persister.on_delayed = self.replication.delayed
        self.writing = Writing(
            worker_id,
            self.store,
            under_store,
            self.contents,
            self.persister,
            self.peers,
            self.replication,
            clock,
        )
        own = [config.data_dir, config.under_store, *(str(folder.root) for folder in self.folders.values())]
        self.mounts = Mounts(self.store, self.peers, links, partial(open_origin, own_folders=own))
        self.cache_jobs = CacheJobs(self.store, self.reading, self.mounts.runs, self.peers, self.persister)
        self.lending = Lending(self.store, self.reading, self.fetching)
        self.scrub = Scrub(self.store, config.scrub_interval_s)
        self.service = Service(
            self.store,
            under_store,
            self.contents,
            self.persister,
            self.writing,
            self.reading,
            self.mounts.reading,
            self.replication,
            clock,
        )
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Raises ConfigError when a tier's folder cannot be used, DataFolderInUse when another one uses it."""
        try:
            held = await self._pool.run(self.persister.load)
            for name, folder in self.folders.items():
                await self._pool.run(folder.prepare, wipe=folder.volatile)
                if not folder.volatile:
                    await self._adopt(name, folder, held)
        except OSError as error:
            self._let_go()
            raise ConfigError(f"a folder of the cache cannot be used: {error}") from error
        except DataFolderInUse:
            self._let_go()
            raise
        self.persister.start()
        work = (self._make_headroom(), self.scrub.run(), self.replication.run())
        self._tasks = [asyncio.create_task(task) for task in work]

    async def _adopt(self, name: str, folder: TierFolder, held: dict[bytes, Held]) -> None:
        """Takes over the blocks of the process before; unpersisted ones first, they must find room."""
        found = await self._pool.run(lambda: list(folder.scan()))
        for item in sorted(found, key=lambda item: item.block[0] not in held):
            unpersisted = item.block[0] in held
            copy = self.store.index.adopt(
                name, item.block, item.size_bytes, item.checksum, unpersisted=unpersisted
            )
            if copy is None:
                await self._pool.run(folder.unlink_block, item.block, item.checksum)
            else:
                copy.cached_s = self.store.now()
        _log.info("tier %s: %d blocks found", name, len(self.store.index.tiers[name].copies))

    def see(self, view: ClusterView) -> None:
        """The master's view of the cluster: whom to ask, and what to do in the place of those who are lost."""
        self.peers.update(view)
        self.mounts.owner.block_size_bytes = view.settings.block_size_bytes
        self.store.share_out(view.mount_quotas, len(view.workers))
        self.persister.take_over(self.peers.live, self._clock.now_s())

    async def _make_headroom(self) -> None:
        while True:
            self.store.index.make_headroom(self.store.now())
            self.store.settle()
            self.lending.ask_back()
            await asyncio.sleep(_HEADROOM_S)

    async def stop(self, *, drain_s: float) -> None:
        """Persists what it can within `drain_s`, ends all work, removes the memory tier."""
        await self.persister.drain(drain_s)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.fetching.stop()
        await self.mounts.close()
        await self.persister.stop()
        await self.peers.close()
        await self.store.quiet()
        for folder in self.folders.values():
            if folder.volatile:
                await self._pool.run(folder.remove)
        self._let_go()
        self._pool.close()
        await self.under_store.close()

    def _let_go(self) -> None:
        for folder in self.folders.values():
            folder.close()


def _links(config: WorkerConfig, worker_id: str) -> WorkerLinks:
    return WorkerLinks(
        name=f"worker {worker_id}",
        cluster_secret=config.cluster_secret or None,
        ssl_context=rpc_client_tls(config),
        own_host_id=config.host_id,
    )


def _folders(
    config: WorkerConfig, worker_id: str, tiers: list[str], files: Files | None
) -> dict[str, TierFolder]:
    roots = {
        "MEM": Path(config.mem_dir) / worker_id,
        "SSD": Path(config.ssd_dir),
        "HDD": Path(config.hdd_dir),
    }
    return {name: TierFolder(name, roots[name], volatile=name == "MEM", files=files) for name in tiers}

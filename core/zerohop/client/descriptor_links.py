"""The descriptor connections to the workers of this host: opened when first needed, dropped when they break."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from zerohop.client.descriptor_cache import DescriptorCache
from zerohop.client.descriptor_link import DescriptorLink
from zerohop.client.worker_links import WorkerLinks
from zerohop.model import WorkerInfo
from zerohop.rpc.worker_api import ReturnBlocks

__all__ = ["DescriptorLinks"]


class DescriptorLinks:
    """At most one link per worker session. A broken link's blocks leave the cache with it, since nobody would ask
    for them back any more; readers keep the descriptors that they hold.
    """

    def __init__(self, workers: WorkerLinks, cache: DescriptorCache) -> None:
        self._workers = workers
        self._cache = cache
        self._links: dict[str, tuple[str, DescriptorLink]] = {}  # by worker id, with the path of its socket
        self._closing: set[asyncio.Task[None]] = set()
        workers.on_update = self._drop_gone

    def get(self, worker: WorkerInfo) -> DescriptorLink:
        """The link to a worker of this host. It connects with the first request."""
        known = self._links.get(worker.worker_id)
        if known is not None and known[0] == worker.descriptor_path and not known[1].is_broken:
            return known[1]
        link = DescriptorLink(
            worker.descriptor_path,
            name=self._workers.name,
            wanted_back=self._give_back,
            broken=self._forget,
        )
        self._links[worker.worker_id] = (worker.descriptor_path, link)
        return link

    def _give_back(self, link: DescriptorLink, notice: ReturnBlocks) -> None:
        for key in notice.blocks:
            block = self._cache.peek(key)
            if block is not None and block.lender is link:
                self._cache.drop(key)

    def _forget(self, link: DescriptorLink) -> None:
        self._cache.drop_where(lambda block: block.lender is link)

    def _drop_gone(self, workers: Collection[WorkerInfo]) -> None:
        paths = {worker.worker_id: worker.descriptor_path for worker in workers}
        for worker_id, (path, link) in list(self._links.items()):
            if paths.get(worker_id) != path or link.is_broken:
                del self._links[worker_id]
                self._forget(link)
                task = asyncio.create_task(link.close(), name="close descriptor link")
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Closes all connections."""
        links, self._links = [link for _, link in self._links.values()], {}
        await asyncio.gather(*(link.close() for link in links), *self._closing)

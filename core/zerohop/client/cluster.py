"""A connection to a cluster: its master, its workers, and a view of them that is kept fresh."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Self, TypeVar, cast

from zerohop import __version__
from zerohop.client.blocks import DESCRIPTOR_CACHE_BYTES, BlockSource
from zerohop.client.known_objects import KnownObjects
from zerohop.client.master_link import MasterLink
from zerohop.client.mounted_calls import MountedCalls
from zerohop.client.mounts import MountedObjects
from zerohop.client.reads import ReadsInFlight
from zerohop.client.worker_links import WorkerLinks
from zerohop.client.writers import ContentWriters
from zerohop.errors import OriginNeeded, ZerohopError
from zerohop.rpc.master_api import (
    ClusterView,
    CompleteUpload,
    GetClusterView,
    ObjectResult,
    ProxyGoodbye,
    ProxyHeartbeat,
)
from zerohop.rpc.message import Request

__all__ = ["ClusterClient"]

R = TypeVar("R")

_log = logging.getLogger(__name__)

_GOODBYE_S = 1.0
"""A master that takes longer to hear a good-bye finds out by itself; the process that ends should not hang on it."""


class ClusterClient:
    """What a proxy, a command or a library user talks to the cluster through.

    Lives on one event loop; all methods are safe to call from many of its tasks at once. Made by `connect`.
    """

    def __init__(
        self,
        master: MasterLink,
        workers: WorkerLinks,
        *,
        name: str,
        address: str,
        heartbeat: bool,
        descriptor_cache_bytes: int,
        known_objects_bytes: int,
        admin_address: str = "",
    ) -> None:
        self._master = master
        self._reads = ReadsInFlight()
        self._identity = f"{name}.{os.urandom(4).hex()}"
        self._address = address
        self._admin_address = admin_address
        self._beats = heartbeat
        self._beating: asyncio.Task[None] | None = None
        self._view: ClusterView | None = None
        self.view_taken_s = 0.0
        """When the view was taken, on the monotonic clock."""
        self.workers = workers
        self.writer = ContentWriters(workers)
        self.mounts = MountedObjects(workers)
        self.known = KnownObjects(known_objects_bytes if heartbeat else 0)
        self._mounted = MountedCalls(self.mounts, master.call)
        self.blocks = BlockSource(workers, max_bytes=descriptor_cache_bytes)

    @classmethod
    async def connect(
        cls,
        masters: Sequence[str],
        *,
        name: str,
        address: str = "",
        cluster_secret: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        heartbeat: bool = True,
        timeout_s: float = 10.0,
        descriptor_cache_bytes: int = DESCRIPTOR_CACHE_BYTES,
        known_objects_bytes: int = 0,
        own_host_id: str = "",
        admin_address: str = "",
    ) -> Self:
        """Connects to the first of `masters` that answers within `timeout_s` and takes its view of the cluster.

        `name` appears in reports, as do `address` (where a proxy serves) and `admin_address`. `heartbeat=False` is
        for a client that holds no read open for long: it takes the view when it needs it, and the reports do not
        show it.
        `descriptor_cache_bytes` bounds the blocks whose descriptors are kept, `known_objects_bytes` what lookups
        answered and is kept of it. `own_host_id` is the host that this
        process counts as, where that is configured.
        Raises PeerUnavailable, IncompatiblePeer, PeerRejected, ConfigError.
        """
        master = MasterLink(masters, name=name, cluster_secret=cluster_secret, ssl_context=ssl_context)
        workers = WorkerLinks(
            name=name, cluster_secret=cluster_secret, ssl_context=ssl_context, own_host_id=own_host_id
        )
        client = cls(
            master,
            workers,
            name=name,
            address=address,
            heartbeat=heartbeat,
            descriptor_cache_bytes=descriptor_cache_bytes,
            known_objects_bytes=known_objects_bytes,
            admin_address=admin_address,
        )
        try:
            await client.refresh(timeout_s=timeout_s)
        except BaseException:
            await client.close()
            raise
        workers.refresh = client.refresh
        if heartbeat:
            client._beating = asyncio.create_task(client._beat(), name=f"heartbeat of {name}")
        return client

    @property
    def view(self) -> ClusterView:
        """Live workers, settings and generation of the users, as of the last heartbeat."""
        assert self._view is not None, "connect() has set it"
        return self._view

    @property
    def master_address(self) -> str:
        """The address of the master that calls go to now."""
        return self._master.address

    async def call(self, request: Request[R], *, timeout_s: float = 10.0) -> R:
        """Asks the master. Repeats the same request (mutations carry their id) within `timeout_s` while the master
        cannot be reached, is overloaded, or the outcome is unknown; raises its errors otherwise.
        """
        try:
            result = await self._master.call(request, timeout_s=timeout_s)
        except OriginNeeded as needed:
            result = cast("R", await self._mounted.carry_out(request, needed))
        if isinstance(request, CompleteUpload) and isinstance(result, ObjectResult) and result.persist_now:
            return cast("R", await self._mounted.persist(request.caller, request.bucket, result))
        return result

    def reading(self) -> AbstractContextManager[object]:
        """Registers a read in flight: contents that it may still need are not collected meanwhile.

        Enter it before the lookup. Only a client with heartbeats is heard.
        """
        return self._reads.start()

    async def refresh(self, *, timeout_s: float = 5.0) -> None:
        """Takes the view of the cluster now, as each heartbeat does."""
        request: Request[ClusterView]
        if self._beats:
            request = ProxyHeartbeat(
                proxy_id=self._identity,
                host_id=self.workers.own_host_id,
                address=self._address,
                version=__version__,
                # With the longest time that the message may be under way: too old an age only delays a collection.
                oldest_read_ms=self._reads.oldest_ms(margin_s=timeout_s),
                admin_address=self._admin_address,
            )
        else:
            request = GetClusterView()
        view = await self._master.call(request, timeout_s=timeout_s)
        self._view = view
        self.view_taken_s = time.monotonic()
        self.workers.update(view.workers)
        self.known.follow(view.board_path, view.board_token)

    async def _beat(self) -> None:
        reachable = True
        while True:
            await asyncio.sleep(self.view.settings.heartbeat_s)
            try:
                # Shorter than the silence after which we count as lost: a beat that hangs is given up and sent anew.
                await self.refresh(timeout_s=self.view.settings.lost_after_s / 2)
            except ZerohopError as error:
                if reachable:
                    _log.warning("the master does not answer heartbeats: %s", error.message)
                reachable = False
            else:
                if not reachable:
                    _log.info("the master answers again")
                reachable = True

    async def close(self) -> None:
        """Closes connections and descriptors, and says good-bye. Idempotent."""
        if self._beating is not None:
            self._beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._beating
            self._beating = None
            with contextlib.suppress(ZerohopError):  # not heard, it counts as lost in some seconds
                await self._master.call(ProxyGoodbye(proxy_id=self._identity), timeout_s=_GOODBYE_S)
        self.known.close()
        await self.blocks.close()
        await self.workers.close()
        await self._master.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

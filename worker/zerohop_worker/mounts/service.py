"""The requests of `zerohop.rpc.origin_api`, each handed to the part that does it."""

from __future__ import annotations

import asyncio
import logging

from zerohop.client.worker_links import WorkerLinks
from zerohop.errors import AccessDenied, Conflict, OriginRefused, UnderStoreFailed
from zerohop.model import mount_of
from zerohop.rpc.call import Call
from zerohop.rpc.master_api import Empty, GetMount, MountSecrets, ObjectPage
from zerohop.rpc.origin_api import (
    CheckOrigin,
    CheckWrite,
    CommitStaged,
    CopyMounted,
    DeleteMounted,
    DiscardStaged,
    DropMount,
    ListMounted,
    LocatePart,
    MountedTags,
    OpenMount,
    PersistMounted,
    ReadMountedTags,
    ResolveMounted,
    StageMounted,
    WriteMountedTags,
)
from zerohop.rpc.server import RpcServer
from zerohop_worker.block_store import BlockStore
from zerohop_worker.mounts.changes import Changes
from zerohop_worker.mounts.listing import MountedListing
from zerohop_worker.mounts.local_bytes import LocalBytes
from zerohop_worker.mounts.owner import Master, Owner
from zerohop_worker.mounts.parts import Parts
from zerohop_worker.mounts.reading import MountedReading
from zerohop_worker.mounts.records import attributes_of
from zerohop_worker.mounts.registry import OpenOrigin, Registry
from zerohop_worker.mounts.runs import Runs
from zerohop_worker.mounts.sources import MountedSources
from zerohop_worker.mounts.staging import StagedWrites
from zerohop_worker.peers import Peers

__all__ = ["Mounts"]

_log = logging.getLogger(__name__)

_CHECK_S = 2.0
"""Longer no write waits for an origin that is to get it later."""


class Mounts:
    """All that a worker has to do with mounts. `attach` it to the master before it serves."""

    def __init__(self, store: BlockStore, peers: Peers, links: WorkerLinks, open_origin: OpenOrigin) -> None:
        self._store = store
        self.registry = Registry(self._ask_mount, open_origin)
        self.runs = Runs(store, MountedSources(self.registry, peers))
        self.reading = MountedReading(store, self.runs)
        self.owner = Owner(self.registry, self.runs, store)
        self.writes = StagedWrites(store)
        self._listing = MountedListing(self.owner)
        self._parts = Parts(self.owner)
        self._changes = Changes(self.owner, self.writes, LocalBytes(self.owner, links))

    def attach(self, master: Master) -> None:
        """`master` is where the mounts stand, and what is known of their objects."""
        self.owner.master = master

    async def _ask_mount(self, mount_id: bytes) -> MountSecrets:
        return await self.owner.call(GetMount(mount_id=mount_id))

    def serve(self, server: RpcServer) -> None:
        """Registers the handlers."""
        owner, changes = self.owner, self._changes
        server.register(CheckOrigin, self.check_origin)
        server.register(CheckWrite, self.check_write)
        server.register(OpenMount, self.open_mount)
        server.register_sync(DropMount, self.drop_mount)
        server.register(ResolveMounted, lambda request, _call: owner.resolve(request))
        server.register(ListMounted, self.list_mounted)
        server.register_stream_in(StageMounted, changes.stage)
        server.register(CommitStaged, lambda request, _call: changes.commit(request))
        server.register_sync(DiscardStaged, self.discard_staged)
        server.register(PersistMounted, lambda request, _call: changes.persist(request))
        server.register(DeleteMounted, lambda request, _call: changes.delete(request))
        server.register(CopyMounted, lambda request, _call: changes.copy(request))
        server.register(LocatePart, lambda request, _call: self._parts.locate(request))
        server.register(ReadMountedTags, self.read_tags)
        server.register(WriteMountedTags, self.write_tags)

    async def check_origin(self, request: CheckOrigin, _call: Call) -> Empty:
        """See `CheckOrigin`."""
        store = await self.registry.store_of(request.mount, request.secrets)
        try:
            await store.check()
        finally:
            await store.close()
        return Empty()

    async def open_mount(self, request: OpenMount, _call: Call) -> Empty:
        """See `OpenMount`."""
        mount = await self.registry.get(request.mount_id)
        await mount.store.check()
        return Empty()

    async def check_write(self, request: CheckWrite, _call: Call) -> Empty:
        """See `CheckWrite`."""
        mount = await self.registry.get(request.mount_id)
        record = request.record
        try:
            async with asyncio.timeout(_CHECK_S):
                await mount.store.check_write(record.key, attributes_of(record))
        except (OriginRefused, UnderStoreFailed, TimeoutError) as error:
            _log.info("the origin cannot be asked whether it can hold %r, it will see: %s", record.key, error)
        return Empty()

    def drop_mount(self, request: DropMount, _call: Call) -> Empty:
        """See `DropMount`."""
        self.registry.drop(request.mount_id)
        if request.blocks:
            index = self._store.index
            for content in [one for one in index.contents() if mount_of(one) == request.mount_id]:
                index.drop_content(content)
            self._store.settle()
        return Empty()

    async def list_mounted(self, request: ListMounted, _call: Call) -> ObjectPage:
        """See `ListMounted`."""
        return await self._listing.page(request)

    def discard_staged(self, request: DiscardStaged, _call: Call) -> Empty:
        """See `DiscardStaged`."""
        self.writes.discard(request.tokens)
        return Empty()

    async def read_tags(self, request: ReadMountedTags, _call: Call) -> MountedTags:
        """See `ReadMountedTags`."""
        mount = await self.registry.get(request.mount_id)
        return MountedTags(tags=await mount.store.tags(request.key))

    async def write_tags(self, request: WriteMountedTags, _call: Call) -> Empty:
        """See `WriteMountedTags`."""
        mount = await self.registry.get(request.mount_id)
        if mount.info.read_only:
            raise AccessDenied(f"bucket {request.bucket!r} is mounted read-only", bucket=request.bucket)
        async with self.owner.locks.holding((request.mount_id, request.key)):
            # How many there are is part of the record.
            (known,) = await self.owner.begin(request.mount_id, request.key)
            if known.record is not None and known.record.origin is None:
                raise Conflict("a local write hides what the origin has: it gets the tags")
            await mount.store.set_tags(request.key, request.tags)
        return Empty()

    async def close(self) -> None:
        """Ends what is under way, and closes the origins."""
        await self.runs.stop()
        await self.owner.close()
        await self.writes.close()
        await self.registry.close()

"""What the master asks of workers: to delete contents, to list what the under-store holds, to open origins."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from zerohop.errors import NoWorker
from zerohop.host import host_id
from zerohop.model import MountInfo, WorkerInfo
from zerohop.rpc.client import RpcClient
from zerohop.rpc.origin_api import CheckOrigin, DropMount, OpenMount
from zerohop.rpc.worker_api import ContentPage, DeleteContents, ListContents

__all__ = ["ContentStore", "WorkerCalls"]

_TIMEOUT_S: Final = 60.0
"""A batch of deletions at a slow under-store; nobody waits for it."""
_TELL_TIMEOUT_S: Final = 5.0
"""For news that a worker also finds out by itself: an administrator waits for it."""


class ContentStore(Protocol):
    """The workers, as collector and sweep see them."""

    async def delete(self, worker: WorkerInfo, contents: Sequence[bytes], *, under_store: bool) -> None:
        """Drops the blocks of dead contents, and with `under_store` their bytes there. Idempotent."""
        ...

    async def contents(self, worker: WorkerInfo, after: bytes, older_than_s: float) -> ContentPage:
        """See `ListContents`."""
        ...

    async def forget_all_but(self, workers: Sequence[WorkerInfo]) -> None:
        """Only these workers will be called from now on."""
        ...


class WorkerCalls:
    """Implements `ContentStore` by RPC, with one client for each address that was called."""

    def __init__(
        self,
        cluster_secret: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        *,
        own_host_id: str = "",
    ) -> None:
        self._own_host_id = own_host_id or host_id()
        self._cluster_secret = cluster_secret
        self._ssl_context = ssl_context
        self._clients: dict[str, RpcClient] = {}

    async def delete(self, worker: WorkerInfo, contents: Sequence[bytes], *, under_store: bool) -> None:
        """See `ContentStore.delete`."""
        request = DeleteContents(contents=tuple(contents), under_store=under_store)
        await self._client(worker).call(request, timeout_s=_TIMEOUT_S, idempotent=True)

    async def contents(self, worker: WorkerInfo, after: bytes, older_than_s: float) -> ContentPage:
        """See `ContentStore.contents`."""
        request = ListContents(after=after, older_than_s=older_than_s)
        return await self._client(worker).call(request, timeout_s=_TIMEOUT_S, idempotent=True)

    async def check_origin(self, worker: WorkerInfo, mount: MountInfo, secrets: Mapping[str, str]) -> None:
        """See `CheckOrigin`."""
        request = CheckOrigin(mount=mount, secrets=dict(secrets))
        await self._client(worker).call(request, timeout_s=_TIMEOUT_S, idempotent=True)

    async def drop_mount(self, worker: WorkerInfo, mount_id: bytes, *, blocks: bool) -> None:
        """See `DropMount`."""
        request = DropMount(mount_id=mount_id, blocks=blocks)
        await self._client(worker).call(request, timeout_s=_TELL_TIMEOUT_S, idempotent=True)

    async def open_mount(self, worker: WorkerInfo, mount_id: bytes) -> None:
        """See `OpenMount`."""
        request = OpenMount(mount_id=mount_id)
        await self._client(worker).call(request, timeout_s=_TELL_TIMEOUT_S, idempotent=True)

    async def forget_all_but(self, workers: Sequence[WorkerInfo]) -> None:
        """See `ContentStore.forget_all_but`: closes the other connections."""
        wanted = {self._address(worker) for worker in workers}
        for address in [address for address in self._clients if address not in wanted]:
            await self._clients.pop(address).close()

    async def close(self) -> None:
        """Closes all connections."""
        await self.forget_all_but(())

    def _client(self, worker: WorkerInfo) -> RpcClient:
        address = self._address(worker)
        if not address:
            raise NoWorker(f"worker {worker.worker_id!r} has no address that can be reached from here")
        client = self._clients.get(address)
        if client is None:
            client = RpcClient(
                address, name="master", cluster_secret=self._cluster_secret, ssl_context=self._ssl_context
            )
            self._clients[address] = client
        return client

    def _address(self, worker: WorkerInfo) -> str:
        """The Unix socket on this host; it is the only way to a worker that listens on no other."""
        if worker.unix_address and worker.host_id == self._own_host_id:
            return worker.unix_address
        return worker.address

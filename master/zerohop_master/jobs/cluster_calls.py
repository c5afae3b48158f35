"""The cluster as jobs see it: the namespace at hand, the workers by RPC, and the owners of mounted keys."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar, cast

from zerohop.client.mounted_calls import MountedCalls
from zerohop.client.mounts import MountedObjects
from zerohop.client.worker_links import WorkerLinks
from zerohop.errors import OriginNeeded
from zerohop.model import WorkerInfo
from zerohop.rpc.master_api import (
    DeleteObjects,
    GetMounted,
    ListObjects,
    LookupObject,
    ReadManifest,
)
from zerohop.rpc.message import Request
from zerohop_master import listing, manifests, mounted, objects
from zerohop_master.membership import Membership
from zerohop_master.namespace import Namespace

__all__ = ["ClusterCalls"]

R = TypeVar("R")

_OWN: Final[Mapping[type[Request[Any]], Callable[[Namespace, Any], Coroutine[Any, Any, Any]]]] = {
    LookupObject: objects.lookup_object,
    ListObjects: listing.list_objects,
    DeleteObjects: objects.delete_objects,
    ReadManifest: manifests.read_manifest,
    GetMounted: mounted.get_mounted,
}


class ClusterCalls:
    """What a `ClusterClient` is to others, without a connection to the master: this is the master."""

    def __init__(
        self,
        namespace: Namespace,
        membership: Membership,
        *,
        cluster_secret: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        own_host_id: str = "",
    ) -> None:
        self._namespace = namespace
        self._membership = membership
        self.workers = WorkerLinks(
            name="master", cluster_secret=cluster_secret, ssl_context=ssl_context, own_host_id=own_host_id
        )
        self.workers.refresh = self._look
        self.mounts = MountedObjects(self.workers)
        self._mounted = MountedCalls(self.mounts, self._own)

    def look(self) -> Sequence[WorkerInfo]:
        """Takes notice of who is live now: what was asked of a worker that is lost fails at once."""
        self.workers.update(self._membership.live())
        return self.workers.all

    async def _look(self) -> None:
        self.look()

    async def call(self, request: Request[R], *, timeout_s: float = 60.0) -> R:
        """A reading request or a deletion, as anybody may ask it of the master; of a mounted bucket with what the
        origin says.
        """
        try:
            return cast("R", await self._own(request, timeout_s=timeout_s))
        except OriginNeeded as needed:
            return cast("R", await self._mounted.carry_out(request, needed))

    async def _own(self, request: Request[Any], *, timeout_s: float) -> Any:
        del timeout_s  # it is that of a call, and there is none
        return await _OWN[type(request)](self._namespace, request)

    async def close(self) -> None:
        """Closes all connections."""
        await self.workers.close()

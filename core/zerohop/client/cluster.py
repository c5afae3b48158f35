"""A connection to a cluster: its master, its workers, and a view of them that is kept fresh."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from zerohop.client.blocks import BlockSource
from zerohop.client.writers import ContentWriters
from zerohop.rpc.master_api import ClusterView
from zerohop.rpc.message import Request

__all__ = ["ClusterClient"]

R = TypeVar("R")


class ClusterClient:
    """What a proxy, a command or a library user talks to the cluster through.

    Lives on one event loop; all methods are safe to call from many of its tasks at once.
    """

    view: ClusterView
    """Live workers, settings and generation of the users, as of the last heartbeat."""

    writer: ContentWriters
    blocks: BlockSource

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
    ) -> ClusterClient:
        """Connects to the first of `masters` that answers and takes its view of the cluster.

        `name` is unique among proxies and clients and appears in reports, as does `address` (where a proxy serves).
        `heartbeat=False` is for a client that holds no read open for long (it takes the view once).
        Raises PeerUnavailable, IncompatiblePeer, PeerRejected.
        """
        raise NotImplementedError

    async def call(self, request: Request[R], *, timeout_s: float = 10.0) -> R:
        """Asks the master. Repeats the same request (mutations carry their id) within `timeout_s` while the master
        cannot be reached, is overloaded, or the outcome is unknown; raises its errors otherwise."""
        raise NotImplementedError

    def reading(self) -> AbstractContextManager[None]:
        """Registers a read in flight: contents that it may still need are not collected meanwhile."""
        raise NotImplementedError

    async def close(self) -> None:
        """Closes connections and descriptors. Idempotent."""
        raise NotImplementedError

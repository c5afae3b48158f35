"""What proxies and administrators are told of the cluster: the view and the report."""

from __future__ import annotations

from typing import Final

from zerohop import __version__
from zerohop.clock import Clock
from zerohop.errors import AccessDenied
from zerohop.rpc.change_board import ChangeBoard
from zerohop.rpc.master_api import (
    ClusterReport,
    ClusterView,
    Empty,
    GetClusterView,
    GetReport,
    ProxyGoodbye,
    ProxyHeartbeat,
)
from zerohop_master import keys
from zerohop_master.namespace import Namespace
from zerohop_master.proxies import Readers
from zerohop_master.rows import MOUNT
from zerohop_master.users import Users
from zerohop_master.workers import Workers

__all__ = ["Cluster"]

_COUNTED_ROWS: Final = 1000
_MAX_MOUNTS: Final = 1000
_MAX_COUNTED: Final = 100_000
"""A report counts no further: it is asked for by people, and must not hold up the master."""


class Cluster:
    """Answers the calls about the cluster as a whole. `address` and `kv_engine` are for the report."""

    def __init__(
        self,
        namespace: Namespace,
        workers: Workers,
        users: Users,
        clock: Clock,
        *,
        kv_engine: str,
        address: str = "",
        admin_address: str = "",
        board: ChangeBoard | None = None,
    ) -> None:
        self.address = address
        self.admin_address = admin_address
        self.readers = Readers(namespace.settings.lost_after_s, clock.monotonic_s())
        self._namespace = namespace
        self._workers = workers
        self._users = users
        self._clock = clock
        self._kv_engine = kv_engine
        self._board = board
        self._started_ms = namespace.now_ms()
        self._mount_quotas: dict[bytes, int] = {}

    async def look_at_mounts(self) -> None:
        """Reads the quotas of the mounts, for all views from now on: those who take a view must not wait for them."""
        start, end = keys.span(keys.MOUNTS)
        rows = await self._namespace.store.scan(start, end, limit=_MAX_MOUNTS)
        mounts = [MOUNT.decode(row.value).mount for row in rows]
        self._mount_quotas = {mount.mount_id: mount.quota_bytes for mount in mounts if mount.quota_bytes}

    async def proxy_heartbeat(self, request: ProxyHeartbeat) -> ClusterView:
        """See `ProxyHeartbeat`."""
        self.readers.heard(request, self._clock.monotonic_s(), self._namespace.now_ms())
        return await self._view()

    async def proxy_goodbye(self, request: ProxyGoodbye) -> Empty:
        """See `ProxyGoodbye`."""
        self.readers.left(request.proxy_id)
        return Empty()

    async def view(self, _request: GetClusterView) -> ClusterView:
        """See `GetClusterView`."""
        return await self._view()

    def expire(self) -> None:
        """Forgets readers and gives up workers that were silent for too long."""
        self.readers.expire(self._clock.monotonic_s())
        self._workers.expire()

    def oldest_read_ms(self) -> int:
        """See `Readers.oldest_read_ms`."""
        return self.readers.oldest_read_ms(self._clock.monotonic_s(), self._namespace.now_ms())

    async def report(self, request: GetReport) -> ClusterReport:
        """See `GetReport`. Counts end at 100,000."""
        if not request.caller.admin:
            raise AccessDenied("only an administrator may ask for a report")
        return ClusterReport(
            version=__version__,
            started_ms=self._started_ms,
            now_ms=self._namespace.now_ms(),
            address=self.address,
            kv_engine=self._kv_engine,
            bucket_count=await self._count(keys.BUCKETS),
            pending_deletions=await self._count(keys.DELETIONS),
            workers=self._workers.membership.workers(),
            proxies=self.readers.proxies(),
            admin_address=self.admin_address,
        )

    async def _view(self) -> ClusterView:
        generation, user_count = await self._users.generation()
        return ClusterView(
            view_version=self._workers.membership.view_version,
            users_generation=generation,
            settings=self._namespace.settings,
            workers=self._workers.membership.live(),
            user_count=user_count,
            worker_count=self._workers.membership.count(),
            mount_quotas=self._mount_quotas,
            board_path="" if self._board is None else str(self._board.path),
            board_token=b"" if self._board is None else self._board.token,
        )

    async def _count(self, prefix: bytes) -> int:
        start, end = keys.span(prefix)
        count = 0
        while count < _MAX_COUNTED:
            rows = await self._namespace.store.scan(start, end, limit=_COUNTED_ROWS)
            count += len(rows)
            if len(rows) < _COUNTED_ROWS:
                break
            start = rows[-1].key + b"\0"
        return count

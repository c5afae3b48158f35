"""Workers and proxies: how they join, what they report, and what they are told."""

from __future__ import annotations

import msgspec

from zerohop.model import Caller, ClusterSettings, Record, TierUse, WorkerInfo
from zerohop.rpc.master_api.empty import Empty
from zerohop.rpc.message import Request

__all__ = [
    "ClusterReport",
    "ClusterView",
    "ForgetWorker",
    "GetClusterView",
    "GetReport",
    "LostContent",
    "ProxyGoodbye",
    "ProxyHeartbeat",
    "ProxyInfo",
    "RegisterWorker",
    "UnregisterWorker",
    "WorkerForgotten",
    "WorkerHeartbeat",
    "WorkerRegistered",
]


class WorkerRegistered(Record, frozen=True):
    session: bytes
    settings: ClusterSettings


class RegisterWorker(Request[WorkerRegistered], tag="register_worker", kw_only=True):
    """A worker starts or comes back: it gets a new session, and the one before is fenced off.

    `under_store_id` names the store behind the worker; all workers of a cluster share one (ConfigError).
    """

    worker_id: str
    host_id: str
    address: str
    unix_address: str
    descriptor_path: str
    version: str
    under_store_id: str
    tiers: tuple[TierUse, ...]
    admin_address: str = ""


class WorkerHeartbeat(Request[Empty], tag="worker_heartbeat", kw_only=True):
    """Raises SessionFenced when the master has given the worker up or has restarted: register anew."""

    worker_id: str
    session: bytes
    tiers: tuple[TierUse, ...]
    draining: bool = False


class UnregisterWorker(Request[Empty], tag="unregister_worker", kw_only=True):
    """A worker leaves in an orderly way: it is not waited for."""

    worker_id: str
    session: bytes


class LostContent(Record, frozen=True):
    """`names`: some of the objects (`bucket/key`) and uploads that it is part of."""

    content: bytes
    length: int
    names: tuple[str, ...]


class WorkerForgotten(Record, frozen=True):
    """What is lost: how many contents and bytes (counted up to 100,000 contents), and the first thousand of them."""

    count: int
    size_bytes: int
    lost: tuple[LostContent, ...]


class ForgetWorker(Request[WorkerForgotten], tag="forget_worker", kw_only=True):
    """A worker that was lost will not come back: it belongs to the cluster no more. Unpersisted contents that it alone
    held are lost; their metadata stay.

    Raises NotFound, InvalidRequest for a live worker, AccessDenied.
    """

    caller: Caller
    worker_id: str


class ClusterView(Record, frozen=True):
    """The live workers, and what else is current; `view_version` changes when the workers do."""

    view_version: int
    users_generation: int
    settings: ClusterSettings
    workers: tuple[WorkerInfo, ...]
    user_count: int
    # Workers that belong to the cluster, live or lost; those that said good-bye do not.
    worker_count: int = 0
    # Bytes of the whole cluster's cache that a mount may take, by id of the mounts that have such a quota.
    mount_quotas: dict[bytes, int] = msgspec.field(default_factory=dict)
    # The master's change board, for those who find it at this path of their host; "" for none.
    board_path: str = ""
    board_token: bytes = b""


class ProxyHeartbeat(Request[ClusterView], tag="proxy_heartbeat", kw_only=True):
    """A proxy or native client that reads: `oldest_read_ms` is how long ago its oldest read in flight began (0: none).

    Contents that were replaced after that moment are not collected while the heartbeats last.
    """

    proxy_id: str
    host_id: str
    address: str
    version: str
    oldest_read_ms: int = 0
    admin_address: str = ""


class ProxyGoodbye(Request[Empty], tag="proxy_goodbye", kw_only=True):
    """The sender of these heartbeats ends: it holds no read any more. Unknown ones are skipped."""

    proxy_id: str


class GetClusterView(Request[ClusterView], tag="get_cluster_view", kw_only=True):
    """The view, for clients that hold no read open."""


class ProxyInfo(Record, frozen=True):
    proxy_id: str
    host_id: str
    address: str
    version: str
    last_heard_ms: int
    admin_address: str = ""


class ClusterReport(Record, frozen=True):
    version: str
    started_ms: int
    now_ms: int
    address: str
    kv_engine: str
    bucket_count: int
    pending_deletions: int
    workers: tuple[WorkerInfo, ...]  # live and lost
    proxies: tuple[ProxyInfo, ...]
    admin_address: str = ""  # of the master


class GetReport(Request[ClusterReport], tag="get_report", kw_only=True):
    caller: Caller

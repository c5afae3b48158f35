"""The configuration structs. Each field carries its documentation; `zerohop config show` prints it.

Names end in their unit where the value is a plain number of it; quotas and sizes are bytes. A path that is left
empty follows from `data_dir` and a quota that is left at `auto` from the machine: see `zerohop.config.machine`,
which `load` has applied before any process sees the struct.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from zerohop.config.fields import AUTO, Kind, Mounts, Secret, Setting

__all__ = ["MasterConfig", "ProcessConfig", "ProxyConfig", "RpcServerConfig", "UpConfig", "WorkerConfig"]

_KIB = 1024
_MIB = 1024 * _KIB
_LAST_PORT = 65_535

_AdminListen = Annotated[
    tuple[str, ...],
    Setting(
        "Addresses of the admin port (health and metrics); the first is told to the master; empty: none.",
        Kind.ADDRESSES,
    ),
]


class ProcessConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What the processes of a cluster share; `[cluster]` in a file, `ZEROHOP_CLUSTER_...` in the environment."""

    cluster_secret: Annotated[
        Secret,
        Setting("Shared secret that authenticates the cluster's processes to each other.", Kind.SECRET),
    ] = Secret()
    cluster_secret_file: Annotated[
        str, Setting("File that holds the cluster secret; readable by its owner only.", Kind.PATH)
    ] = ""
    rpc_tls_cert: Annotated[
        str, Setting("Certificate (PEM) that this process shows on internal TCP connections.", Kind.PATH)
    ] = ""
    rpc_tls_key: Annotated[str, Setting("Private key (PEM) of rpc_tls_cert.", Kind.PATH)] = ""
    rpc_tls_ca: Annotated[
        str,
        Setting(
            "Certificate authority (PEM) that the certificates of the other processes must come from.",
            Kind.PATH,
        ),
    ] = ""
    host_id: Annotated[
        str,
        Setting(
            "Host that this process counts as; empty: found out. Only processes of one host share Unix sockets "
            "and pass descriptors: give them different ones where they cannot.",
            Kind.TEXT,
        ),
    ] = ""
    log_format: Annotated[
        str, Setting("Form of the log lines on standard error.", Kind.CHOICE, ("text", "json"))
    ] = "text"
    log_level: Annotated[
        str, Setting("Least level that is logged.", Kind.CHOICE, ("debug", "info", "warning", "error"))
    ] = "info"


class RpcServerConfig(ProcessConfig, frozen=True, kw_only=True):
    """What the processes share that others call."""

    rpc_plaintext: Annotated[
        bool,
        Setting(
            "Allow internal connections between hosts without TLS: for networks that encrypt by themselves.",
            Kind.SWITCH,
        ),
    ] = False


class MasterConfig(RpcServerConfig, frozen=True, kw_only=True):
    """The master: namespace and cluster membership."""

    listen: Annotated[tuple[str, ...], Setting("Addresses on which the master answers.", Kind.ADDRESSES)] = (
        "tcp://127.0.0.1:19998",
    )
    data_dir: Annotated[str, Setting("Folder of the metadata store.", Kind.PATH)] = "/var/lib/zerohop/master"
    kv_engine: Annotated[
        str, Setting("Metadata store; memory forgets everything at exit.", Kind.CHOICE, ("sqlite", "memory"))
    ] = "sqlite"
    heartbeat_s: Annotated[
        float, Setting("Interval at which workers and proxies report.", Kind.DURATION, minimum=0.01)
    ] = 1.0
    lost_after_s: Annotated[
        float, Setting("Silence after which a worker or proxy counts as lost.", Kind.DURATION, minimum=0.05)
    ] = 5.0
    sweep_interval_s: Annotated[
        float,
        Setting(
            "Interval of the sweep that removes what crashes and cut requests left.",
            Kind.DURATION,
            minimum=0.05,
        ),
    ] = 60.0
    grace_s: Annotated[
        float, Setting("Time for which replaced content stays readable before it is deleted.", Kind.DURATION)
    ] = 30.0
    orphan_after_s: Annotated[
        float,
        Setting(
            "Age after which content that no object refers to is an orphan.", Kind.DURATION, minimum=0.05
        ),
    ] = 900.0
    async_replicas: Annotated[
        int,
        Setting(
            "Workers that hold an async_through write on disk before it is acknowledged; as many as there are, "
            "where the cluster has fewer.",
            Kind.COUNT,
            minimum=1,
        ),
    ] = 2
    inline_max_bytes: Annotated[
        int,
        Setting(
            "Objects up to this size are stored in their metadata record; 0 stores none there.",
            Kind.SIZE,
            maximum=_MIB,  # they are read whole, and every commit waits for those of its group
        ),
    ] = 16 * _KIB
    block_size_bytes: Annotated[
        int,
        Setting(
            "Size of the blocks that contents are cut in, a power of two; a content keeps the one it was "
            "written with.",
            Kind.SIZE,
            minimum=4 * _KIB,
            maximum=1024 * _MIB,
        ),
    ] = 4 * _MIB
    mounts: Annotated[
        Mounts,
        Setting(
            "Existing storage that is to be mounted: a table `[master.mounts.NAME]` for each, with `uri` and the "
            "options of `zerohop fs mount`; JSON in the environment.",
            Kind.MOUNTS,
        ),
    ] = ()
    admin_listen: _AdminListen = ("tcp://127.0.0.1:0",)


class WorkerConfig(RpcServerConfig, frozen=True, kw_only=True):
    """The worker: block store over the under-store."""

    master: Annotated[tuple[str, ...], Setting("Addresses of the master.", Kind.ADDRESSES)] = (
        "tcp://127.0.0.1:19998",
    )
    listen: Annotated[
        tuple[str, ...],
        Setting("Addresses on which the worker answers; the first is told to the others.", Kind.ADDRESSES),
    ] = ("tcp://127.0.0.1:29999",)
    data_dir: Annotated[
        str, Setting("Folder of the worker's identity and, by default, of its tiers.", Kind.PATH)
    ] = "/var/lib/zerohop/worker"
    socket_dir: Annotated[
        str,
        Setting("Folder of the Unix sockets for proxies on this host; empty: run in data_dir.", Kind.PATH),
    ] = ""
    under_store: Annotated[
        str, Setting("Folder of the durable content; empty: store in data_dir.", Kind.PATH)
    ] = ""
    mem_dir: Annotated[
        str, Setting("Folder of the memory tier, on tmpfs; empty: a private one in /dev/shm.", Kind.PATH)
    ] = ""
    mem_quota: Annotated[int, Setting("Bytes that the memory tier may hold.", Kind.QUOTA)] = AUTO
    ssd_dir: Annotated[str, Setting("Folder of the SSD tier; empty: ssd in data_dir.", Kind.PATH)] = ""
    ssd_quota: Annotated[int, Setting("Bytes that the SSD tier may hold.", Kind.QUOTA)] = AUTO
    hdd_dir: Annotated[str, Setting("Folder of the HDD tier; empty: none.", Kind.PATH)] = ""
    hdd_quota: Annotated[
        int, Setting("Bytes that the HDD tier may hold; auto needs hdd_dir.", Kind.QUOTA)
    ] = AUTO
    watermark_high: Annotated[
        float,
        Setting("Share of a tier's quota at which blocks begin to be demoted or evicted.", Kind.PERCENTAGE),
    ] = 0.95
    watermark_low: Annotated[
        float, Setting("Share of a tier's quota down to which they are.", Kind.PERCENTAGE)
    ] = 0.85
    scrub_interval_s: Annotated[
        float,
        Setting("Time in which the background scrub reads every cached block once; 0: never.", Kind.DURATION),
    ] = 86_400.0
    admin_listen: _AdminListen = ("tcp://127.0.0.1:0",)


class ProxyConfig(ProcessConfig, frozen=True, kw_only=True):
    """The proxy: the S3 front-end."""

    master: Annotated[tuple[str, ...], Setting("Addresses of the master.", Kind.ADDRESSES)] = (
        "tcp://127.0.0.1:19998",
    )
    host: Annotated[str, Setting("Address on which S3 is served.", Kind.TEXT)] = "127.0.0.1"
    port: Annotated[int, Setting("Port on which S3 is served.", Kind.COUNT, maximum=_LAST_PORT)] = 39999
    listen_fd: Annotated[
        int,
        Setting(
            "Inherited descriptor of a listening socket to serve on instead of host and port; -1: none.",
            Kind.COUNT,
            minimum=-1,
        ),
    ] = -1
    anonymous: Annotated[
        str,
        Setting(
            "Whether unsigned requests are accepted; auto: on loopback only, and beyond it not without users.",
            Kind.CHOICE,
            ("auto", "yes", "no"),
        ),
    ] = "auto"
    write_policy: Annotated[
        str,
        Setting(
            "When a write is acknowledged, where the bucket says nothing else.",
            Kind.CHOICE,
            ("through", "cache_through", "async_through", "must_cache"),
        ),
    ] = "cache_through"
    region: Annotated[
        str,
        Setting(
            "Region that signatures must name, and that the endpoint reports; empty: any, and us-east-1.",
            Kind.TEXT,
        ),
    ] = ""
    domains: Annotated[
        tuple[str, ...],
        Setting(
            "Domains below which the Host of a request names the bucket (virtual-host style).", Kind.DOMAINS
        ),
    ] = ()
    tls_cert: Annotated[
        str, Setting("Certificate chain (PEM) of the S3 port, which then speaks HTTPS alone.", Kind.PATH)
    ] = ""
    tls_key: Annotated[str, Setting("Private key (PEM, without a password) of tls_cert.", Kind.PATH)] = ""
    tls_check_s: Annotated[
        float,
        Setting(
            "Interval at which the files of the certificate are looked at; a changed one is used at once.",
            Kind.DURATION,
            minimum=0.05,
        ),
    ] = 10.0
    max_connections: Annotated[
        int,
        Setting(
            "Client connections that one proxy process holds, shared fairly by source address; more get 503.",
            Kind.COUNT,
            minimum=1,
        ),
    ] = 4096
    max_inflight_requests: Annotated[
        int,
        Setting(
            "Requests that one proxy process works on, shared fairly by user; more get 503 SlowDown.",
            Kind.COUNT,
            minimum=1,
        ),
    ] = 1024
    max_buffered_bytes: Annotated[
        int,
        Setting(
            "Bytes of bodies that one proxy process holds in memory, both ways, shared likewise.",
            Kind.SIZE,
            minimum=8 * _MIB,
        ),
    ] = 512 * _MIB
    max_share: Annotated[
        float,
        Setting(
            "Share of these limits up to which one user (unsigned: one source address) may go while others have less.",
            Kind.PERCENTAGE,
        ),
    ] = 0.75
    header_timeout_s: Annotated[
        float, Setting("Time in which a request's head must have arrived.", Kind.DURATION, minimum=0.05)
    ] = 30.0
    idle_timeout_s: Annotated[
        float, Setting("Time for which an idle connection is kept open.", Kind.DURATION, minimum=0.05)
    ] = 75.0
    min_progress_timeout_s: Annotated[
        float,
        Setting(
            "Time of waiting for a client in which a body must move by min_progress_bytes, in either direction.",
            Kind.DURATION,
            minimum=0.05,
        ),
    ] = 60.0
    min_progress_bytes: Annotated[
        int, Setting("See min_progress_timeout_s; slower clients are cut.", Kind.SIZE, minimum=1)
    ] = 64 * _KIB
    fd_cache_bytes: Annotated[
        int, Setting("Bytes of blocks whose descriptors one proxy process may keep.", Kind.SIZE)
    ] = 256 * _MIB
    known_objects_bytes: Annotated[
        int,
        Setting(
            "Bytes of records and small objects that one proxy process on the master's host may keep; 0: none.",
            Kind.SIZE,
        ),
    ] = 64 * _MIB
    drain_s: Annotated[
        float, Setting("Time that requests in flight get to finish when the proxy is stopped.", Kind.DURATION)
    ] = 10.0
    access_log: Annotated[bool, Setting("Log one line for each request.", Kind.SWITCH)] = False
    access_log_format: Annotated[
        str, Setting("Form of the lines of the access log.", Kind.CHOICE, ("text", "json"))
    ] = "text"
    access_log_file: Annotated[
        str,
        Setting(
            "File that the access log is appended to, opened again when it was moved; empty: standard error.",
            Kind.PATH,
        ),
    ] = ""
    slow_request_s: Annotated[
        float,
        Setting(
            "Requests that take at least so long are logged, with where the time went; 0: none.",
            Kind.DURATION,
        ),
    ] = 10.0
    admin_listen: _AdminListen = ("tcp://127.0.0.1:0",)


class UpConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`zerohop up`: one master, one worker and several proxies on this machine."""

    data: Annotated[str, Setting("Folder that holds everything of the cluster.", Kind.PATH)] = "data"
    host: Annotated[str, Setting("Address on which S3 is served.", Kind.TEXT)] = "127.0.0.1"
    port: Annotated[
        int, Setting("Port on which S3 is served; 0: a free one.", Kind.COUNT, maximum=_LAST_PORT)
    ] = 39999
    proxies: Annotated[int, Setting("Proxy processes; 0: one per core.", Kind.COUNT, maximum=256)] = 0
    tls_cert: Annotated[
        str, Setting("Certificate chain (PEM) of the S3 port, which then speaks HTTPS alone.", Kind.PATH)
    ] = ""
    tls_key: Annotated[str, Setting("Private key (PEM, without a password) of tls_cert.", Kind.PATH)] = ""
    anonymous: Annotated[bool, Setting("Accept unsigned requests beyond loopback too.", Kind.SWITCH)] = False
    start_timeout_s: Annotated[
        float, Setting("Time in which each process must get ready.", Kind.DURATION, minimum=1)
    ] = 60.0
    restarts_per_minute: Annotated[
        int,
        Setting("Restarts of one process within a minute after which the cluster stops instead.", Kind.COUNT),
    ] = 5

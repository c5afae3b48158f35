"""The proxy as a process: connect to the cluster, open the port, serve until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from zerohop.admin_port import AdminPort, admin_port
from zerohop.client.cluster import ClusterClient
from zerohop.clock import SystemClock
from zerohop.config import ProxyConfig
from zerohop.errors import ConfigError, PeerUnavailable
from zerohop.metrics import CallsCollector
from zerohop.model import WritePolicy
from zerohop.rpc.tls import rpc_client_tls
from zerohop.tasks import TaskGroup
from zerohop_proxy.access_log import AccessLog
from zerohop_proxy.admission import Admission
from zerohop_proxy.anonymous_access import AnonymousAccess, anonymous_access, is_loopback
from zerohop_proxy.auth import Authenticator
from zerohop_proxy.certificate import Certificate
from zerohop_proxy.fair_share import FairShare
from zerohop_proxy.funnel import PREFIX, Funnel
from zerohop_proxy.metrics import ProxyMetrics
from zerohop_proxy.owners import Owners
from zerohop_proxy.request import Services
from zerohop_proxy.server import S3Server

__all__ = ["run"]

_log = logging.getLogger(__name__)

_DEFAULT_REGION: Final = "us-east-1"
"""Reported where none is configured, and any is accepted."""
_DISK_THREADS: Final = 16
"""Reads that wait for a disk at one time: enough for the queue of an SSD, few enough to bound what they hold."""


async def run(config: ProxyConfig, *, ready: Callable[[str], None], stop: asyncio.Event) -> None:
    """Serve S3 until `stop` is set, then drain.

    `ready` is called once requests are accepted, with a line that names the endpoint. Raises ConfigError (also for an
    address beyond loopback without users), PeerUnavailable and the other errors of connecting to the master.
    """
    listening = _listening_socket(config)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(listening.close)
        admin = await stack.enter_async_context(admin_port("proxy", config.admin_listen))
        host, port = listening.getsockname()[:2]
        try:
            cluster = await ClusterClient.connect(
                config.master,
                name=f"proxy-{os.getpid()}",
                address=f"{host}:{port}",
                admin_address=admin.address,
                cluster_secret=config.cluster_secret or None,
                ssl_context=rpc_client_tls(config),
                descriptor_cache_bytes=config.fd_cache_bytes,
                known_objects_bytes=config.known_objects_bytes,
                own_host_id=config.host_id,
            )
        except PeerUnavailable as error:
            raise PeerUnavailable(
                f"no master answers at {', '.join(config.master)} ({error.message}): start it, or name another one "
                "with --master"
            ) from None
        stack.push_async_callback(cluster.close)
        stack.callback(listening.close)
        await _serve(config, cluster, admin, listening, ready, stop)


async def _serve(
    config: ProxyConfig,
    cluster: ClusterClient,
    admin: AdminPort,
    listening: socket.socket,
    ready: Callable[[str], None],
    stop: asyncio.Event,
) -> None:
    host, port = listening.getsockname()[:2]
    access = anonymous_access(config.anonymous, on_loopback=is_loopback(host))
    if access is not AnonymousAccess.ANYBODY and not is_loopback(host) and cluster.view.user_count == 0:
        raise ConfigError(
            f"{host}:{port} can be reached from other hosts, and there is no user who could sign a request: "
            "add one (zerohop user add NAME), serve on 127.0.0.1, or set anonymous = yes"
        )
    certificate = _certificate(config)
    clock = SystemClock()
    with (
        ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="hash") as hashing,
        ThreadPoolExecutor(_DISK_THREADS, thread_name_prefix="disk") as disk,
        _access_log(config) as access_log,
    ):
        services = Services(
            cluster=cluster,
            clock=clock,
            authenticator=Authenticator(
                cluster, clock, anonymous=access, prefix=PREFIX, region=config.region or None
            ),
            owners=Owners(cluster),
            region=config.region or _DEFAULT_REGION,
            write_policy=WritePolicy(config.write_policy),
            hashing=hashing,
            disk=disk,
        )
        funnel = Funnel(
            services,
            admission=Admission(
                FairShare(config.max_inflight_requests, config.max_share),
                FairShare(config.max_buffered_bytes, config.max_share),
            ),
            min_progress_timeout_s=config.min_progress_timeout_s,
            min_progress_bytes=config.min_progress_bytes,
            access_log=access_log,
            slow_request_s=config.slow_request_s,
            domains=config.domains,
        )
        server = S3Server(
            funnel,
            places=FairShare(config.max_connections, config.max_share),
            header_timeout_s=config.header_timeout_s,
            idle_timeout_s=config.idle_timeout_s,
        )
        metrics = ProxyMetrics(funnel, server, cluster, clock.monotonic_s)
        admin.add(CallsCollector(), metrics)
        await server.start(listening, None if certificate is None else certificate.context)
        scheme = "http" if certificate is None else "https"
        endpoint = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
        _log.info("serving S3", extra={"endpoint": endpoint, "anonymous": access.value})
        async with _renewal(certificate, config.tls_check_s):  # a signal to renew must not end a drain
            try:
                ready(endpoint)
                admin.on_readiness(metrics.unready)
                await stop.wait()
            finally:
                admin.begin_drain()
                await server.stop(config.drain_s)


@contextlib.contextmanager
def _access_log(config: ProxyConfig) -> Iterator[AccessLog | None]:
    if not config.access_log:
        yield None
        return
    with contextlib.closing(AccessLog(config.access_log_format, config.access_log_file)) as log:
        yield log


def _certificate(config: ProxyConfig) -> Certificate | None:
    if bool(config.tls_cert) != bool(config.tls_key):
        raise ConfigError("tls_cert and tls_key go together: set both, or none")
    return Certificate(config.tls_cert, config.tls_key) if config.tls_cert else None


@contextlib.asynccontextmanager
async def _renewal(certificate: Certificate | None, check_s: float) -> AsyncGenerator[None, None]:
    """Looks after changes of the certificate's files every `check_s`, and at once on SIGHUP."""
    if certificate is None:
        yield
        return
    tasks = TaskGroup("certificate")
    tasks.every(check_s, "check", certificate.refresh)
    loop = asyncio.get_running_loop()
    by_signal = threading.current_thread() is threading.main_thread()
    if by_signal:
        loop.add_signal_handler(signal.SIGHUP, lambda: tasks.start("reload", _refresh(certificate)))
    try:
        yield
    finally:
        if by_signal:
            loop.remove_signal_handler(signal.SIGHUP)
        await tasks.close()


async def _refresh(certificate: Certificate) -> None:
    await certificate.refresh()


def _listening_socket(config: ProxyConfig) -> socket.socket:
    """The socket that was handed down, or one of our own, which does not listen yet.

    Several proxies of one host share a port (SO_REUSEPORT).
    """
    if config.listen_fd >= 0:
        try:
            return socket.socket(fileno=config.listen_fd)
        except OSError as error:
            raise ConfigError(f"listen_fd {config.listen_fd} is not a socket: {error}") from None
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind((config.host.strip("[]"), config.port))
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise ConfigError(f"cannot serve on {config.host}:{config.port}: {error.strerror or error}") from None
    return listening

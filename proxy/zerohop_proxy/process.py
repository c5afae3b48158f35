"""The proxy as a process: connect to the cluster, open the port, serve until told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from zerohop.client.cluster import ClusterClient
from zerohop.clock import SystemClock
from zerohop.config import ProxyConfig
from zerohop.errors import ConfigError
from zerohop.model import WritePolicy
from zerohop.rpc.tls import rpc_client_tls
from zerohop_proxy.anonymous_access import AnonymousAccess, anonymous_access, is_loopback
from zerohop_proxy.auth import Authenticator
from zerohop_proxy.funnel import PREFIX, Funnel
from zerohop_proxy.owners import Owners
from zerohop_proxy.request import Services
from zerohop_proxy.server import S3Server

__all__ = ["run"]

_log = logging.getLogger(__name__)

_DISK_THREADS: Final = 16
"""Reads that wait for a disk at one time: enough for the queue of an SSD, few enough to bound what they hold."""


async def run(config: ProxyConfig, *, ready: Callable[[str], None], stop: asyncio.Event) -> None:
    """Serve S3 until `stop` is set, then drain.

    `ready` is called once requests are accepted, with a line that names the endpoint. Raises ConfigError (also for an
    address beyond loopback without users), PeerUnavailable and the other errors of connecting to the master.
    """
    listening = _listening_socket(config)
    try:
        host, port = listening.getsockname()[:2]
        cluster = await ClusterClient.connect(
            config.master,
            name=f"proxy-{os.getpid()}",
            address=f"{host}:{port}",
            cluster_secret=config.cluster_secret or None,
            ssl_context=rpc_client_tls(config),
            descriptor_cache_bytes=config.fd_cache_bytes,
            own_host_id=config.host_id,
        )
    except BaseException:
        listening.close()
        raise
    try:
        await _serve(config, cluster, listening, ready, stop)
    finally:
        listening.close()
        await cluster.close()


async def _serve(
    config: ProxyConfig,
    cluster: ClusterClient,
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
    clock = SystemClock()
    with (
        ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="hash") as hashing,
        ThreadPoolExecutor(_DISK_THREADS, thread_name_prefix="disk") as disk,
    ):
        services = Services(
            cluster=cluster,
            clock=clock,
            authenticator=Authenticator(cluster, clock, anonymous=access, prefix=PREFIX),
            owners=Owners(cluster),
            region=config.region,
            write_policy=WritePolicy(config.write_policy),
            hashing=hashing,
            disk=disk,
        )
        funnel = Funnel(
            services,
            max_in_flight=config.max_inflight_requests,
            stall_timeout_s=config.min_progress_timeout_s,
            access_log=config.access_log,
        )
        server = S3Server(
            funnel,
            max_connections=config.max_connections,
            header_timeout_s=config.header_timeout_s,
            idle_timeout_s=config.idle_timeout_s,
        )
        await server.start(listening)
        shown = f"[{host}]" if ":" in host else host
        _log.info("serving S3", extra={"endpoint": f"http://{shown}:{port}", "anonymous": access.value})
        try:
            ready(f"http://{shown}:{port}")
            await stop.wait()
        finally:
            await server.stop(config.drain_s)


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

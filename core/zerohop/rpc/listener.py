"""Sockets to listen on, and the rules about who may be served on which."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import stat
from pathlib import Path

from zerohop.errors import ConfigError
from zerohop.rpc.address import Address, checked_unix_path

__all__ = ["UnixSocketFile", "check_exposure", "keep_alive", "start_listening"]

BACKLOG = 512
"""Connections the kernel holds for us while the loop is busy; more are refused, and their callers back off."""


def check_exposure(address: Address, *, has_secret: bool, has_tls: bool, plaintext_allowed: bool) -> None:
    """Raises `ConfigError` if a server may not listen there: beyond this host it takes a secret, and TLS."""
    if address.scheme == "tls" and not has_tls:
        raise ConfigError(f"{address} needs a certificate: configure TLS, or listen on tcp://")
    if address.is_loopback:
        return
    if not has_secret:
        raise ConfigError(
            f"{address} can be reached from other hosts: configure a cluster secret, or listen on loopback"
        )
    if address.scheme != "tls" and not plaintext_allowed:
        raise ConfigError(
            f"{address} can be reached from other hosts: use tls://, or allow plain text explicitly"
        )


class UnixSocketFile:
    """A bound Unix socket and its file, which it removes again unless another process has replaced it."""

    def __init__(self, path: str, kind: int = socket.SOCK_STREAM) -> None:
        """Binds with mode 0600. A file left behind is replaced, unless something answers on it (`ConfigError`)."""
        self.path = checked_unix_path(path)
        self.sock = socket.socket(socket.AF_UNIX, kind)
        self.sock.settimeout(0)
        try:
            self._remove_stale(kind)
            self.sock.bind(path)
            Path(path).chmod(0o600)  # nobody can connect before listen()
            self._identity = _identity(os.lstat(path))
        except OSError as error:
            self.sock.close()
            raise ConfigError(f"cannot listen on unix:{path}: {error.strerror or error}") from error
        except BaseException:
            self.sock.close()
            raise

    def _remove_stale(self, kind: int) -> None:
        try:
            found = os.lstat(self.path)
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(found.st_mode):
            raise ConfigError(f"{self.path} exists and is no socket: choose another path")
        with socket.socket(socket.AF_UNIX, kind) as probe:
            probe.settimeout(0)
            refusal = probe.connect_ex(self.path)
        # EPROTOTYPE: somebody listens there with a socket of another type. EAGAIN: his backlog is full.
        if refusal not in (errno.ECONNREFUSED, errno.ENOENT):
            raise ConfigError(f"another process answers on unix:{self.path}")
        with contextlib.suppress(FileNotFoundError):
            Path(self.path).unlink()

    def remove(self) -> None:
        """Removes the file, if it is still ours. The socket itself is closed by who listens on it."""
        with contextlib.suppress(FileNotFoundError):
            if _identity(os.lstat(self.path)) == self._identity:
                Path(self.path).unlink()


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def keep_alive(sock: socket.socket) -> None:
    """Finds out within half a minute that a TCP peer's host is gone, also when nothing is being sent."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)


async def start_listening(
    address: Address,
    factory: type[asyncio.Protocol] | object,
    ssl_context: ssl.SSLContext | None,
) -> tuple[asyncio.AbstractServer, Address, UnixSocketFile | None]:
    """Listens; returns the server, the address with its real port, and the socket file if there is one."""
    loop = asyncio.get_running_loop()
    if address.is_unix:
        file = UnixSocketFile(address.path)
        server = await loop.create_unix_server(factory, sock=file.sock, backlog=BACKLOG)  # type: ignore[arg-type]
        return server, address, file
    try:
        listening = await loop.create_server(
            factory,  # type: ignore[arg-type]
            address.host,
            address.port,
            ssl=ssl_context if address.scheme == "tls" else None,
            backlog=BACKLOG,
        )
    except OSError as error:
        raise ConfigError(f"cannot listen on {address}: {error}") from error
    return listening, address.with_port(listening.sockets[0].getsockname()[1]), None

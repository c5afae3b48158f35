"""The listening sockets of the S3 port: claimed once for the whole cluster, one for each proxy.

SO_REUSEPORT alone would let a second cluster of the same user bind the port too, and the kernel would deal the
clients out between the two. So the first socket binds and listens without it, which fails when anybody else listens
and makes later attempts of others fail; then the option is set on the listening socket, and the sockets of the further
proxies join it. (Binding is not enough of a claim: with SO_REUSEADDR, needed to restart while old connections are in
TIME_WAIT, two sockets may be bound to one port as long as neither listens. Checked on Linux 6.)
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import Final

from zerohop.errors import ConfigError

__all__ = ["claim_s3_port", "is_loopback"]

_BACKLOG: Final = 1024
"""Connections that wait while a proxy is being restarted; the kernel lowers it to its own limit."""


def claim_s3_port(host: str, port: int, count: int) -> list[socket.socket]:
    """`count` listening sockets on one port (0: a free one), which nobody else had.

    Raises ConfigError when the address is not ours or somebody listens there already.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise ConfigError(f"host {host!r}: {error.strerror}") from None
    claimed: list[socket.socket] = []
    try:
        claimed.append(_listen(family, address, shared=False))
        claimed[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound = claimed[0].getsockname()
        claimed.extend(_listen(family, bound, shared=True) for _ in range(count - 1))
    except OSError as error:
        for sock in claimed:
            sock.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"port {port} of {host} is in use: stop what listens there, or choose --port"
            ) from None
        raise ConfigError(f"cannot listen on port {port} of {host}: {error.strerror}") from None
    return claimed


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server bound to `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(family: int, address: tuple[object, ...], *, shared: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock

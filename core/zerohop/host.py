"""Which processes can reach each other's Unix sockets."""

from __future__ import annotations

import socket
from functools import cache
from pathlib import Path

__all__ = ["host_id"]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NETWORK_NAMESPACE = Path("/proc/self/ns/net")


def host_id(configured: str = "") -> str:
    """`configured` where that is given, else what `_found_out` says of this process."""
    return configured or _found_out()


@cache
def _found_out() -> str:
    """Equal for processes of one machine and boot and one network namespace; different for all others.

    A host name would not do: containers of one pod share it, and cloned machines do too. That two processes have
    the same id is necessary for a Unix socket between them, not sufficient (file systems may differ): whoever
    relies on it also tries the socket.
    """
    try:
        boot = _BOOT_ID.read_text().strip()
    except OSError:
        boot = socket.gethostname()
    try:
        namespace = str(_NETWORK_NAMESPACE.stat().st_ino)
    except OSError:
        namespace = "0"
    return f"{boot}.{namespace}"

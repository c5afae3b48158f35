"""Addresses of RPC servers: `unix:/path/sock`, `tcp://host:port`, `tls://host:port`."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, replace

from zerohop.errors import ConfigError

__all__ = ["Address"]

_MAX_UNIX_PATH_BYTES = 107
"""`sun_path` of unix(7) has 108 bytes, the last one a NUL."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens. `path` is set for Unix sockets only, `host` and `port` for the others."""

    scheme: str
    path: str = ""
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str | Address) -> Address:
        """Reads the three forms; an IPv6 host stands in brackets. Raises `ConfigError`."""
        if isinstance(text, Address):
            return text
        if text.startswith("unix:"):
            return cls.unix(text.removeprefix("unix:"))
        scheme, separator, rest = text.partition("://")
        if scheme not in ("tcp", "tls") or not separator:
            raise ConfigError(f"address {text!r} must be unix:/path, tcp://host:port or tls://host:port")
        host, colon, port_text = rest.rpartition(":")
        if (
            not colon
            or not host
            or not (port_text.isascii() and port_text.isdigit())
            or int(port_text) > 65535
        ):
            raise ConfigError(f"address {text!r} needs a host and a port from 0 to 65535")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ConfigError(
                f"address {text!r}: an IPv6 address stands in brackets, as in tcp://[::1]:19998"
            )
        return cls(scheme, host=host, port=int(port_text))

    @classmethod
    def unix(cls, path: str | os.PathLike[str]) -> Address:
        """The address of a Unix socket. Raises `ConfigError` for a path that the kernel cannot take."""
        return cls("unix", path=checked_unix_path(os.fspath(path)))

    @property
    def is_unix(self) -> bool:
        """Whether it is a Unix socket."""
        return self.scheme == "unix"

    @property
    def is_loopback(self) -> bool:
        """Whether only processes of this host can reach it: a Unix socket, `localhost` or a loopback address."""
        if self.is_unix or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def with_port(self, port: int) -> Address:
        """The same address with the port that the system chose."""
        return replace(self, port=port)

    def __str__(self) -> str:
        if self.is_unix:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def checked_unix_path(path: str) -> str:
    """`path`, if it can name a Unix socket; raises `ConfigError` otherwise."""
    if not path.startswith("/") or "\0" in path:
        raise ConfigError(f"the path of a Unix socket must be absolute, not {path!r}")
    size_bytes = len(os.fsencode(path))
    if size_bytes > _MAX_UNIX_PATH_BYTES:
        raise ConfigError(
            f"the path of a Unix socket may have {_MAX_UNIX_PATH_BYTES} bytes, {path!r} has {size_bytes}: "
            "choose a data folder with a shorter path"
        )
    return path

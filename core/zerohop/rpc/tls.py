"""TLS between the processes of a cluster: both sides show a certificate of the cluster's own authority.

That authority is all that is trusted, never the system's: a certificate of the public web says nothing about who
belongs to a cluster. Clients also check that the certificate names the host that they asked for.
"""

from __future__ import annotations

import ssl

from zerohop.config import ProcessConfig
from zerohop.errors import ConfigError

__all__ = ["rpc_client_tls", "rpc_server_tls"]


def rpc_server_tls(config: ProcessConfig) -> ssl.SSLContext | None:
    """The context of a process that listens on `tls://`; None without `rpc_tls_cert`. Raises ConfigError."""
    return _context(config, ssl.Purpose.CLIENT_AUTH)


def rpc_client_tls(config: ProcessConfig) -> ssl.SSLContext | None:
    """The context of a process that calls `tls://` addresses; None without `rpc_tls_cert`. Raises ConfigError."""
    return _context(config, ssl.Purpose.SERVER_AUTH)


def _context(config: ProcessConfig, purpose: ssl.Purpose) -> ssl.SSLContext | None:
    if not config.rpc_tls_cert:
        return None
    if not config.rpc_tls_key or not config.rpc_tls_ca:
        raise ConfigError("rpc_tls_cert needs rpc_tls_key and rpc_tls_ca: set all three, or none")
    try:
        context = ssl.create_default_context(purpose, cafile=config.rpc_tls_ca)
        context.load_cert_chain(config.rpc_tls_cert, config.rpc_tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"the certificates of rpc_tls_* cannot be used: {error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    return context

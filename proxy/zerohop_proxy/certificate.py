"""The certificate of the S3 port, taken again from its files whenever they change.

Concurrency: the context is changed only on the loop, between handshakes: OpenSSL allows no change of a context
while another thread uses it. Files are read in a thread; a certificate and key that do not fit (a renewal half done)
or cannot be read leave the old ones in force.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from pathlib import Path
from typing import Final

from zerohop.errors import ConfigError

__all__ = ["Certificate"]

_log = logging.getLogger(__name__)

_MAX_FILE_BYTES: Final = 1024 * 1024
"""Of a chain or a key: a hundred times what is usual."""

_Stamp = tuple[tuple[int, int, int], ...]


class Certificate:
    """A server's certificate chain and key. `context` is what to accept connections with, from TLS 1.2 on."""

    def __init__(self, certificate_file: str, key_file: str) -> None:
        """Raises ConfigError when the files cannot be used."""
        self._files = (Path(certificate_file), Path(key_file))
        self._complaint = ""
        try:
            self._stamp = _stamp(self._files)
            self.context = _new_context()
            _load(self.context, _read(self._files))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"cannot serve TLS with tls_cert {certificate_file} and tls_key {key_file}: {_why(error)}"
            ) from None

    async def refresh(self) -> bool:
        """Take the files again if they have changed since the last look; whether the certificate is a new one.

        Connections that are open keep the one that they were made with.
        """
        try:
            stamp = await asyncio.to_thread(_stamp, self._files)
            if stamp == self._stamp:
                return False
            content = await asyncio.to_thread(_read, self._files)
            # Seen, whether good or not: what cannot be used is warned of once, until it changes again.
            self._stamp = stamp
            # A context that fails half way would be left without a key: another one tries first, with the same bytes.
            _load(_new_context(), content)
            _load(self.context, content)
        except (OSError, ValueError) as error:
            complaint = _why(error)
            if complaint != self._complaint:
                _log.warning(
                    "the certificate stays as it is: %s", complaint, extra={"file": str(self._files[0])}
                )
            self._complaint = complaint
            return False
        self._complaint = ""
        _log.info("the certificate has been renewed", extra={"file": str(self._files[0])})
        return True


def _new_context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _stamp(files: tuple[Path, Path]) -> _Stamp:
    """Changes when a file is written, made readable, or replaced by another one (also behind a symbolic link)."""
    found = (file.stat() for file in files)
    return tuple((one.st_dev, one.st_ino, one.st_ctime_ns) for one in found)


def _read(files: tuple[Path, Path]) -> tuple[bytes, bytes]:
    """Raises OSError, ValueError for what is too large to be a certificate."""
    contents: list[bytes] = []
    for file in files:
        with file.open("rb") as opened:
            content = opened.read(_MAX_FILE_BYTES + 1)
        if len(content) > _MAX_FILE_BYTES:
            raise ValueError(f"{file} is larger than {_MAX_FILE_BYTES} bytes")
        contents.append(content)
    return contents[0], contents[1]


def _load(context: ssl.SSLContext, content: tuple[bytes, bytes]) -> None:
    """Raises ssl.SSLError (an OSError). Python loads from paths alone, so the bytes go by way of anonymous memory."""
    fds: list[int] = []
    try:
        for data in content:
            fds.append(os.memfd_create("zerohop-certificate"))
            os.write(fds[-1], data)
        chain, key = (f"/proc/self/fd/{fd}" for fd in fds)
        context.load_cert_chain(chain, key, password=_no_password)
    finally:
        for fd in fds:
            os.close(fd)


def _no_password() -> str:
    """Asked for an encrypted key, instead of the terminal."""
    raise ValueError("the key is encrypted; store it without a password, readable by its owner only")


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return str(error)

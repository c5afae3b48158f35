"""Secret keys at rest: sealed with a key that lies beside the metadata, not in it.

So a backup of the store, or a copy of its file, tells nobody a user's secret key.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from zerohop.errors import ConfigError

__all__ = ["SecretBox"]

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_MARK: Final = "aesgcm1:"


class SecretBox:
    """AES-256-GCM with a random nonce. What is sealed is bound to its access key, and cannot be put under another."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def ephemeral(cls) -> SecretBox:
        """A box whose key lives as long as it does."""
        return cls(os.urandom(_KEY_BYTES))

    @classmethod
    def open(cls, path: Path) -> SecretBox:
        """The box of the key file, which is created if it is missing, readable by its owner only.

        Raises ConfigError for a file that is no key.
        """
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            key = path.read_bytes()
        else:
            key = os.urandom(_KEY_BYTES)
            with os.fdopen(descriptor, "wb") as file:
                file.write(key)
                file.flush()
                os.fsync(file.fileno())
            _sync_folder(path.parent)
        if len(key) != _KEY_BYTES:
            raise ConfigError(
                f"{path} is damaged: it should hold {_KEY_BYTES} bytes. Restore it from a backup."
            )
        return cls(key)

    def seal(self, secret_key: str, access_key: str) -> str:
        """The sealed form of a secret key."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, secret_key.encode(), access_key.encode())
        return _MARK + base64.b64encode(nonce + sealed).decode()

    def unseal(self, sealed: str, access_key: str) -> str:
        """The secret key. Raises ConfigError when it was sealed with another key file."""
        data = base64.b64decode(sealed.removeprefix(_MARK))
        try:
            plain = self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], access_key.encode())
        except InvalidTag:
            raise ConfigError(
                f"the secret key of {access_key!r} was sealed with another key file: restore secret.key"
            ) from None
        return plain.decode()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Files that are being written for a mounted folder, in a hidden folder of their own below it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from zerohop.errors import InvalidRequest
from zerohop_worker.files import Buffer, Files
from zerohop_worker.origins.folder_files import file_object, write_attributes, write_digest
from zerohop_worker.origins.folder_paths import OWN_FOLDER, folder_error, key_parts
from zerohop_worker.origins.interface import NO_CONDITION, Attributes, OriginObject, WriteCondition

if TYPE_CHECKING:
    from zerohop_worker.origins.folder import FolderOrigin

__all__ = ["FolderStaged"]

_MODE = 0o666
"""As any program would make it: whoever shares the folder decides by the umask of the worker."""


class FolderStaged:
    """See `StagedObject`. `digest` is the MD5 (hex) of all bytes, where the writer knows it."""

    def __init__(self, origin: FolderOrigin, key: str, attributes: Attributes) -> None:
        self._origin = origin
        self._key = key
        self._attributes = attributes
        self._parts = key_parts(key)
        if key.endswith("/"):
            raise InvalidRequest(f"a folder cannot hold the key {key!r}: with '/' at its end it is a folder")
        self._files = Files()
        self._name = secrets.token_hex(16)
        self.fd = -1
        self.digest = ""

    async def write_part(self, buffers: Sequence[Buffer]) -> None:
        """See `StagedObject.write_part`."""
        try:
            await self._origin.pool.run(self._write, buffers)
        except OSError as error:
            raise folder_error(error, f"write {self._key}") from error

    def _write(self, buffers: Sequence[Buffer]) -> None:
        if self.fd < 0:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with self._origin.root.folder([OWN_FOLDER], make=True) as folder:
                self.fd = os.open(self._name, flags, _MODE, dir_fd=folder)
        self._files.write(self.fd, buffers)

    async def commit(self, condition: WriteCondition = NO_CONDITION) -> OriginObject:
        """See `StagedObject.commit`."""
        try:
            return await self._origin.pool.run(self._commit, condition)
        except OSError as error:
            raise folder_error(error, f"write {self._key}") from error
        finally:
            await self.abort()

    def _commit(self, condition: WriteCondition) -> OriginObject:
        self._write(())
        write_attributes(self.fd, self._attributes, self._key)
        if self.digest:
            write_digest(self.fd, self.digest)
        os.fsync(self.fd)
        self._origin.changes.publish(self._name, self._parts, condition)
        # Only now: giving a file its name moves its time of change.
        return file_object(self._key, os.fstat(self.fd), self.fd)

    async def abort(self) -> None:
        """See `StagedObject.abort`."""
        await self._origin.pool.run(self._abort)

    def _abort(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)
            self._origin.changes.discard(self._name)

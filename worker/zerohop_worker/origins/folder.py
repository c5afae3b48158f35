"""A folder as an origin: local, or one that NFS and its kin show at every worker.

Each key is a file at that path. No symbolic link below the folder is followed, and none is shown. An empty folder is
an object `name/` of no bytes, as in other gateways; folders that a delete leaves empty are removed, since in S3 too
a prefix is gone with its last key.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final, ParamSpec, TypeVar

from zerohop.errors import InvalidRequest, KeyNotFound, NotSupported, OriginChanged, UnderStoreFailed
from zerohop_worker.files import Buffer
from zerohop_worker.origins.folder_changes import Changes
from zerohop_worker.origins.folder_files import (
    file_object,
    folder_object,
    has_marker,
    is_young,
    validator_of,
    write_attributes,
)
from zerohop_worker.origins.folder_listing import FolderLister
from zerohop_worker.origins.folder_paths import Root, folder_error, key_parts
from zerohop_worker.origins.folder_staging import FolderStaged
from zerohop_worker.origins.interface import (
    NO_CONDITION,
    Attributes,
    OriginObject,
    OriginPage,
    Validator,
    WriteCondition,
)
from zerohop_worker.origins.options import FolderSettings
from zerohop_worker.pool import ThreadPool

__all__ = ["FolderOrigin", "FolderRead"]

P = ParamSpec("P")
T = TypeVar("T")

_PIECE_BYTES: Final = 1 << 20
_COPY_BYTES: Final = 64 << 20
_SETTLING: Final = 3
"""How often to look again at a file that was changed a moment ago; one that is written to all the time never rests."""

_FILE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class FolderOrigin:
    """See `OriginStore`."""

    min_part_bytes = 1
    max_part_bytes = 1 << 30
    max_parts = 1 << 30
    checks_conditions = False  # others may write between our look and our rename

    def __init__(self, settings: FolderSettings, read_only: bool = False) -> None:
        self.root = Root(settings.folder)
        self.pool = ThreadPool(settings.threads, "origin-folder")
        self.changes = Changes(self.root)
        self._lister = FolderLister(self.root)
        self._read_only = read_only

    async def check(self) -> None:
        """See `OriginStore.check`."""
        await self._run(f"list {self.root.path}", self._lister.page, "", "/", "", 1)
        if not self._read_only:
            await self._run(f"write in {self.root.path}", self.changes.check_writable)

    async def _run(self, what: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await self.pool.run(call, *args, **kwargs)
        except OSError as error:
            raise folder_error(error, what) from error

    async def head(self, key: str, unless: Validator | None = None) -> OriginObject | None:
        """See `OriginStore.head`."""
        read = FolderRead(self, key)
        try:
            await read.open()
            found = read.found
        finally:
            await read.close()
        return None if unless is not None and found.validator == unless else found

    async def part(self, key: str, number: int, match: Validator) -> None:
        """See `OriginStore.part`: what was written in parts is not told from other objects."""

    async def open(
        self, key: str, offset: int, length: int | None, match: Validator | None = None
    ) -> FolderRead:
        """See `OriginStore.open`."""
        if length == 0:
            raise InvalidRequest("a read of no bytes")
        read = FolderRead(self, key)
        try:
            await read.open()
            if match is not None and read.found.validator != match:
                raise OriginChanged(f"{key} is not the object at the origin any more that it was")
            read.narrow(offset, length)
        except BaseException:
            await read.close()
            raise
        return read

    async def list(self, prefix: str, delimiter: str, after: str, limit: int) -> OriginPage:
        """See `OriginStore.list`."""
        return await self._run(
            f"list {prefix} in {self.root.path}", self._lister.page, prefix, delimiter, after, limit
        )

    async def check_write(self, key: str, attributes: Attributes) -> None:
        """See `OriginStore.check_write`."""
        del attributes  # it keeps them all
        await self._run(f"write {key}", self.changes.check_place, key_parts(key), key.endswith("/"))

    async def put(
        self,
        key: str,
        body: Sequence[Buffer],
        attributes: Attributes,
        condition: WriteCondition = NO_CONDITION,
    ) -> OriginObject:
        """See `OriginStore.put`. A key with "/" at its end makes a folder; it has no bytes."""
        if key.endswith("/"):
            if any(len(buffer) for buffer in body):
                raise InvalidRequest(
                    f"a folder cannot hold the key {key!r}: with '/' at its end it is a folder"
                )
            return await self._run(f"make {key}", self.changes.make_marker, key_parts(key), key, condition)
        staged = FolderStaged(self, key, attributes)
        try:
            await staged.write_part(body)
            staged.digest = await asyncio.to_thread(_md5, body)
            return await staged.commit(condition)
        except BaseException:
            await staged.abort()
            raise

    def stage(self, key: str, attributes: Attributes) -> FolderStaged:
        """See `OriginStore.stage`."""
        return FolderStaged(self, key, attributes)

    async def delete(self, keys: Sequence[str]) -> dict[str, str]:
        """See `OriginStore.delete`."""
        return await self._run(f"delete in {self.root.path}", self.changes.delete, keys)

    async def copy(
        self,
        source: str,
        match: Validator,
        key: str,
        attributes: Attributes | None,
        condition: WriteCondition = NO_CONDITION,
    ) -> OriginObject:
        """See `OriginStore.copy`. The kernel copies, sharing blocks where the file system can."""
        read = await self.open(source, 0, None, match)
        if source == key and attributes is None:
            await read.close()
            return read.found
        staged = FolderStaged(self, key, attributes or read.found.attributes)
        try:
            await staged.write_part(())
            done = 0
            while done < read.length:
                most = min(_COPY_BYTES, read.length - done)
                copied = await self._run(f"copy {source}", os.copy_file_range, read.fd, staged.fd, most, done)
                if not copied:
                    raise OriginChanged(f"{source} became shorter while it was copied")
                done += copied
            await self._run(f"copy {source}", read.verify)
            return await staged.commit(condition)
        except BaseException:
            await staged.abort()
            raise
        finally:
            await read.close()

    async def tags(self, key: str) -> dict[str, str]:
        """See `OriginStore.tags`."""
        found = await self.head(key)
        return dict(found.attributes.tags) if found is not None else {}

    async def set_tags(self, key: str, tags: Mapping[str, str]) -> None:
        """See `OriginStore.set_tags`. The file's time of change moves, so it counts as changed."""
        read = FolderRead(self, key)
        try:
            await read.open()
            changed = read.found.attributes._replace(tags=dict(tags))
            if key.endswith("/") or not await self._run(
                f"tag {key}", write_attributes, read.fd, changed, key
            ):
                raise NotSupported(f"the file system of {key} has no extended attributes to keep tags in")
        finally:
            await read.close()

    async def close(self) -> None:
        """See `OriginStore.close`."""
        self.pool.close()


def _md5(body: Sequence[Buffer]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for buffer in body:
        digest.update(buffer)
    return digest.hexdigest()


class FolderRead:
    """See `OpenedRead`. Each piece is returned only after a look at the file has shown that it is still the same."""

    found: OriginObject

    def __init__(self, origin: FolderOrigin, key: str) -> None:
        self._origin = origin
        self._key = key
        self.fd = -1
        self.first = 0
        self.length = 0

    async def open(self) -> None:
        """Opens the file, and waits until its time tells whether it will have been changed: some 10 ms at most on
        most file systems, 2 s on the coarsest. Raises KeyNotFound.
        """
        for _ in range(_SETTLING):
            try:
                young_ns = await self._origin.pool.run(self._open)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError, InvalidRequest):
                raise KeyNotFound(f"the origin has no object {self._key}") from None
            except OSError as error:
                raise folder_error(error, f"open {self._key}") from error
            if not young_ns:
                return
            await asyncio.sleep(young_ns / 1e9)

    def _open(self) -> int:
        self._drop()  # a second look is one at the name: the file may have been replaced
        parts = key_parts(self._key)
        with self._origin.root.folder(parts[:-1]) as folder:
            self.fd = os.open(parts[-1], _FILE_FLAGS, dir_fd=folder)
        info = os.fstat(self.fd)
        if stat.S_ISDIR(info.st_mode) and self._key.endswith("/"):
            with os.scandir(self.fd) as entries:
                if not has_marker(self.fd) and next(entries, None) is not None:
                    raise FileNotFoundError
            self.found = folder_object(self._key, info)
            return 0
        if not stat.S_ISREG(info.st_mode) or self._key.endswith("/"):
            raise FileNotFoundError
        self.found = file_object(self._key, info, self.fd)
        return is_young(info, time.time_ns())

    def narrow(self, offset: int, length: int | None) -> None:
        """Says which bytes are wanted. Raises InvalidRequest."""
        size_bytes = self.found.validator.size_bytes
        self.first = max(0, size_bytes + offset) if offset < 0 else offset
        if self.first and self.first >= size_bytes:
            raise InvalidRequest(f"{self._key} at the origin ends at {size_bytes}, not beyond {self.first}")
        most = size_bytes - self.first
        self.length = most if length is None or offset < 0 else min(length, most)

    def at_hand(self, max_bytes: int) -> bytes:  # noqa: ARG002 - the interface's
        """See `OpenedRead.at_hand`: a file has no headers that it could come with."""
        return b""

    async def pieces(self) -> AsyncIterator[bytes]:
        """See `OpenedRead.pieces`."""
        at, end = self.first, self.first + self.length
        while at < end:
            try:
                piece = await self._origin.pool.run(self._read, min(_PIECE_BYTES, end - at), at)
            except OSError as error:
                raise folder_error(error, f"read {self._key}") from error
            if not piece:
                raise UnderStoreFailed(f"{self._key} ends {end - at} bytes too early")
            at += len(piece)
            yield piece

    def _read(self, size_bytes: int, offset: int) -> bytes:
        piece = os.pread(self.fd, size_bytes, offset)
        self.verify()
        return piece

    def verify(self) -> None:
        """Raises OriginChanged when the file has been changed or replaced since it was opened. Blocking."""
        if validator_of(os.fstat(self.fd)) != self.found.validator:
            raise OriginChanged(f"{self._key} was changed at the origin while it was read")

    async def close(self) -> None:
        """See `OpenedRead.close`."""
        self._drop()

    def _drop(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

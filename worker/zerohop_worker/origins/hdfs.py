"""HDFS as an origin, through hdfs-native (the extra `zerohop[hdfs]`).

Each key is a file at that path below the mounted folder. An empty folder is an object `name/` of no bytes, and
folders that a delete leaves empty are removed, as in a mounted local folder. HDFS keeps no headers, metadata or tags
that this library could reach: the content type is guessed by the name, the rest is not kept.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Final

from hdfs_native import Client, WriteOptions

from zerohop.errors import (
    InvalidRequest,
    NeedsBytes,
    NotSupported,
    OriginChanged,
    OriginRefused,
    PreconditionFailed,
    ZerohopError,
)
from zerohop_worker.files import Buffer
from zerohop_worker.origins.hdfs_client import HdfsCalls
from zerohop_worker.origins.hdfs_files import HdfsPaths, folder_object, key_parts, refuse_tags
from zerohop_worker.origins.hdfs_listing import HdfsLister
from zerohop_worker.origins.hdfs_reads import HdfsRead
from zerohop_worker.origins.hdfs_staging import HdfsStaged, make_staging
from zerohop_worker.origins.interface import (
    NO_CONDITION,
    Attributes,
    OriginObject,
    OriginPage,
    Validator,
    WriteCondition,
)
from zerohop_worker.origins.options import HdfsSettings

__all__ = ["HdfsOrigin"]

_BODIES: Final = 64
"""Reads that are open at a time: each has a connection to a data node."""
_ABANDONED_MS: Final = 7 * 86_400_000
_FOLDER_MODE: Final = 0o755


class HdfsOrigin:
    """See `OriginStore`."""

    min_part_bytes = 1
    max_part_bytes = 1 << 30
    max_parts = 1 << 30
    checks_conditions = False  # others may write between our look and our rename

    def __init__(self, settings: HdfsSettings, read_only: bool = False) -> None:
        self.paths = HdfsPaths(settings.folder)
        self.calls = HdfsCalls(settings)
        self.bodies = asyncio.Semaphore(_BODIES)
        self._lister = HdfsLister(self.calls.client, self.paths)
        self._read_only = read_only

    async def check(self) -> None:
        """See `OriginStore.check`."""
        await self.calls.check_reachable()
        await self.list("", "/", "", 1)
        if not self._read_only:
            await self.calls.run(f"write in {self.paths.root}", self._check_writable)

    def _check_writable(self) -> None:
        """Writes and removes a file, and removes what crashed writers left a week ago."""
        client = self.calls.client
        make_staging(client, self.paths)
        path = f"{self.paths.staging}/{secrets.token_hex(16)}"
        client.create(path, WriteOptions(create_parent=False)).close()
        client.delete(path)
        oldest_ms = time.time() * 1000 - _ABANDONED_MS
        for status in list(client.list_status(self.paths.staging)):
            if not status.isdir and status.modification_time < oldest_ms:
                client.delete(status.path)

    async def head(self, key: str, unless: Validator | None = None) -> OriginObject | None:
        """See `OriginStore.head`."""
        read = HdfsRead(self, key)
        await read.look()
        return None if unless is not None and read.found.validator == unless else read.found

    async def part(self, key: str, number: int, match: Validator) -> None:
        """See `OriginStore.part`: what was written in parts is not told from other objects."""

    async def open(
        self, key: str, offset: int, length: int | None, match: Validator | None = None
    ) -> HdfsRead:
        """See `OriginStore.open`."""
        if length == 0:
            raise InvalidRequest("a read of no bytes")
        read = HdfsRead(self, key)
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
        what = f"list {prefix} in {self.paths.root}"
        try:
            return await self.calls.run(what, self._lister.page, prefix, delimiter, after, limit)
        except FileNotFoundError:
            raise OriginRefused(f"HDFS has no folder {self.paths.root}", reason="NoFolder") from None

    async def check_write(self, key: str, attributes: Attributes) -> None:
        """See `OriginStore.check_write`."""
        refuse_tags(key, attributes.tags)
        await self.calls.run(f"write {key}", self._check_place, key, self.paths.of(key))

    def _check_place(self, key: str, path: str) -> None:
        is_folder, what = key.endswith("/"), "there is something else of that name"
        # What is below a file is not there, says the NameNode, as it says where only the folder is missing.
        while len(path) > len(self.paths.root):
            try:
                found = self.calls.client.get_file_info(path)
            except FileNotFoundError:
                path, is_folder = path.rpartition("/")[0], True
                what = "a part of its path is a file, not a folder"
                continue
            if found.isdir != is_folder:
                raise InvalidRequest(f"cannot write {key}: {what}")
            return

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
                raise InvalidRequest(f"HDFS cannot hold the key {key!r}: with '/' at its end it is a folder")
            refuse_tags(key, attributes.tags)
            path = self.paths.of(key)
            return await self.calls.run(f"make {key}", self._make_folder, key, path, condition)
        staged = HdfsStaged(self, key, attributes)
        try:
            await staged.write_part(body)
            return await staged.commit(condition)
        except BaseException:
            await staged.abort()
            raise

    def _make_folder(self, key: str, path: str, condition: WriteCondition) -> OriginObject:
        if condition.only_if_etag:
            raise InvalidRequest("the marker of a folder has no ETag to compare")
        client = self.calls.client
        if condition.only_if_absent:
            try:
                client.get_file_info(path)
            except FileNotFoundError:
                pass
            else:
                raise PreconditionFailed("the origin has such an object", condition="If-None-Match")
        client.mkdirs(path, _FOLDER_MODE, create_parent=True)
        return folder_object(key, client.get_file_info(path))

    def stage(self, key: str, attributes: Attributes) -> HdfsStaged:
        """See `OriginStore.stage`."""
        return HdfsStaged(self, key, attributes)

    async def delete(self, keys: Sequence[str]) -> dict[str, str]:
        """See `OriginStore.delete`."""
        told = await asyncio.gather(*map(self._delete, keys))
        left: set[tuple[str, ...]] = set()
        failed: dict[str, str] = {}
        for key, message in zip(keys, told, strict=True):
            if message:
                failed[key] = message
            elif message is not None:
                left.add(tuple(key_parts(key)[:-1]))
        await self.calls.run(f"tidy up in {self.paths.root}", self._remove_empty, left)
        return failed

    async def _delete(self, key: str) -> str | None:
        """Why it was not deleted: "" when it was, None when there was nothing."""
        try:
            path = self.paths.of(key)
            deleted = await self.calls.run(f"delete {key}", self._delete_one, path, key.endswith("/"))
        except (FileNotFoundError, InvalidRequest):
            return None  # nothing can be there
        except ZerohopError as error:
            return error.message
        return "" if deleted else None

    def _delete_one(self, path: str, folder: bool) -> bool:
        client = self.calls.client
        if client.get_file_info(path).isdir != folder:
            return False
        return _remove_if_empty(client, path) if folder else client.delete(path)

    def _remove_empty(self, folders: set[tuple[str, ...]]) -> None:
        """Removes the folders and those above them as far as they are empty: in S3, too, a prefix is gone with its
        last key.
        """
        waiting = sorted(folders, key=len)
        while waiting:
            parts = waiting.pop()
            if parts and _remove_if_empty(self.calls.client, self.paths.below(list(parts))):
                waiting = sorted({*waiting, parts[:-1]}, key=len)

    async def copy(
        self,
        source: str,
        match: Validator,
        key: str,
        attributes: Attributes | None,
        condition: WriteCondition = NO_CONDITION,
    ) -> OriginObject:
        """See `OriginStore.copy`: HDFS has none."""
        found = await self.head(source)
        assert found is not None, "an unconditional look"
        if found.validator != match:
            raise OriginChanged(f"{source} is not the object at the origin any more that it was")
        if source == key and attributes is None and condition == NO_CONDITION:
            return found
        raise NeedsBytes("HDFS copies no files")

    async def tags(self, key: str) -> dict[str, str]:
        """See `OriginStore.tags`."""
        raise NotSupported(f"cannot read tags of {key}: HDFS has no place for them")

    async def set_tags(self, key: str, tags: Mapping[str, str]) -> None:
        """See `OriginStore.set_tags`."""
        raise NotSupported(f"cannot set {len(tags)} tags of {key}: HDFS has no place for them")

    async def close(self) -> None:
        """See `OriginStore.close`. The connections go with the client."""
        self.calls.close()


def _remove_if_empty(client: Client, path: str) -> bool:
    """False for a folder that is not empty, or must not be removed."""
    try:
        return client.delete(path, recursive=False)
    except (OSError, RuntimeError):
        return False

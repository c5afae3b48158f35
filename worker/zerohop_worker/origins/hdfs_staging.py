"""Files that are being written to HDFS, in a hidden folder of their own below the mounted one."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from hdfs_native import Client, FileStatus, FileWriter, WriteOptions

from zerohop.errors import InvalidRequest, OriginRefused, PreconditionFailed, UnderStoreFailed, ZerohopError
from zerohop_worker.files import Buffer
from zerohop_worker.origins.hdfs_files import HdfsPaths, file_object, key_parts, refuse_tags, validator_of
from zerohop_worker.origins.interface import NO_CONDITION, Attributes, OriginObject, WriteCondition

if TYPE_CHECKING:
    from zerohop_worker.origins.hdfs import HdfsOrigin

__all__ = ["HdfsStaged", "make_staging"]

A = TypeVar("A")
T = TypeVar("T")

_FOLDER_MODE: Final = 0o755
_TRIES: Final = 5
"""Another writer may remove a folder, which it finds empty, as often as we make it; not so often in a row."""


class HdfsStaged:
    """See `StagedObject`. It is as durable as HDFS makes it: each data node of the block has acknowledged it."""

    def __init__(self, origin: HdfsOrigin, key: str, attributes: Attributes) -> None:
        self._origin = origin
        self._client = origin.calls.client
        self._key = key
        self._parts = key_parts(key)
        if key.endswith("/"):
            raise InvalidRequest(f"HDFS cannot hold the key {key!r}: with '/' at its end it is a folder")
        refuse_tags(key, attributes.tags)
        self._path = f"{origin.paths.staging}/{secrets.token_hex(16)}"
        self._writer: FileWriter | None = None
        self._made = False

    async def write_part(self, buffers: Sequence[Buffer]) -> None:
        """See `StagedObject.write_part`."""
        await self._run(self._write, buffers)

    async def _run(self, call: Callable[[A], T], argument: A) -> T:
        try:
            return await self._origin.calls.run(f"write {self._key}", call, argument)
        except FileNotFoundError as error:
            raise UnderStoreFailed(f"cannot write {self._key}: its staged file is gone") from error

    def _write(self, buffers: Sequence[Buffer]) -> None:
        if self._writer is None:
            self._writer = self._create()
            self._made = True
        for buffer in buffers:
            if len(buffer):
                self._writer.write(buffer)

    def _create(self) -> FileWriter:
        options = WriteOptions(create_parent=False)
        try:
            return self._client.create(self._path, options)
        except FileNotFoundError:
            make_staging(self._client, self._origin.paths)
        return self._client.create(self._path, options)

    async def commit(self, condition: WriteCondition = NO_CONDITION) -> OriginObject:
        """See `StagedObject.commit`."""
        try:
            return await self._run(self._commit, condition)
        finally:
            await self.abort()

    def _commit(self, condition: WriteCondition) -> OriginObject:
        self._write(())
        assert self._writer is not None
        self._writer.close()
        self._writer = None
        path = self._origin.paths.below(self._parts)
        staged = self._client.get_file_info(self._path)
        there = self._look(path, condition)
        if there is not None and validator_of(there) == validator_of(staged):
            # Two files of one size, finished in one millisecond: nobody could tell them apart.
            self._client.set_times(self._path, there.modification_time + 1, staged.access_time)
            staged = self._client.get_file_info(self._path)
        self._publish(path, condition)
        self._made = False
        return file_object(self._key, staged)

    def _look(self, path: str, condition: WriteCondition) -> FileStatus | None:
        """What has the name now. Raises PreconditionFailed, IsADirectoryError."""
        try:
            there = self._client.get_file_info(path)
        except FileNotFoundError:
            if condition.only_if_etag:
                raise PreconditionFailed("the origin has no such object", condition="If-Match") from None
            return None
        if there.isdir:
            raise IsADirectoryError
        if condition.only_if_absent:
            raise PreconditionFailed("the origin has such an object", condition="If-None-Match")
        if condition.only_if_etag and validator_of(there).etag != condition.only_if_etag:
            raise PreconditionFailed("the object at the origin is another one", condition="If-Match")
        return there

    def _publish(self, path: str, condition: WriteCondition) -> None:
        """Gives the file its name; the NameNode replaces what had it in one step."""
        for tries in range(1, _TRIES + 1):
            try:
                self._client.rename(self._path, path, overwrite=not condition.only_if_absent)
                return
            except FileNotFoundError:
                if tries == _TRIES:
                    raise
                self._client.mkdirs(path.rpartition("/")[0], _FOLDER_MODE, create_parent=True)
            except FileExistsError:
                if condition.only_if_absent:
                    raise PreconditionFailed(
                        "the origin has such an object", condition="If-None-Match"
                    ) from None
                raise

    async def abort(self) -> None:
        """See `StagedObject.abort`. What cannot be removed now is in a week."""
        with contextlib.suppress(FileNotFoundError, ZerohopError):
            await self._origin.calls.run(f"remove what was written of {self._key}", self._abort)

    def _abort(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()
        made, self._made = self._made, False
        if made:
            self._client.delete(self._path)


def make_staging(client: Client, paths: HdfsPaths) -> None:
    """Makes the hidden folder. Raises OriginRefused when the mounted one is not there."""
    try:
        client.mkdirs(paths.staging, _FOLDER_MODE, create_parent=False)
    except FileNotFoundError:
        raise OriginRefused(f"HDFS has no folder {paths.root}", reason="NoFolder") from None

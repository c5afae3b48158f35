"""A folder of HDFS as a tree that can be listed.

The NameNode lists a folder in an order of its own (bytes as signed numbers, so what is no ASCII comes first), and the
library cannot begin in the middle: a folder is read whole, and of a large one the next names are kept.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Final

from hdfs_native import Client, FileStatus

from zerohop.errors import InvalidRequest
from zerohop_worker.origins.hdfs_files import HdfsPaths, file_object, folder_object, is_hidden, key_parts
from zerohop_worker.origins.interface import OriginObject, OriginPage
from zerohop_worker.origins.tree_listing import TreeLister

__all__ = ["HdfsLister"]

_KNOWN_FILES: Final = 2000
"""Of a folder of at most so many, what the listing said of each is used; those of a larger one are asked one by one,
since names that are kept say nothing of a file that somebody appends to."""

_SETTLED_MS: Final = 10_000
"""For how long a change of a folder may hide another one: the clocks of NameNode and worker differ a little."""


@dataclass(slots=True)
class _Folder:
    status: FileStatus
    path: str
    known: dict[str, FileStatus] | None = None  # all that is in it, once it was read, unless that is too much


class HdfsLister:
    """Lists pages. `page` blocks, and may be called from several threads."""

    def __init__(self, client: Client, paths: HdfsPaths) -> None:
        self._client = client
        self._paths = paths
        self._lister = TreeLister(_Folders(client))

    def page(self, prefix: str, delimiter: str, after: str, limit: int) -> OriginPage:
        """See `OriginStore.list`. Raises the library's errors; FileNotFoundError when the mounted folder is gone."""
        base = prefix[: prefix.rfind("/") + 1]
        try:
            path = self._paths.below(key_parts(base) if base else [])
        except InvalidRequest:
            return OriginPage((), (), "")
        try:
            status = self._client.get_file_info(path)
        except FileNotFoundError:
            if not base:
                raise
            return OriginPage((), (), "")
        if not status.isdir:
            if not base:
                raise FileNotFoundError(path)
            return OriginPage((), (), "")
        return self._lister.page(_Folder(status, path), prefix, delimiter, after, limit)


class _Folders:
    """See `Tree`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def names(self, folder: _Folder) -> Iterator[str]:
        """See `Tree.names`."""
        if folder.known is not None:
            yield from folder.known
            return
        known: dict[str, FileStatus] = {}
        try:
            for status in self._client.list_status(folder.path):
                name = status.path.rpartition("/")[2]
                if is_hidden(name):
                    continue
                if status.isdir:
                    name += "/"
                if len(known) <= _KNOWN_FILES:
                    known[name] = status
                yield name
        except FileNotFoundError:
            pass  # gone since the folder above it was read
        if len(known) <= _KNOWN_FILES:
            folder.known = known

    def _status(self, folder: _Folder, name: str) -> FileStatus | None:
        if folder.known is not None and name in folder.known:
            return folder.known[name]
        try:
            status = self._client.get_file_info(f"{folder.path.rstrip('/')}/{name.removesuffix('/')}")
        except FileNotFoundError:
            return None
        return status if status.isdir == name.endswith("/") else None

    @contextmanager
    def below(self, folder: _Folder, name: str) -> Iterator[_Folder | None]:
        """See `Tree.below`."""
        status = self._status(folder, name)
        yield _Folder(status, f"{folder.path.rstrip('/')}/{name[:-1]}") if status is not None else None

    def file(self, folder: _Folder, name: str, key: str) -> OriginObject | None:
        """See `Tree.file`."""
        status = self._status(folder, name)
        return file_object(key, status, listed=True) if status is not None else None

    def marker(self, folder: _Folder, key: str) -> OriginObject | None:
        """See `Tree.marker`: an empty folder."""
        # To the end where that is near, so that the walk does not read it once more.
        first = list(islice(self.names(folder), _KNOWN_FILES + 1))
        return None if first else folder_object(key, folder.status)

    def place(self, folder: _Folder) -> Hashable:
        """See `Tree.place`."""
        return folder.path

    def settled(self, folder: _Folder) -> int | None:
        """See `Tree.settled`."""
        modified_ms = folder.status.modification_time
        return modified_ms if time.time() * 1000 - modified_ms > _SETTLED_MS else None

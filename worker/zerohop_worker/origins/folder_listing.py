"""A mounted folder as a tree that can be listed. Its folders are descriptors: no symbolic link is followed."""

from __future__ import annotations

import os
import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Final

from zerohop.errors import InvalidRequest
from zerohop_worker.origins.folder_files import file_object, folder_object, has_marker, is_young
from zerohop_worker.origins.folder_paths import Root, is_hidden, key_parts
from zerohop_worker.origins.interface import OriginObject, OriginPage
from zerohop_worker.origins.tree_listing import WINDOW_NAMES, TreeLister

__all__ = ["FolderLister"]

_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class FolderLister:
    """Lists pages. `page` blocks, and may be called from several threads."""

    def __init__(self, root: Root, window_names: int = WINDOW_NAMES) -> None:
        self._root = root
        self._lister = TreeLister(_Folders(), window_names)

    def page(self, prefix: str, delimiter: str, after: str, limit: int) -> OriginPage:
        """See `OriginStore.list`. Raises OSError, OriginRefused, UnderStoreFailed."""
        base = prefix[: prefix.rfind("/") + 1]
        try:
            parts = key_parts(base) if base else []
        except InvalidRequest:
            return OriginPage((), (), "")
        try:
            with self._root.folder(parts) as fd:
                return self._lister.page(fd, prefix, delimiter, after, limit)
        except (FileNotFoundError, NotADirectoryError):
            return OriginPage((), (), "")


class _Folders:
    """See `Tree`."""

    def names(self, folder: int) -> Iterator[str]:
        """See `Tree.names`."""
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    name = entry.name + "/"
                elif entry.is_file(follow_symlinks=False):
                    name = entry.name
                else:
                    continue
                if not is_hidden(entry.name) and _is_text(name):
                    yield name

    @contextmanager
    def below(self, folder: int, name: str) -> Iterator[int | None]:
        """See `Tree.below`."""
        try:
            below = os.open(name[:-1], _FOLDER_FLAGS, dir_fd=folder)
        except (FileNotFoundError, NotADirectoryError):
            yield None  # gone since the folder was read
            return
        try:
            yield below
        finally:
            os.close(below)

    def file(self, folder: int, name: str, key: str) -> OriginObject | None:
        """See `Tree.file`."""
        try:
            info = os.stat(name, dir_fd=folder, follow_symlinks=False)
            return file_object(key, info, f"/proc/self/fd/{folder}/{name}")
        except FileNotFoundError:
            return None

    def marker(self, folder: int, key: str) -> OriginObject | None:
        """See `Tree.marker`: one that somebody wrote, or an empty folder."""
        if has_marker(folder) or next(self.names(folder), None) is None:
            return folder_object(key, os.fstat(folder))
        return None

    def place(self, folder: int) -> Hashable:
        """See `Tree.place`."""
        info = os.fstat(folder)
        return info.st_dev, info.st_ino

    def settled(self, folder: int) -> int | None:
        """See `Tree.settled`."""
        info = os.fstat(folder)
        return None if is_young(info, time.time_ns()) else info.st_mtime_ns


def _is_text(name: str) -> bool:
    """Names that are no UTF-8 are no keys."""
    return name.isascii() or not any("\udc80" <= char <= "\udcff" for char in name)

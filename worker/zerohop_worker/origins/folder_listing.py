"""Listings of a mounted folder in the byte order of keys.

A folder `a` sorts as `a/`, so behind a file `a-b`: entries are ordered by their name with the "/" behind it. A page
reads the folders on its way, and of a very large folder one *window*: the next names in order, as many as fit in
bounded memory. Windows are kept while the folder does not change, so that a million files in one folder are read
some 20 times for a thousand pages.
"""

from __future__ import annotations

import heapq
import os
import threading
import time
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from zerohop.errors import InvalidRequest
from zerohop_worker.origins.folder_files import file_object, folder_object, has_marker, is_young
from zerohop_worker.origins.folder_paths import Root, is_hidden, key_parts
from zerohop_worker.origins.interface import OriginObject, OriginPage
from zerohop_worker.origins.names import group_of

__all__ = ["FolderLister"]

_WINDOW_NAMES: Final = 50_000
_WINDOWS: Final = 4
_KEY_BYTES: Final = 1024
_LAST: Final = "\U0010ffff"
"""A noncharacter that sorts behind all others. What a key may hold below a folder, it may not begin with."""
_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class _Window:
    """Names (folders with "/") of a folder in order, beyond `after`; `more` when there are others behind them."""

    modified_ns: int
    after: str
    names: list[str]
    more: bool

    def covers(self, after: str) -> bool:
        """Whether the next names beyond `after` are in it."""
        return self.after <= after and (not self.more or self.names[-1] > after)


class FolderLister:
    """Lists pages. `page` blocks, and may be called from several threads."""

    def __init__(self, root: Root, window_names: int = _WINDOW_NAMES) -> None:
        self._root = root
        self._window_names = window_names
        self._windows: OrderedDict[tuple[int, int, str], _Window] = OrderedDict()
        self._lock = threading.Lock()

    def page(self, prefix: str, delimiter: str, after: str, limit: int) -> OriginPage:
        """See `OriginStore.list`. Raises OSError, OriginRefused, UnderStoreFailed."""
        base = prefix[: prefix.rfind("/") + 1]
        try:
            parts = key_parts(base) if base else []
        except InvalidRequest:
            return OriginPage((), (), "")
        walk = _Walk(self, prefix, delimiter, after)
        try:
            with self._root.folder(parts) as fd:
                found = list(islice(walk.names(fd, base), limit + 1))
        except (FileNotFoundError, NotADirectoryError):
            return OriginPage((), (), "")
        shown = found[:limit]
        objects = tuple(one for one in shown if isinstance(one, OriginObject))
        prefixes = tuple(one for one in shown if isinstance(one, str))
        last = shown[-1] if shown and len(found) > limit else ""
        return OriginPage(objects, prefixes, last if isinstance(last, str) else last.key)

    def entries(self, fd: int, wanted: str, after: str) -> Iterator[str]:
        """Names in the folder from `after` on, in order, that can lead to keys which begin with `wanted`: both are
        what the folder's own key leaves of prefix and name. What is below the folder of `after` may follow it, too.
        """
        while True:
            window = self._window(fd, wanted, after)
            # What is below the folder of `after` stands at most one place before the first name beyond it.
            first = max(0, bisect_right(window.names, after) - 1)
            yield from (name for name in islice(window.names, first, None) if _reaches(name, after))
            if not window.more:
                return
            # Beyond everything below it, where it is a folder: that has been walked through.
            after = window.names[-1] + (_LAST if window.names[-1].endswith("/") else "")

    def _window(self, fd: int, wanted: str, after: str) -> _Window:
        info = os.fstat(fd)
        place = (info.st_dev, info.st_ino, wanted)
        with self._lock:
            known = self._windows.get(place)
            if known is not None and known.modified_ns == info.st_mtime_ns and known.covers(after):
                self._windows.move_to_end(place)
                return known
        names = heapq.nsmallest(self._window_names + 1, _scanned(fd, wanted, after))
        window = _Window(
            info.st_mtime_ns, after, names[: self._window_names], len(names) > self._window_names
        )
        if len(names) > 1000 and not is_young(info, time.time_ns()):
            with self._lock:
                self._windows[place] = window
                while len(self._windows) > _WINDOWS:
                    self._windows.popitem(last=False)
        return window


def _scanned(fd: int, wanted: str, after: str) -> Iterator[str]:
    with os.scandir(fd) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                name = entry.name + "/"
            elif entry.is_file(follow_symlinks=False):
                name = entry.name
            else:
                continue
            leads = name.startswith(wanted) or (name.endswith("/") and wanted.startswith(name))
            if leads and _reaches(name, after) and not is_hidden(entry.name) and _is_text(name):
                yield name


def _is_text(name: str) -> bool:
    """Names that are no UTF-8 are no keys."""
    return name.isascii() or not any("\udc80" <= char <= "\udcff" for char in name)


def _reaches(name: str, after: str) -> bool:
    """Whether the file, or something in the folder, is beyond `after`."""
    return name > after or (
        name.endswith("/") and after.startswith(name) and not after.startswith(name + _LAST)
    )


class _Walk:
    """One walk through the tree in the order of keys."""

    def __init__(self, lister: FolderLister, prefix: str, delimiter: str, after: str) -> None:
        self._lister = lister
        self._prefix = prefix
        self._delimiter = delimiter
        self._after = after
        self._group = ""

    def names(self, fd: int, base: str) -> Iterator[OriginObject | str]:
        """Objects and common prefixes (strings) below the folder `base` ("" or with "/" at its end)."""
        if base and base >= self._prefix and base > self._after and self._is_marked(fd):
            yield from self._grouped(base) or (folder_object(base, os.fstat(fd)),)
        wanted = self._prefix[len(base) :]
        if self._after.startswith(base):
            after = self._after[len(base) :]
        elif base > self._after:
            after = ""
        else:
            return  # all of it is before
        for name in self._lister.entries(fd, wanted, after):
            key = base + name
            if len(key.encode()) > _KEY_BYTES:
                continue  # no key of S3
            group = self._grouped(key) if key.startswith(self._prefix) else None
            if group is not None:
                yield from group
            elif name.endswith("/"):
                yield from self._below(fd, name, key)
            else:
                yield from self._file(fd, name, key)

    def _grouped(self, key: str) -> tuple[str, ...] | None:
        """The common prefix that the key falls under, unless it was shown or is before; None when under none."""
        group = group_of(key, self._prefix, self._delimiter)
        if not group:
            return None
        shown = group == self._group or group <= self._after
        self._group = group
        return () if shown else (group,)

    def _below(self, fd: int, name: str, key: str) -> Iterator[OriginObject | str]:
        try:
            below = os.open(name[:-1], _FOLDER_FLAGS, dir_fd=fd)
        except (FileNotFoundError, NotADirectoryError):
            return  # gone since the folder was read
        try:
            yield from self.names(below, key)
        finally:
            os.close(below)

    def _file(self, fd: int, name: str, key: str) -> Iterator[OriginObject]:
        try:
            info = os.stat(name, dir_fd=fd, follow_symlinks=False)
            yield file_object(key, info, f"/proc/self/fd/{fd}/{name}")
        except FileNotFoundError:
            return

    def _is_marked(self, fd: int) -> bool:
        return has_marker(fd) or next(_scanned(fd, "", ""), None) is None

"""Listings of a tree of folders in the byte order of keys.

A folder `a` sorts as `a/`, so behind a file `a-b`: entries are ordered by their name with the "/" behind it. A page
reads the folders on its way, and of a very large folder one *window*: the next names in order, as many as fit in
bounded memory. Windows are kept while the folder does not change, so that a million files in one folder are read
some 20 times for a thousand pages.
"""

from __future__ import annotations

import heapq
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from typing import Final, Generic, Protocol, TypeVar

from zerohop_worker.origins.interface import OriginObject, OriginPage
from zerohop_worker.origins.names import group_of

__all__ = ["WINDOW_NAMES", "Tree", "TreeLister"]

WINDOW_NAMES: Final = 50_000
_WINDOWS: Final = 4
_WORTH_KEEPING_NAMES: Final = 1000
_KEY_BYTES: Final = 1024
_LAST: Final = "\U0010ffff"
"""A noncharacter that sorts behind all others. What a key may hold below a folder, it may not begin with."""

F = TypeVar("F")
"""A folder that is open, in whatever form a tree has them."""


class Tree(Protocol[F]):
    """Folders and files. All methods block; they raise what their store raises."""

    def names(self, folder: F) -> Iterator[str]:
        """What stands in it, in any order: files, and folders with "/" at the end; nothing hidden, all of it text."""

    def below(self, folder: F, name: str) -> AbstractContextManager[F | None]:
        """The folder of that name ("/" at its end); None when it is gone."""

    def file(self, folder: F, name: str, key: str) -> OriginObject | None:
        """The file of that name as an object; None when it is gone."""

    def marker(self, folder: F, key: str) -> OriginObject | None:
        """The object that the folder itself is, where it is one."""

    def place(self, folder: F) -> Hashable:
        """Which folder it is."""

    def settled(self, folder: F) -> int | None:
        """When its entries were changed last, as of when it was opened; None when it was so lately that a further
        change might not be told from that one.
        """


@dataclass(frozen=True, slots=True)
class _Window:
    """Names (folders with "/") of a folder in order, beyond `after`; `more` when there are others behind them."""

    modified: int | None
    after: str
    names: list[str]
    more: bool

    def covers(self, after: str) -> bool:
        """Whether the next names beyond `after` are in it."""
        return self.after <= after and (not self.more or self.names[-1] > after)


class TreeLister(Generic[F]):
    """Lists pages. `page` blocks, and may be called from several threads."""

    def __init__(self, tree: Tree[F], window_names: int = WINDOW_NAMES) -> None:
        self.tree = tree
        self._window_names = window_names
        self._windows: OrderedDict[tuple[Hashable, str], _Window] = OrderedDict()
        self._lock = threading.Lock()

    def page(self, folder: F, prefix: str, delimiter: str, after: str, limit: int) -> OriginPage:
        """See `OriginStore.list`. `folder` is the one that `prefix` leads into, with what is behind its last "/"."""
        walk = _Walk(self, prefix, delimiter, after)
        found = list(islice(walk.names(folder, prefix[: prefix.rfind("/") + 1]), limit + 1))
        shown = found[:limit]
        objects = tuple(one for one in shown if isinstance(one, OriginObject))
        prefixes = tuple(one for one in shown if isinstance(one, str))
        last = shown[-1] if shown and len(found) > limit else ""
        return OriginPage(objects, prefixes, last if isinstance(last, str) else last.key)

    def entries(self, folder: F, wanted: str, after: str) -> Iterator[str]:
        """Names in the folder from `after` on, in order, that can lead to keys which begin with `wanted`: both are
        what the folder's own key leaves of prefix and name. What is below the folder of `after` may follow it, too.
        """
        while True:
            window = self._window(folder, wanted, after)
            # What is below the folder of `after` stands at most one place before the first name beyond it.
            first = max(0, bisect_right(window.names, after) - 1)
            yield from (name for name in islice(window.names, first, None) if _reaches(name, after))
            if not window.more:
                return
            # Beyond everything below it, where it is a folder: that has been walked through.
            after = window.names[-1] + (_LAST if window.names[-1].endswith("/") else "")

    def _window(self, folder: F, wanted: str, after: str) -> _Window:
        modified = self.tree.settled(folder)
        place = (self.tree.place(folder), wanted)
        with self._lock:
            known = self._windows.get(place)
            if known is not None and known.modified == modified and known.covers(after):
                self._windows.move_to_end(place)
                return known
        leading = (
            name
            for name in self.tree.names(folder)
            if (name.startswith(wanted) or (name.endswith("/") and wanted.startswith(name)))
            and _reaches(name, after)
        )
        names = heapq.nsmallest(self._window_names + 1, leading)
        window = _Window(modified, after, names[: self._window_names], len(names) > self._window_names)
        if len(names) > _WORTH_KEEPING_NAMES and modified is not None:
            with self._lock:
                self._windows[place] = window
                while len(self._windows) > _WINDOWS:
                    self._windows.popitem(last=False)
        return window


def _reaches(name: str, after: str) -> bool:
    """Whether the file, or something in the folder, is beyond `after`."""
    return name > after or (
        name.endswith("/") and after.startswith(name) and not after.startswith(name + _LAST)
    )


class _Walk(Generic[F]):
    """One walk through the tree in the order of keys."""

    def __init__(self, lister: TreeLister[F], prefix: str, delimiter: str, after: str) -> None:
        self._lister = lister
        self._tree = lister.tree
        self._prefix = prefix
        self._delimiter = delimiter
        self._after = after
        self._group = ""

    def names(self, folder: F, base: str) -> Iterator[OriginObject | str]:
        """Objects and common prefixes (strings) below the folder `base` ("" or with "/" at its end)."""
        yield from self._marker(folder, base)
        wanted = self._prefix[len(base) :]
        if self._after.startswith(base):
            after = self._after[len(base) :]
        elif base > self._after:
            after = ""
        else:
            return  # all of it is before
        for name in self._lister.entries(folder, wanted, after):
            key = base + name
            if len(key.encode()) > _KEY_BYTES:
                continue  # no key of S3
            group = group_of(key, self._prefix, self._delimiter)
            if group:
                if self._is_next(group) and self._has_more(folder, name, key):
                    self._group = group
                    yield group
            elif name.endswith("/"):
                yield from self._below(folder, name, key)
            elif (found := self._tree.file(folder, name, key)) is not None:
                yield found

    def _marker(self, folder: F, base: str) -> Iterator[OriginObject | str]:
        """The object that the folder itself is."""
        if not (base and base >= self._prefix and base > self._after):
            return
        marker = self._tree.marker(folder, base)
        group = group_of(base, self._prefix, self._delimiter)
        if marker is not None and not group:
            yield marker
        elif marker is not None and self._is_next(group):
            self._group = group
            yield group

    def _is_next(self, group: str) -> bool:
        """Whether the common prefix is still to be shown. One that is named as the start is passed over, whole."""
        return group not in (self._group, self._after)

    def _has_more(self, folder: F, name: str, key: str) -> bool:
        """Whether a name leads to a key beyond the start of the page: of a folder in which that lies, who knows."""
        if not self._after.startswith(key):
            return True
        within = _Walk(self._lister, key, "", self._after)
        return any(True for _ in within._below(folder, name, key))

    def _below(self, folder: F, name: str, key: str) -> Iterator[OriginObject | str]:
        with self._tree.below(folder, name) as below:
            if below is not None:
                yield from self.names(below, key)

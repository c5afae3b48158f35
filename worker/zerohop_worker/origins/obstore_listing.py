"""Listings through obstore, which has neither pages nor, for Azure, a place to begin at.

So the listing behind a page is kept, and the next page goes on with it; only whoever begins in the middle waits until
what is before has gone by. With "/" as delimiter obstore reads one whole level at a time; it is kept likewise.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any, Final

import obstore

from zerohop_worker.origins.interface import OriginObject, OriginPage
from zerohop_worker.origins.names import group_of
from zerohop_worker.origins.obstore_objects import listed_object

__all__ = ["ObstoreLister"]

_KEPT: Final = 8
"""Listings that are left in the middle. Each holds one answer of the store, or a level."""

Name = OriginObject | str


class ObstoreLister:
    """Lists pages of one store. Raises obstore's errors."""

    def __init__(self, store: Any, base: str) -> None:
        self._store = store
        self._base = base
        self._kept: OrderedDict[tuple[str, str, str], tuple[AsyncIterator[Name], Name]] = OrderedDict()

    def forget(self) -> None:
        """Lets go of listings in the middle."""
        self._kept.clear()

    async def page(self, prefix: str, delimiter: str, after: str, limit: int) -> OriginPage:
        """See `OriginStore.list`."""
        kept = self._kept.pop((prefix, delimiter, after), None) if after else None
        found: list[Name] = []
        if kept is not None:
            names, first = kept
            found.append(first)
        else:
            names = self._names(prefix, delimiter, after)
        async for name in names:
            found.append(name)
            if len(found) > limit:
                break
        shown = found[:limit]
        last = ""
        if len(found) > limit:
            last = _text(shown[-1])
            self._kept[prefix, delimiter, last] = (names, found[limit])
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return OriginPage(
            tuple(one for one in shown if not isinstance(one, str)),
            tuple(one for one in shown if isinstance(one, str)),
            last,
        )

    async def _names(self, prefix: str, delimiter: str, after: str) -> AsyncIterator[Name]:
        if delimiter == "/":
            names = await self._level(prefix)
            middle = group_of(after, prefix, delimiter)
            if middle and middle != after and middle in names and await self._has_more(middle, after):
                yield middle
            for name in names[bisect_right(names, after, key=_text) :]:
                yield name
            return
        group = ""
        async for one in self._objects(prefix, after):
            here = group_of(one.key, prefix, delimiter)
            if not here:
                yield one
            elif here != group and here != after:  # one that is named as the start is passed over, whole
                group = here
                yield here

    async def _has_more(self, group: str, after: str) -> bool:
        """Whether something of a group lies beyond the key in the middle of it that a page begins at."""
        async for _ in self._objects(group, after):
            return True
        return False

    async def _objects(self, prefix: str, after: str) -> AsyncIterator[OriginObject]:
        """Objects beyond `after` whose keys begin with `prefix`."""
        base = self._base
        folder = (base + prefix).rpartition("/")[0]
        offset = base + after if after else None
        stream = obstore.list(self._store, folder or None, offset=offset, chunk_size=1000)
        async for batch in stream:
            for meta in batch:
                key = meta["path"][len(base) :]
                if key.startswith(prefix) and key > after:
                    yield listed_object(key, meta)

    async def _level(self, prefix: str) -> list[Name]:
        base = self._base
        folder = (base + prefix).rpartition("/")[0]
        told = await obstore.list_with_delimiter_async(self._store, folder or None)
        names: list[Name] = [path[len(base) :] + "/" for path in told["common_prefixes"]]
        names += [listed_object(meta["path"][len(base) :], meta) for meta in told["objects"]]
        return sorted((name for name in names if _text(name).startswith(prefix)), key=_text)


def _text(name: Name) -> str:
    return name if isinstance(name, str) else name.key

"""Listing a mounted bucket: a page of the origin, with the local writes laid over it."""

from __future__ import annotations

from collections import OrderedDict
from time import monotonic
from typing import NamedTuple

from zerohop.rpc.master_api import GetMounted, ListEntry, ListLocal, LocalPage, ObjectPage
from zerohop.rpc.origin_api import ListMounted
from zerohop_worker.mounts.owner import Owner
from zerohop_worker.mounts.records import listed_as
from zerohop_worker.mounts.registry import OpenMount
from zerohop_worker.origins.interface import OriginObject, OriginPage

__all__ = ["MountedListing", "merged_page"]

_MAX_PAGE = 1000
_MAX_PAGES = 256
"""Pages of origins that are kept: up to a thousand entries of some hundred bytes each."""


class _Kept(NamedTuple):
    page: OriginPage
    generation: int
    asked_s: float


class MountedListing:
    """Answers `ListMounted`."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._pages: OrderedDict[tuple[bytes, str, str, str, int], _Kept] = OrderedDict()

    async def page(self, request: ListMounted) -> ObjectPage:
        """See `ListMounted`."""
        mount = await self._owner.registry.get(request.mount_id)
        limit = min(request.limit, _MAX_PAGE)
        if limit <= 0:
            return ObjectPage(entries=(), prefixes=(), next_name="", next_key="", owner=mount.info.owner)
        after = _exclusive(request.after) if request.inclusive else request.after
        local = await self._local(request, after)
        origin = await self._origin_page(mount, request, after, limit, local.generation)
        return merged_page(
            origin,
            local,
            prefix=request.prefix,
            delimiter=request.delimiter,
            after=request.after,
            limit=limit,
            owner=mount.info.owner,
        )

    async def _local(self, request: ListMounted, after: str) -> LocalPage:
        """All local objects that a page may have to show. They are few: writes on their way to the origin."""
        return await self._owner.call(
            ListLocal(
                mount_id=request.mount_id,
                prefix=request.prefix,
                after=after,
                limit=_MAX_PAGE,
            )
        )

    async def _origin_page(
        self, mount: OpenMount, request: ListMounted, after: str, limit: int, generation: int
    ) -> OriginPage:
        name = (request.mount_id, request.prefix, request.delimiter, after, limit)
        kept = self._pages.get(name)
        ttl_s = mount.info.metadata_ttl_s
        is_good = kept is not None and not request.force and kept.generation == generation
        if kept is not None and is_good and (ttl_s < 0 or monotonic() - kept.asked_s < ttl_s):
            self._pages.move_to_end(name)
            return kept.page
        asked_s = monotonic()
        page = await mount.store.list(request.prefix, request.delimiter, after, limit)
        if generation:  # else nothing was ever written here
            page = await self._as_written(request.mount_id, page)
        if ttl_s != 0:
            self._pages[name] = _Kept(page, generation, asked_s)
            self._pages.move_to_end(name)
            if len(self._pages) > _MAX_PAGES:
                self._pages.popitem(last=False)
        return page

    async def _as_written(self, mount_id: bytes, page: OriginPage) -> OriginPage:
        """What was written here is listed as its writer was told. Where the origin lists the MD5 of its bytes for an
        ETag, and a checksum, that is so by itself; a page of others costs one more read of as many rows.
        """
        asked = tuple(one.key for one in page.objects if "-" in one.client_etag or not one.checksums)
        if not asked:
            return page
        rows = await self._owner.call(GetMounted(mount_id=mount_id, keys=asked))
        records = dict(zip(asked, rows.records, strict=True))
        return page._replace(objects=tuple(listed_as(records.get(one.key), one) for one in page.objects))


def _exclusive(name: str) -> str:
    """The greatest name before `name`, near enough: what an exclusive start has to be for `name` to be included."""
    if not name:
        return ""
    last = ord(name[-1])
    if last == 0:
        return name[:-1]
    before = chr(last - 1) if not 0xD800 <= last - 1 <= 0xDFFF else "\ud7ff"
    return name[:-1] + before + "\U0010ffff"


def merged_page(
    origin: OriginPage,
    local: LocalPage,
    *,
    prefix: str,
    delimiter: str,
    after: str,
    limit: int,
    owner: str,
) -> ObjectPage:
    """The first `limit` names of both. A local object hides the origin's of the same key. Pure.

    Of the origin nothing is known beyond the end of its page, nor of the local ones beyond theirs: the page ends there.
    """
    bounds = [_order(origin.next_after)] if origin.next_after else []
    if local.more:
        bounds.append(_order(local.last))
    horizon = min(bounds, default=None)
    names: dict[bytes, ListEntry | None] = {
        _order(one.key): _entry(one) for one in origin.objects if _order(one.key) >= _order(after)
    }
    names |= {_order(one): None for one in origin.prefixes}
    for entry in local.entries:
        group = _group_of(entry.key, prefix, delimiter)
        if group:
            if group != after:  # one that is named as the start is passed over, whole
                names[_order(group)] = None
        else:
            names[_order(entry.key)] = entry
    ordered = sorted(name for name in names if horizon is None or name <= horizon)
    page = ordered[:limit]
    more = len(ordered) > limit or horizon is not None
    shown = [(name, names[name]) for name in page]
    following = ordered[limit].decode() if len(ordered) > limit else ""
    last = page[-1].decode() if page and more else ""
    return ObjectPage(
        entries=tuple(entry for _, entry in shown if entry is not None),
        prefixes=tuple(name.decode() for name, entry in shown if entry is None),
        next_name=last,
        next_key=following or (last + "\0" if last else ""),
        owner=owner,
    )


def _order(name: str) -> bytes:
    return name.encode()


def _group_of(key: str, prefix: str, delimiter: str) -> str:
    if not delimiter:
        return ""
    end = key.find(delimiter, len(prefix))
    return "" if end < 0 else key[: end + len(delimiter)]


def _entry(found: OriginObject) -> ListEntry:
    return ListEntry(
        key=found.key,
        size_bytes=found.validator.size_bytes,
        etag=found.client_etag,
        modified_ms=found.validator.modified_ms,
        storage_class=found.attributes.storage_class or "STANDARD",
        version_id="null",
        checksum_algorithms=tuple(found.checksums),
        checksum_type=found.checksum_type,
    )

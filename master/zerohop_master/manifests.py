"""Manifests: the segments of a multipart object, in rows that a range read seeks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from zerohop.errors import ContentNotFound
from zerohop.model import ObjectRecord, PartRecord, Segment
from zerohop.rpc.master_api import ManifestPage, ReadManifest
from zerohop_master import keys
from zerohop_master.holders import holders_of
from zerohop_master.kv.interface import Row
from zerohop_master.namespace import Namespace
from zerohop_master.rows import MANIFEST, ManifestRow

__all__ = ["SEGMENTS_PER_ROW", "all_persisted", "manifest_rows", "read_manifest"]

SEGMENTS_PER_ROW: Final = 1000
"""About 25 KB a row: 10,000 parts are ten rows, and a range read decodes one of them."""
_MAX_PAGE: Final = 1000


def manifest_rows(manifest: bytes, parts: Sequence[PartRecord]) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of the rows that list these parts, in order."""
    offset = 0
    for first in range(0, len(parts), SEGMENTS_PER_ROW):
        some = parts[first : first + SEGMENTS_PER_ROW]
        row = ManifestRow(
            first_offset=offset,
            first_index=first,
            segments=tuple(part.segment for part in some),
            numbers=tuple(part.number for part in some),
            unpersisted=any(part.unpersisted for part in some),
        )
        yield keys.segments(manifest, offset, first), MANIFEST.encode(row)
        offset += sum(part.segment.length for part in some)


async def read_manifest(namespace: Namespace, request: ReadManifest) -> ManifestPage:
    """See `ReadManifest`. An offset at or beyond the end answers no segments."""
    first_row = await _first_row(namespace, request)
    if first_row is None:
        raise ContentNotFound("there is no such manifest", manifest=request.manifest.hex())
    limit = max(1, min(request.limit, _MAX_PAGE))
    row = MANIFEST.decode(first_row.value)
    offset, skipped = row.first_offset, 0
    if request.part_number:
        skipped = min(max(0, request.part_number - 1 - row.first_index), len(row.segments))
        offset += sum(segment.length for segment in row.segments[:skipped])
    else:
        while skipped < len(row.segments) and offset + row.segments[skipped].length <= request.offset:
            offset += row.segments[skipped].length
            skipped += 1
    segments = list(row.segments[skipped : skipped + limit])
    unpersisted = row.unpersisted
    if len(segments) < limit:
        start, end = first_row.key + b"\0", keys.span(keys.manifest_rows(request.manifest))[1]
        for following in await namespace.store.scan(start, end, limit=1):
            more = MANIFEST.decode(following.value)
            segments += more.segments[: limit - len(segments)]
            unpersisted = unpersisted or more.unpersisted
    return ManifestPage(
        first_offset=offset,
        first_index=row.first_index + skipped,
        segments=tuple(segments),
        holders=await holders_of(namespace, segments) if unpersisted else {},
    )


async def _first_row(namespace: Namespace, request: ReadManifest) -> Row | None:
    start, end = keys.span(keys.manifest_rows(request.manifest))
    if not request.part_number:
        end = keys.segments(request.manifest, max(0, request.offset) + 1, 0)
        rows = await namespace.store.scan(start, end, limit=1, reverse=True)
        return rows[0] if rows else None
    found = None
    for row in await namespace.store.scan(
        start, end, limit=_MAX_PAGE
    ):  # ten rows at most: there are 10,000 parts
        if keys.first_index_of(row.key) >= request.part_number:
            break
        found = row
    return found


async def all_persisted(namespace: Namespace, record: ObjectRecord) -> bool:
    """Whether every content of the object is in the under-store by now. Once true it stays true."""
    if not record.unpersisted:
        return True
    segments: list[Segment] = list(record.segments)
    if record.manifest and not segments:
        start, end = keys.span(keys.manifest_rows(record.manifest))
        rows = await namespace.store.scan(start, end, limit=_MAX_PAGE)
        segments = [segment for row in rows for segment in MANIFEST.decode(row.value).segments]
    return not await holders_of(namespace, segments)

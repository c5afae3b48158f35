"""Listings of uploads and of their parts."""

from __future__ import annotations

from typing import Final

from zerohop.errors import InvalidRequest, UploadNotFound
from zerohop.rpc.master_api import ListParts, ListUploads, PartPage, UploadPage
from zerohop_master import keys
from zerohop_master.kv.interface import next_prefix
from zerohop_master.listing import Window, read_groups
from zerohop_master.namespace import Namespace
from zerohop_master.rows import PART, UPLOAD
from zerohop_master.uploads import find_upload, parse_upload_id

__all__ = ["list_parts", "list_uploads"]

_MAX_PAGE: Final = 1000


async def list_parts(namespace: Namespace, request: ListParts) -> PartPage:
    """See `ListParts`."""
    _, row = await find_upload(
        namespace, namespace.reads, request.caller, request.bucket, request.key, request.upload_id
    )
    upload = UPLOAD.decode(row.value)
    identity = parse_upload_id(request.upload_id)
    limit = max(0, min(request.limit, _MAX_PAGE))
    start, end = keys.span(keys.parts(identity))
    start = max(start, keys.part(identity, max(0, min(request.after, 1 << 31)) + 1))
    rows = await namespace.store.scan(start, end, limit=limit + 1)
    parts = tuple(PART.decode(row.value) for row in rows[:limit])
    more = bool(parts) and len(rows) > limit
    return PartPage(parts=parts, next_after=parts[-1].number if more else 0, upload=upload)


async def list_uploads(namespace: Namespace, request: ListUploads) -> UploadPage:
    """See `ListUploads`. Uploads that are being completed are still listed."""
    bucket = await namespace.bucket(namespace.reads, request.caller, request.bucket)
    window = _window(bucket.bucket_id, request)
    limit = max(0, min(request.limit, _MAX_PAGE))
    if not limit:
        return UploadPage(uploads=(), prefixes=(), next_key="", next_upload_id="")
    groups = await read_groups(namespace.store, window, limit + 1)
    page = groups[:limit]
    uploads = tuple(UPLOAD.decode(group.row.value) for group in page if group.row is not None)
    prefixes = tuple(keys.text_of(group.name[len(window.base) :]) for group in page if group.row is None)
    next_key = next_upload_id = ""
    if len(groups) > limit:
        last_is_upload = page[-1].row is not None
        next_key = uploads[-1].key if last_is_upload else prefixes[-1]
        next_upload_id = uploads[-1].upload_id if last_is_upload else ""
    return UploadPage(uploads=uploads, prefixes=prefixes, next_key=next_key, next_upload_id=next_upload_id)


def _window(bucket_id: bytes, request: ListUploads) -> Window:
    """Uploads stand under the escaped key, so prefix and delimiter are looked for in that form."""
    base = keys.uploads(bucket_id)
    prefix, delimiter = keys.escaped_text(request.prefix), keys.escaped_text(request.delimiter)
    marker = keys.escaped_text(request.key_marker)
    window = Window.after(base, prefix, delimiter, marker)
    if not request.key_marker:
        return window
    if request.upload_id_marker:
        start = _after_upload(bucket_id, request)
    elif window.start == next_prefix(base + marker):
        return window  # the marker is a common prefix, and its group is passed over
    else:
        start = next_prefix(base + keys.escape(request.key_marker))
    return Window(window.base, window.prefix, window.delimiter, max(window.prefix, start))


def _after_upload(bucket_id: bytes, request: ListUploads) -> bytes:
    try:
        identity = parse_upload_id(request.upload_id_marker)
    except UploadNotFound as error:
        raise InvalidRequest(error.message) from None
    return keys.upload(bucket_id, request.key_marker, identity) + b"\0"

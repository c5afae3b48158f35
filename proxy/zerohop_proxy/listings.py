"""Listings of objects and versions."""

from __future__ import annotations

import base64
import binascii

from zerohop.rpc.master_api import ListObjects, ListObjectVersions, ObjectPage
from zerohop_proxy.answer import Answer
from zerohop_proxy.params import parse_list_objects, parse_list_objects_v2, parse_list_versions
from zerohop_proxy.request import S3Request
from zerohop_proxy.s3_errors import S3Error
from zerohop_proxy.xml_listings import (
    ObjectsPage,
    VersionsPage,
    list_bucket_result,
    list_bucket_result_v2,
    list_versions_result,
)
from zerohop_proxy.xml_out import Owner

__all__ = ["list_object_versions", "list_objects", "list_objects_v2"]

_MAX_PAGE = 1000


async def list_objects(request: S3Request) -> Answer:
    """ListObjects (v1). In the API page's dialect `continuation-token` is the first key of the page, as it is."""
    params = parse_list_objects(request.query, in_dialect=request.route.in_dialect)
    token = params.continuation_token or ""
    inclusive = bool(token) and token > params.marker
    page = await _page(
        request,
        prefix=params.prefix,
        delimiter=params.delimiter,
        after=token if inclusive else params.marker,
        inclusive=inclusive,
        max_keys=params.max_keys,
    )
    owner = await request.services.owners.of(page.owner)
    shown = _shown(
        request, params.prefix, params.delimiter, params.max_keys, params.url_encoding, page, owner
    )
    document = list_bucket_result(
        shown,
        marker=params.marker,
        next_marker=page.next_name if params.delimiter else "",
        in_dialect=request.route.in_dialect,
        continuation_token=token,
        next_token=page.next_key,
    )
    return Answer.xml(document)


async def list_objects_v2(request: S3Request) -> Answer:
    """ListObjectsV2. The token is opaque: it holds the last name of the page before."""
    params = parse_list_objects_v2(request.query)
    token = params.continuation_token
    page = await _page(
        request,
        prefix=params.prefix,
        delimiter=params.delimiter,
        after=_decode_token(token) if token is not None else params.start_after or "",
        inclusive=False,
        max_keys=params.max_keys,
    )
    owner = await request.services.owners.of(page.owner) if params.fetch_owner else None
    shown = _shown(
        request, params.prefix, params.delimiter, params.max_keys, params.url_encoding, page, owner
    )
    document = list_bucket_result_v2(
        shown,
        start_after=params.start_after,
        continuation_token=token,
        next_continuation_token=_encode_token(page.next_name) if page.next_name else "",
    )
    return Answer.xml(document)


async def list_object_versions(request: S3Request) -> Answer:
    """ListObjectVersions."""
    params = parse_list_versions(request.query)
    limit = min(params.max_keys, _MAX_PAGE)
    page = await request.call(
        lambda caller: ListObjectVersions(
            caller=caller,
            bucket=request.bucket,
            prefix=params.prefix,
            delimiter=params.delimiter,
            key_marker=params.key_marker,
            version_id_marker=params.version_id_marker,
            limit=max(limit, 1),
        )
    )
    owner = await request.services.owners.of(page.owner)
    is_empty = limit == 0  # asks for nothing and gets nothing, but a missing bucket is still missing
    shown = VersionsPage(
        bucket=request.bucket,
        prefix=params.prefix,
        delimiter=params.delimiter,
        max_keys=params.max_keys,
        url_encoding=params.url_encoding,
        is_truncated=bool(page.next_key) and not is_empty,
        key_marker=params.key_marker,
        version_id_marker=params.version_id_marker,
        next_key_marker="" if is_empty else page.next_key,
        next_version_id_marker="" if is_empty else page.next_version_id,
        versions=() if is_empty else page.entries,
        common_prefixes=() if is_empty else page.prefixes,
        owner=owner,
    )
    return Answer.xml(list_versions_result(shown))


async def _page(
    request: S3Request, *, prefix: str, delimiter: str, after: str, inclusive: bool, max_keys: int
) -> ObjectPage:
    limit = min(max_keys, _MAX_PAGE)
    page = await request.call(
        lambda caller: ListObjects(
            caller=caller,
            bucket=request.bucket,
            prefix=prefix,
            delimiter=delimiter,
            after=after,
            inclusive=inclusive,
            limit=max(limit, 1),
        )
    )
    if limit:
        return page
    return ObjectPage(entries=(), prefixes=(), next_name="", next_key="", owner=page.owner)


def _shown(
    request: S3Request,
    prefix: str,
    delimiter: str,
    max_keys: int,
    url_encoding: bool,
    page: ObjectPage,
    owner: Owner | None,
) -> ObjectsPage:
    return ObjectsPage(
        bucket=request.bucket,
        prefix=prefix,
        delimiter=delimiter,
        max_keys=max_keys,
        url_encoding=url_encoding,
        is_truncated=bool(page.next_name),
        objects=page.entries,
        common_prefixes=page.prefixes,
        owner=owner,
    )


def _encode_token(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _decode_token(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise S3Error("InvalidArgument", "The continuation token provided is incorrect") from None

"""GetObject and HeadObject."""

from __future__ import annotations

from functools import partial
from typing import Final

from zerohop.client.mounts import WhatIsRead
from zerohop.errors import Conflict, OriginChanged
from zerohop.model import ReadPolicy
from zerohop.rpc.master_api import LookupObject, ObjectResult
from zerohop_proxy.answer import Answer, Headers
from zerohop_proxy.body_out import SOURCE_HEADER, send_object, source_line
from zerohop_proxy.conditions import Outcome, evaluate_read, failed_read_condition, range_applies
from zerohop_proxy.object_answer import checksum_headers, object_headers
from zerohop_proxy.object_parts import part_of
from zerohop_proxy.params import parse_read_part_number, parse_response_overrides, parse_version_id
from zerohop_proxy.ranges import ByteRange, resolve_range, wanted_of
from zerohop_proxy.request import S3Request
from zerohop_proxy.s3_errors import S3Error

__all__ = ["get_object", "head_object", "lookup"]


async def lookup(request: S3Request, *, with_data: bool) -> ObjectResult:
    """The object that the request names. Raises BucketNotFound, KeyNotFound, VersionNotFound, AccessDenied."""
    version_id = parse_version_id(request.query) if request.query else ""
    known = request.cluster.known
    if not version_id:
        kept = known.find(request.caller, request.bucket, request.key, with_data=with_data)
        if kept is not None:
            known.hits += 1
            return kept.result
        known.misses += 1
    # What leaves nothing in the cache must not begin to fill it.
    is_cached = with_data and request.read_policy() is not ReadPolicy.NO_CACHE
    offset, size = wanted_of(request.headers.get("range")) if is_cached else (0, 0)
    found = await request.call(
        lambda caller: LookupObject(
            caller=caller,
            bucket=request.bucket,
            key=request.key,
            version_id=version_id,
            with_data=with_data,
            read_offset=offset,
            read_bytes=size,
            stamped=known.is_open,
        )
    )
    if not version_id:
        known.keep(request.caller, request.bucket, request.key, found, with_data=with_data)
    return found


async def get_object(request: S3Request) -> Answer | None:
    """GetObject: everything that can be refused is refused before the first byte."""
    with request.cluster.reading():
        found = await lookup(request, with_data=True)
        try:
            return await _send(request, found)
        except OriginChanged:
            if request.out.started:
                raise  # the bytes of two versions must not be mixed
            request.out.source = ""
            return await _send(request, await _look_again(request, found.mount_id))


async def _send(request: S3Request, found: ObjectResult) -> Answer | None:
    if _is_plain(request):
        lines = request.services.described.lines(request.bucket, found)
        size_bytes = found.record.size_bytes
        await send_object(request, found, 0, size_bytes, partial(_plain_head, request, lines))
        return None
    described = await _describe(request, found)
    if isinstance(described, Answer):
        return described
    status, headers, span = described
    await send_object(
        request,
        found,
        span.start,
        span.start + span.length_bytes,
        lambda source: request.out.head(status, [*headers, (SOURCE_HEADER, source)], span.length_bytes),
    )
    return None


async def _look_again(request: S3Request, mount_id: bytes) -> ObjectResult:
    """What the object is now at its origin, which has another one than was believed. Raises KeyNotFound."""
    wanted = WhatIsRead(*wanted_of(request.headers.get("range")))
    mounts = request.cluster.mounts
    try:
        return await mounts.resolve(request.caller, mount_id, request.bucket, request.key, wanted, force=True)
    except Conflict:  # it was written here meanwhile
        return await lookup(request, with_data=True)


async def head_object(request: S3Request) -> Answer | None:
    """HeadObject: what GET would answer, without the body."""
    with request.cluster.reading():  # a part number reads the manifest
        found = await lookup(request, with_data=False)
        if _is_plain(request):
            lines = request.services.described.lines(request.bucket, found)
            await request.out.write(request.out.head_of(200, lines))
            return None
        try:
            described = await _describe(request, found)
        except OriginChanged:
            described = await _describe(request, await _look_again(request, found.mount_id))
    if isinstance(described, Answer):
        return described
    status, headers, span = described
    await request.out.write(request.out.head(status, headers, span.length_bytes))
    return None


# What else a request may ask for than the object as it is: conditions, a part of it, its checksums. Other headers of
# its answer are asked for by the query.
_SPECIAL: Final = frozenset(
    {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "range", "x-amz-checksum-mode"}
)


def _is_plain(request: S3Request) -> bool:
    """Whether there is nothing for `_describe` to decide: the answer is a 200 with the object as it is recorded."""
    return not request.query and _SPECIAL.isdisjoint(request.headers)


def _plain_head(request: S3Request, lines: bytes, source: str) -> bytes:
    return request.out.head_of(200, lines + source_line(source))


async def _describe(request: S3Request, found: ObjectResult) -> Answer | tuple[int, Headers, ByteRange]:
    """Status, headers and bytes of the answer; a whole Answer where the conditions leave no body."""
    record = found.record
    query, headers_in = request.query, request.headers
    overrides = parse_response_overrides(query, anonymous=not request.is_signed)
    outcome = evaluate_read(headers_in, record.etag, record.modified_ms)
    headers = object_headers(record, overrides)
    if outcome is Outcome.NOT_MODIFIED:
        return Answer(304, [item for item in headers if item[0] in _OF_304])
    if outcome is Outcome.PRECONDITION_FAILED:
        raise S3Error("PreconditionFailed", Condition=failed_read_condition(headers_in))
    part_number, part_count = parse_read_part_number(query) if query else None, 0
    if part_number is not None and "range" in headers_in:
        raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
    if part_number is not None:
        span: ByteRange | None
        span, part_count = await part_of(request, found, part_number)
    elif "range" in headers_in and range_applies(headers_in, record.etag, record.modified_ms):
        span = resolve_range(headers_in["range"], record.size_bytes)
    else:
        span = None
    if headers_in.get("x-amz-checksum-mode", "").upper() == "ENABLED" and span is None:
        headers.extend(checksum_headers(record))
    if part_number is not None and part_count:
        headers.append(("x-amz-mp-parts-count", str(part_count)))
    if span is None:
        return 200, headers, ByteRange(0, record.size_bytes)
    if span.length_bytes == 0:  # part 1 of an empty object: a range cannot name it
        return 200, headers, span
    headers.append(("Content-Range", span.content_range(record.size_bytes)))
    return 206, headers, span


_OF_304 = ("ETag", "Last-Modified", "Cache-Control", "Expires")

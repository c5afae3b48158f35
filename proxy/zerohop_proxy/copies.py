"""CopyObject and UploadPartCopy: by reference where the master can, else by moving bytes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from zerohop.errors import BucketNotFound, KeyNotFound, NeedsBytes, VersionNotFound
from zerohop.model import ObjectRecord, PartRecord, UploadRecord, no_segment
from zerohop.rpc.master_api import CopyObject, CopyPart, LookupObject, ObjectResult, PutObject
from zerohop_proxy import xml_out
from zerohop_proxy.answer import Answer
from zerohop_proxy.block_reads import read_bytes
from zerohop_proxy.buckets import check_owner
from zerohop_proxy.checksums import ALGORITHMS, DEFAULT_ALGORITHM
from zerohop_proxy.conditions import failed_copy_condition, write_condition
from zerohop_proxy.digests import BodyDigester, ReceivedBody
from zerohop_proxy.hashing import Batch, digested
from zerohop_proxy.object_answer import described, stored, template
from zerohop_proxy.object_headers import (
    CopySource,
    copy_directive,
    parse_copy_source,
    parse_object_headers,
)
from zerohop_proxy.params import parse_part_number, parse_upload_id
from zerohop_proxy.payload import PayloadMode, VerifiedPayload
from zerohop_proxy.ranges import ByteRange, parse_copy_range
from zerohop_proxy.request import S3Request
from zerohop_proxy.row_conditions import commit_on
from zerohop_proxy.s3_errors import S3Error
from zerohop_proxy.storing import StoredBytes, store_stream
from zerohop_proxy.uploads import commit_part, find_upload

__all__ = ["copy_object", "upload_part_copy"]

_MAX_SOURCE_BYTES = 5 * 1024**3
_COPY_S = 30.0
_REDIRECT = "x-amz-website-redirect-location"
_UNHASHED = VerifiedPayload(None, PayloadMode.UNSIGNED)


async def copy_object(request: S3Request) -> Answer:
    """CopyObject: one metadata commit where source and destination can share contents."""
    source = parse_copy_source(request.headers["x-amz-copy-source"])
    directive = copy_directive(request.headers, "metadata")
    tags_are_copied = copy_directive(request.headers, "tagging") == "COPY"
    asked = template(request.key, parse_object_headers(request.headers))
    algorithm = _asked_algorithm(request)
    request.write_policy()
    if _is_no_change(request, source, directive):
        raise S3Error(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes.",
        )
    mutation = request.new_mutation()

    async def commit(expected: int | None) -> tuple[ObjectResult, ObjectResult]:
        found = await _find_source(request, source)
        _check_size(found.record.size_bytes)
        record = asked if directive == "REPLACE" else _with_metadata_of(found.record, asked)
        if tags_are_copied:
            tags = await request.cluster.mounts.tags_of(request.caller, source.bucket, found)
            record = msgspec.structs.replace(record, tags=dict(tags))
        if not algorithm or algorithm.lower() in found.record.checksums:
            try:
                return found, await _copy_by_reference(request, source, found, record, expected, mutation)
            except NeedsBytes:
                pass
        return found, await _copy_by_bytes(request, source, found, record, algorithm, expected, mutation)

    found, result = await commit_on(request, write_condition(request.headers), commit)
    record = result.record
    return Answer.xml(
        xml_out.copy_object_result(
            record.etag,
            record.modified_ms,
            checksums=described(record.checksums),
            checksum_type=record.checksum_type,
        ),
        _source_version(found),
    )


def _check_size(size_bytes: int) -> None:
    """What one request may copy. Raises InvalidRequest."""
    if size_bytes > _MAX_SOURCE_BYTES:
        raise S3Error(
            "InvalidRequest",
            "The specified copy source is larger than the maximum allowable size for a copy source: "
            f"{_MAX_SOURCE_BYTES}",
        )


def _with_metadata_of(source: ObjectRecord, asked: ObjectRecord) -> ObjectRecord:
    """What the directive COPY copies: all but the redirect, which every object has for itself."""
    headers = {name: value for name, value in source.headers.items() if name != _REDIRECT}
    if _REDIRECT in asked.headers:
        headers[_REDIRECT] = asked.headers[_REDIRECT]
    return msgspec.structs.replace(asked, headers=headers, metadata=source.metadata)


def _is_no_change(request: S3Request, source: CopySource, directive: str) -> bool:
    return (
        directive == "COPY"
        and (source.bucket, source.key) == (request.bucket, request.key)
        and not source.version_id
        and "x-amz-storage-class" not in request.headers
        and _REDIRECT not in request.headers
    )


def _asked_algorithm(request: S3Request) -> str:
    algorithm = request.headers.get("x-amz-checksum-algorithm", "").upper()
    if algorithm and algorithm not in ALGORITHMS:
        raise S3Error("InvalidRequest", "Checksum algorithm provided is unsupported.")
    return algorithm


def _source_version(found: ObjectResult) -> list[tuple[str, str]]:
    version_id = found.record.version_id
    return [("x-amz-copy-source-version-id", version_id)] if version_id != "null" else []


async def _find_source(request: S3Request, source: CopySource, *, with_data: bool = False) -> ObjectResult:
    """The source, if the conditions on it hold. Raises S3Error NoSuchBucket, NoSuchKey, PreconditionFailed."""
    try:
        found = await request.call(
            lambda caller: LookupObject(
                caller=caller,
                bucket=source.bucket,
                key=source.key,
                version_id=source.version_id or "",
                with_data=with_data,
            )
        )
    except BucketNotFound:
        raise S3Error("NoSuchBucket", BucketName=source.bucket) from None
    except VersionNotFound:
        raise S3Error("NoSuchVersion", Key=source.key, VersionId=source.version_id or "") from None
    except KeyNotFound:
        raise S3Error("NoSuchKey", Key=source.key) from None
    check_owner(request, "x-amz-source-expected-bucket-owner", found.bucket_owner)
    failed = failed_copy_condition(request.headers, found.record.etag, found.record.modified_ms)
    if failed is not None:
        raise S3Error("PreconditionFailed", Condition=failed)
    return found


async def _copy_by_reference(
    request: S3Request,
    source: CopySource,
    found: ObjectResult,
    record: ObjectRecord,
    expected: int | None,
    mutation: bytes,
) -> ObjectResult:
    return await request.call(
        lambda caller: CopyObject(
            caller=caller,
            source_bucket=source.bucket,
            source_key=source.key,
            source_version_id=source.version_id or "",
            source_version=found.row_version,
            bucket=request.bucket,
            record=record,
            expected_version=expected,
            mutation=mutation,
        ),
        timeout_s=_COPY_S,
    )


async def _copy_by_bytes(
    request: S3Request,
    source: CopySource,
    found: ObjectResult,
    record: ObjectRecord,
    algorithm: str,
    expected: int | None,
    mutation: bytes,
) -> ObjectResult:
    whole = ByteRange(0, found.record.size_bytes)
    algorithm = algorithm or next(iter(found.record.checksums), "").upper()
    moved, received = await _move_bytes(
        request, source, found, whole, algorithm, request.cluster.view.settings.inline_max_bytes
    )
    record = msgspec.structs.replace(
        record,
        size_bytes=moved.size_bytes,
        etag=received.md5_hex,
        checksums=stored(received.checksums),
        checksum_type="FULL_OBJECT",
        segments=moved.segments,
        unpersisted=moved.is_unpersisted,
    )
    try:
        return await request.call(
            lambda caller: PutObject(
                caller=caller,
                bucket=request.bucket,
                record=record,
                data=moved.data,
                contents=moved.contents,
                expected_version=expected,
                mutation=mutation,
                write_policy=request.write_policy_asked(),
            ),
            timeout_s=_COPY_S,
        )
    except Exception as error:
        await moved.discard_after(request, error)
        raise


async def upload_part_copy(request: S3Request) -> Answer:
    """UploadPartCopy: the whole of a one-content source is shared, anything else is moved."""
    source = parse_copy_source(request.headers["x-amz-copy-source"])
    number, upload_id = parse_part_number(request.query), parse_upload_id(request.query)
    request.write_policy()
    upload = await find_upload(request, upload_id)
    found = await _find_source(request, source)
    size_bytes = found.record.size_bytes
    asked = request.headers.get("x-amz-copy-source-range")
    span = ByteRange(0, size_bytes) if asked is None else parse_copy_range(asked, size_bytes)
    _check_size(span.length_bytes)
    part = None
    if span.length_bytes == size_bytes and _can_share(found.record, upload):
        part = await _share_part(request, source, found, number, upload)
    if part is None:
        part = await _move_part(request, source, found, span, number, upload)
    return Answer.xml(
        xml_out.copy_part_result(part.etag, part.modified_ms, checksums=described(part.checksums)),
        _source_version(found),
    )


def _can_share(record: ObjectRecord, upload: UploadRecord) -> bool:
    """Whether the record already tells all that the part must know: its MD5, and the checksum of the upload."""
    algorithm = upload.checksum_algorithm.lower()
    return not record.part_count and (
        not algorithm or (algorithm in record.checksums and record.checksum_type != "COMPOSITE")
    )


async def _share_part(
    request: S3Request, source: CopySource, found: ObjectResult, number: int, upload: UploadRecord
) -> PartRecord | None:
    record = found.record
    part = PartRecord(
        number=number,
        size_bytes=record.size_bytes,
        etag=record.etag,
        modified_ms=0,
        segment=record.segments[0] if record.segments else no_segment(),
        checksums=record.checksums,
        unpersisted=record.unpersisted,
    )
    mutation = request.new_mutation()
    try:
        result = await request.call(
            lambda caller: CopyPart(
                caller=caller,
                source_bucket=source.bucket,
                source_key=source.key,
                source_version_id=source.version_id or "",
                source_version=found.row_version,
                bucket=request.bucket,
                key=request.key,
                upload_id=upload.upload_id,
                part=part,
                mutation=mutation,
            ),
            timeout_s=_COPY_S,
        )
    except NeedsBytes:
        return None
    return result.part


async def _move_part(
    request: S3Request,
    source: CopySource,
    found: ObjectResult,
    span: ByteRange,
    number: int,
    upload: UploadRecord,
) -> PartRecord:
    moved, received = await _move_bytes(request, source, found, span, upload.checksum_algorithm, 0)
    part = PartRecord(
        number=number,
        size_bytes=moved.size_bytes,
        etag=received.md5_hex,
        modified_ms=0,
        segment=moved.segments[0] if moved.segments else no_segment(),
        checksums=stored(received.checksums),
        unpersisted=moved.is_unpersisted,
    )
    return await commit_part(request, upload.upload_id, part, moved)


async def _move_bytes(
    request: S3Request,
    source: CopySource,
    found: ObjectResult,
    span: ByteRange,
    algorithm: str,
    inline_max_bytes: int,
) -> tuple[StoredBytes, ReceivedBody]:
    """Read the bytes of the source and store them as a body would be."""
    digester = BodyDigester(_UNHASHED, {}, default_algorithm=algorithm or DEFAULT_ALGORITHM)
    with request.cluster.reading():
        if found.record.inline:
            found = await _find_source(request, source, with_data=True)
            if found.record.size_bytes < span.start + span.length_bytes:
                raise S3Error("OperationAborted")  # replaced by something shorter since it was looked up
        stop = span.start + span.length_bytes
        async with aclosing(
            read_bytes(request.cluster, found, span.start, stop, request.services.disk)
        ) as pieces:
            moved = await store_stream(
                request,
                _hashed(request, pieces, digester),
                expected_bytes=span.length_bytes,
                inline_max_bytes=inline_max_bytes,
            )
    return moved, digester.finish({})


def _hashed(
    request: S3Request, pieces: AsyncGenerator[bytes | memoryview, None], digester: BodyDigester
) -> AsyncGenerator[Batch, None]:
    async def take() -> bytes | memoryview:
        return await anext(pieces, b"")

    def digest(data: bytes | memoryview) -> Batch:
        batch = (data,)
        digester.update(batch)
        return batch

    return digested(take, digest, request.services.hashing)

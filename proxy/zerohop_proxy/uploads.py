"""Multipart uploads: create, upload a part, complete, abort."""

from __future__ import annotations

import asyncio
from functools import partial

from zerohop.errors import UploadNotFound
from zerohop.model import PartRecord, UploadRecord, no_segment
from zerohop.rpc.master_api import (
    AbortUpload,
    CompleteUpload,
    CreateUpload,
    GetUpload,
    ListedPart,
    ObjectResult,
    PutPart,
)
from zerohop_proxy import xml_out
from zerohop_proxy.answer import Answer
from zerohop_proxy.body_in import IncomingBody, parsed, read_document
from zerohop_proxy.checksums import DEFAULT_ALGORITHM, header_name
from zerohop_proxy.conditions import write_condition
from zerohop_proxy.multipart_checksums import (
    agreed_algorithm,
    check_upload_checksum,
    checksum_kind,
    default_type,
    object_checksums,
)
from zerohop_proxy.object_answer import described, stored, template
from zerohop_proxy.object_headers import parse_object_headers
from zerohop_proxy.params import parse_part_number, parse_upload_id
from zerohop_proxy.request import S3Request
from zerohop_proxy.row_conditions import commit_on, decided_version
from zerohop_proxy.s3_errors import S3Error
from zerohop_proxy.storing import StoredBytes, store_body
from zerohop_proxy.upload_parts import all_parts
from zerohop_proxy.xml_in import CompletedPart, parse_complete_multipart_upload

__all__ = [
    "abort_multipart_upload",
    "commit_part",
    "complete_multipart_upload",
    "create_multipart_upload",
    "find_upload",
    "upload_part",
]

_MIN_PART_BYTES = 5 * 1024 * 1024  # S3 user guide, "Amazon S3 multipart upload limits"
_COMPLETE_S = 60.0
_COMBINED_ON_LOOP = 256
"""Checksums of parts: 5 us each, and 10,000 of them shall not hold up other requests."""


async def find_upload(request: S3Request, upload_id: str) -> UploadRecord:
    """An open upload of the request's key. Raises BucketNotFound, UploadNotFound."""
    result = await request.call(
        lambda caller: GetUpload(caller=caller, bucket=request.bucket, key=request.key, upload_id=upload_id)
    )
    return result.upload


async def create_multipart_upload(request: S3Request) -> Answer:
    """CreateMultipartUpload."""
    request.write_policy()
    record = template(request.key, parse_object_headers(request.headers))
    algorithm, kind = default_type(request.headers)
    mutation = request.new_mutation()
    result = await request.call(
        lambda caller: CreateUpload(
            caller=caller,
            bucket=request.bucket,
            template=record,
            checksum_algorithm=algorithm,
            checksum_type=kind,
            mutation=mutation,
        )
    )
    headers = []
    if algorithm:
        headers = [("x-amz-checksum-algorithm", algorithm), ("x-amz-checksum-type", kind)]
    document = xml_out.initiate_multipart_upload_result(request.bucket, request.key, result.upload.upload_id)
    return Answer.xml(document, headers)


async def upload_part(request: S3Request) -> Answer:
    """UploadPart. Parts are never stored inline, so that completion and copies only name contents."""
    request.write_policy()
    number, upload_id = parse_part_number(request.query), parse_upload_id(request.query)
    upload = await find_upload(request, upload_id)
    body = IncomingBody(
        request,
        default_algorithm=upload.checksum_algorithm,
        # The object's own, which completion combines; a part may declare another one of its own.
        extra_algorithm="" if upload.checksum_algorithm else DEFAULT_ALGORITHM,
    )
    agreed_algorithm(upload, body.declared_algorithm)
    stored_bytes, received = await store_body(request, body, inline_max_bytes=0)
    part = await commit_part(
        request,
        upload_id,
        PartRecord(
            number=number,
            size_bytes=stored_bytes.size_bytes,
            etag=received.md5_hex,
            modified_ms=0,
            segment=stored_bytes.segments[0] if stored_bytes.segments else no_segment(),
            checksums=stored(received.checksums),
            unpersisted=stored_bytes.is_unpersisted,
        ),
        stored_bytes,
    )
    headers = [("ETag", f'"{part.etag}"')]
    shown = body.declared_algorithm or checksum_kind(upload)[0]
    headers.append((header_name(shown), received.checksums[shown]))
    return Answer(200, headers)


async def commit_part(
    request: S3Request, upload_id: str, part: PartRecord, stored_bytes: StoredBytes
) -> PartRecord:
    """Make it the part of its number, in place of one that was there."""
    mutation = request.new_mutation()
    contents = stored_bytes.contents
    try:
        stored_bytes.check_fresh(request)
        result = await request.call(
            lambda caller: PutPart(
                caller=caller,
                bucket=request.bucket,
                key=request.key,
                upload_id=upload_id,
                part=part,
                content=contents[0] if contents else None,
                mutation=mutation,
            ),
            timeout_s=30.0,
        )
    except Exception as error:
        await stored_bytes.discard_after(request, error)
        raise
    return result.part


async def complete_multipart_upload(request: S3Request) -> Answer:
    """CompleteMultipartUpload: a metadata commit. The same list again, after the answer was lost, succeeds again."""
    upload_id = parse_upload_id(request.query)
    condition = write_condition(request.headers)
    document, _ = await read_document(request, with_checksum=False)
    listed = await parsed(request, parse_complete_multipart_upload, document)
    if listed is None and not (request.route.in_dialect and not request.is_signed):
        raise S3Error("MalformedXML")
    checksums, kind = await _checksums(request, upload_id, listed)
    await decided_version(request, condition)
    mutation = request.new_mutation()
    parts = None if listed is None else tuple(ListedPart(number=p.part_number, etag=p.etag) for p in listed)

    async def commit(expected: int | None) -> ObjectResult:
        return await request.call(
            lambda caller: CompleteUpload(
                caller=caller,
                bucket=request.bucket,
                key=request.key,
                upload_id=upload_id,
                parts=parts,
                min_part_bytes=0 if request.route.in_dialect else _MIN_PART_BYTES,
                checksums=stored(checksums),
                checksum_type=kind,
                expected_version=expected,
                mutation=mutation,
                write_policy=request.write_policy_asked(),
            ),
            timeout_s=_COMPLETE_S,
        )

    result = await commit_on(request, condition, commit)
    return Answer.xml(
        xml_out.complete_multipart_upload_result(
            _location(request),
            request.bucket,
            request.key,
            result.record.etag,
            checksums=described(result.record.checksums),
            checksum_type=result.record.checksum_type,
        )
    )


async def _checksums(
    request: S3Request, upload_id: str, listed: list[CompletedPart] | None
) -> tuple[dict[str, str], str]:
    """Checksums of the object that the parts make, by ALGORITHM, and their type."""
    try:
        upload = await find_upload(request, upload_id)
    except (
        UploadNotFound
    ):  # perhaps completed by the same request before: the master knows, and has its result
        return {}, ""
    parts = await all_parts(request, upload_id)
    work = partial(object_checksums, upload, parts, listed, request.headers.get("x-amz-mp-object-size"))
    if len(parts) <= _COMBINED_ON_LOOP:
        checksums = work()
    else:
        checksums = await asyncio.get_running_loop().run_in_executor(request.services.hashing, work)
    check_upload_checksum(request.headers, upload, checksums)
    return checksums, checksum_kind(upload)[1] if checksums else ""


def _location(request: S3Request) -> str:
    if request.route.in_dialect:
        return f"/{request.bucket}/{request.key}"
    return f"{request.out.http.scheme}://{request.headers.get('host', '')}{request.raw.path}"


async def abort_multipart_upload(request: S3Request) -> Answer:
    """AbortMultipartUpload."""
    upload_id = parse_upload_id(request.query)
    mutation = request.new_mutation()
    await request.call(
        lambda caller: AbortUpload(
            caller=caller,
            bucket=request.bucket,
            key=request.key,
            upload_id=upload_id,
            mutation=mutation,
        )
    )
    return Answer(204)

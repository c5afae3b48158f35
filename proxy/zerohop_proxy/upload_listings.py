"""ListMultipartUploads and ListParts."""

from __future__ import annotations

from zerohop.model import PartRecord, UploadRecord
from zerohop.rpc.master_api import ListParts, ListUploads
from zerohop_proxy.answer import Answer
from zerohop_proxy.object_answer import described
from zerohop_proxy.params import parse_list_parts, parse_list_uploads
from zerohop_proxy.request import S3Request
from zerohop_proxy.xml_listings import (
    PartEntry,
    PartsPage,
    UploadEntry,
    UploadsPage,
    list_multipart_uploads_result,
    list_parts_result,
)

__all__ = ["list_multipart_uploads", "list_parts"]

_MAX_PAGE = 1000


async def list_multipart_uploads(request: S3Request) -> Answer:
    """ListMultipartUploads: open uploads by key, then by time."""
    params = parse_list_uploads(request.query)
    limit = min(params.max_uploads, _MAX_PAGE)
    page = await request.call(
        lambda caller: ListUploads(
            caller=caller,
            bucket=request.bucket,
            prefix=params.prefix,
            delimiter=params.delimiter,
            key_marker=params.key_marker,
            upload_id_marker=params.upload_id_marker,
            limit=max(limit, 1),
        )
    )
    is_empty = limit == 0
    uploads = () if is_empty else page.uploads
    shown = UploadsPage(
        bucket=request.bucket,
        prefix=params.prefix,
        delimiter=params.delimiter,
        max_uploads=params.max_uploads,
        url_encoding=params.url_encoding,
        is_truncated=bool(page.next_key) and not is_empty,
        key_marker=params.key_marker,
        upload_id_marker=params.upload_id_marker,
        next_key_marker="" if is_empty else page.next_key,
        next_upload_id_marker="" if is_empty else page.next_upload_id,
        uploads=[await _upload(request, upload) for upload in uploads],
        common_prefixes=() if is_empty else page.prefixes,
    )
    return Answer.xml(list_multipart_uploads_result(shown))


async def _upload(request: S3Request, upload: UploadRecord) -> UploadEntry:
    return UploadEntry(
        key=upload.key,
        upload_id=upload.upload_id,
        initiated_ms=upload.created_ms,
        owner=await request.services.owners.of(upload.owner),
        storage_class=upload.template.storage_class,
        checksum_algorithm=upload.checksum_algorithm,
        checksum_type=upload.checksum_type,
    )


async def list_parts(request: S3Request) -> Answer:
    """ListParts."""
    params = parse_list_parts(request.query)
    limit = min(params.max_parts, _MAX_PAGE)
    page = await request.call(
        lambda caller: ListParts(
            caller=caller,
            bucket=request.bucket,
            key=request.key,
            upload_id=params.upload_id,
            after=params.part_number_marker,
            limit=max(limit, 1),
        )
    )
    upload = page.upload
    parts = page.parts if limit else ()
    shown = PartsPage(
        bucket=request.bucket,
        key=request.key,
        upload_id=params.upload_id,
        owner=await request.services.owners.of(upload.owner),
        part_number_marker=params.part_number_marker,
        next_part_number_marker=parts[-1].number if parts else 0,
        max_parts=params.max_parts,
        is_truncated=bool(page.next_after) and bool(limit),
        parts=[_part(part) for part in parts],
        storage_class=upload.template.storage_class,
        checksum_algorithm=upload.checksum_algorithm,
        checksum_type=upload.checksum_type,
    )
    return Answer.xml(list_parts_result(shown))


def _part(part: PartRecord) -> PartEntry:
    return PartEntry(part.number, part.modified_ms, part.etag, part.size_bytes, described(part.checksums))

"""Copies and renames: commits that share contents and move no bytes.

Row versions make them safe: the source's row is read in the same transaction, so what it refers to is live.
"""

from __future__ import annotations

import msgspec

from zerohop.errors import Conflict, NeedsBytes, PreconditionFailed
from zerohop.model import BucketRecord, ObjectRecord, no_segment
from zerohop.rpc.master_api import CopyObject, CopyPart, LookupObject, ObjectResult, PartResult, RenameObject
from zerohop_master import keys
from zerohop_master.contents import References, contents_of
from zerohop_master.local_objects import refuse_mounted
from zerohop_master.manifests import all_persisted
from zerohop_master.namespace import Namespace
from zerohop_master.objects import check_expected, check_key, found_object, lookup_object, replace_object
from zerohop_master.rows import INLINE_MARK, UPLOAD
from zerohop_master.transaction import StaleRead, Transaction
from zerohop_master.uploads import check_open, check_part, find_upload, replace_part

__all__ = ["copy_object", "copy_part", "rename_object"]


async def copy_object(namespace: Namespace, request: CopyObject) -> ObjectResult:
    """See `CopyObject`. Checksums are the source's, unless the request's record has some."""
    given = request.record
    check_key(given.key)

    async def body(transaction: Transaction) -> ObjectResult:
        bucket, old = await namespace.bucket_and_row(transaction, request.caller, request.bucket, given.key)
        refuse_mounted(bucket)
        source = await _source(namespace, transaction, request)
        check_expected(old, request.expected_version)
        record = msgspec.structs.replace(
            given,
            size_bytes=source.size_bytes,
            etag=source.etag,
            checksums=given.checksums or source.checksums,
            checksum_type=given.checksum_type if given.checksums else source.checksum_type,
            segments=source.segments,
            manifest=source.manifest,
            part_count=source.part_count,
            inline=namespace.new_id() if source.inline else b"",
            unpersisted=False,
            origin=None,
        )
        references = References(transaction, namespace.now_ms())
        inline = await _inline_data(transaction, source)
        record = replace_object(namespace, transaction, references, bucket, record, old)
        await references.share_object(bucket.bucket_id, record, inline)
        await references.settle()
        return ObjectResult(record=record, row_version=0, bucket_owner=bucket.owner)

    turns = ((request.source_bucket, request.source_key), (request.bucket, given.key))
    return await namespace.mutate(request, request.mutation, body, *turns)


async def _source(
    namespace: Namespace, transaction: Transaction, request: CopyObject | CopyPart
) -> ObjectRecord:
    """The source as the caller has seen it. Raises KeyNotFound, Conflict, NeedsBytes (not in the under-store yet)."""
    _, row = await namespace.bucket_and_row(
        transaction, request.caller, request.source_bucket, request.source_key
    )
    source = found_object(row, request.source_key, request.source_version_id)
    if row is None or row.version != request.source_version:
        raise Conflict("the source has changed since it was looked up")
    if source.origin is not None:
        raise NeedsBytes("the source is at the origin of a mount")
    if not await all_persisted(namespace, source):
        raise NeedsBytes("the source is not in the under-store yet")
    return source


async def _inline_data(transaction: Transaction, record: ObjectRecord) -> bytes:
    if not record.inline:
        return b""
    row = await transaction.get_one(keys.inline_data(record.inline))
    if row is None:
        raise StaleRead
    return row.value[len(INLINE_MARK) :]


async def rename_object(namespace: Namespace, request: RenameObject) -> ObjectResult:
    """See `RenameObject`. Inline data stays where it is; only its owner changes. Onto itself it changes nothing."""
    check_key(request.key)
    if (request.source_bucket, request.source_key) == (request.bucket, request.key):
        unchanged = LookupObject(
            caller=request.caller, bucket=request.bucket, key=request.key, with_data=False
        )
        return await lookup_object(namespace, unchanged)

    async def body(transaction: Transaction) -> ObjectResult:
        source_bucket, row = await namespace.bucket_and_row(
            transaction, request.caller, request.source_bucket, request.source_key
        )
        source = found_object(row, request.source_key, "")
        bucket, old = await namespace.bucket_and_row(transaction, request.caller, request.bucket, request.key)
        if bucket.mount_id or source_bucket.mount_id:
            raise NeedsBytes("a mount takes part in it")
        assert row is not None
        if old is not None and not request.overwrite:
            raise PreconditionFailed(f"object {request.key!r} exists", condition="If-None-Match")
        references = References(transaction, namespace.now_ms())
        record = msgspec.structs.replace(source, key=request.key)
        record = replace_object(namespace, transaction, references, bucket, record, old)
        transaction.delete(row.key)
        await _move_references(references, source_bucket, source, bucket, record)
        return ObjectResult(record=record, row_version=0, bucket_owner=bucket.owner)

    turns = ((request.source_bucket, request.source_key), (request.bucket, request.key))
    return await namespace.mutate(request, request.mutation, body, *turns)


async def _move_references(
    references: References,
    source_bucket: BucketRecord,
    source: ObjectRecord,
    bucket: BucketRecord,
    record: ObjectRecord,
) -> None:
    await references.share(
        contents_of(record), keys.object_owner(bucket.bucket_id, record.key, record.sequence)
    )
    references.drop(
        contents_of(source), keys.object_owner(source_bucket.bucket_id, source.key, source.sequence)
    )
    await references.settle()


async def copy_part(namespace: Namespace, request: CopyPart) -> PartResult:
    """See `CopyPart`. A source whose ETag is not the MD5 of its bytes (it was multipart) needs bytes too."""

    async def body(transaction: Transaction) -> PartResult:
        source = await _source(namespace, transaction, request)
        if (
            source.inline
            or len(source.segments) > 1
            or (source.manifest and not source.segments)
            or "-" in source.etag
        ):
            raise NeedsBytes("the source is not one content")
        segment = source.segments[0] if source.segments else no_segment()
        part = msgspec.structs.replace(
            request.part,
            size_bytes=source.size_bytes,
            etag=source.etag,
            modified_ms=namespace.now_ms(),
            segment=segment,
            unpersisted=False,
        )
        check_part(part)
        _, row = await find_upload(
            namespace, transaction, request.caller, request.bucket, request.key, request.upload_id
        )
        check_open(UPLOAD.decode(row.value))
        references = References(transaction, namespace.now_ms())
        owner = await replace_part(transaction, references, request.upload_id, part)
        await references.share([segment.content] if segment.length else [], owner)
        await references.settle()
        return PartResult(part=part)

    return await namespace.mutate(request, request.mutation, body, (request.upload_id, request.part.number))

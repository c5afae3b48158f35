"""Multipart uploads: open, put a part, abort. Completion has a file of its own."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from zerohop.errors import InvalidRequest, OperationConflict, UploadNotFound
from zerohop.model import BucketRecord, Caller, PartRecord, UploadRecord, no_segment
from zerohop.rpc.master_api import (
    AbortUpload,
    CreateUpload,
    Empty,
    GetUpload,
    PartResult,
    PutPart,
    UploadResult,
)
from zerohop_master import keys
from zerohop_master.contents import References
from zerohop_master.due_work import CLEAN_PARTS
from zerohop_master.kv.interface import Row
from zerohop_master.local_objects import check_writable, refuse_unchecked
from zerohop_master.namespace import Namespace, Reads
from zerohop_master.objects import check_key
from zerohop_master.rows import CLEAN_UP, PART, UPLOAD, CleanUp
from zerohop_master.transaction import Transaction

__all__ = [
    "MAX_PART_NUMBER",
    "abort_in",
    "abort_upload",
    "check_open",
    "check_part",
    "create_upload",
    "find_upload",
    "get_upload",
    "parse_upload_id",
    "put_part",
    "replace_part",
]

MAX_PART_NUMBER: Final = 10_000
_MD5: Final = re.compile("[0-9a-f]{32}")


async def create_upload(namespace: Namespace, request: CreateUpload) -> UploadResult:
    """See `CreateUpload`. The id is ordered by time, so that uploads of one key list in the order of creation."""
    check_key(request.template.key)

    async def body(transaction: Transaction) -> UploadResult:
        bucket = await namespace.bucket(transaction, request.caller, request.bucket)
        if bucket.mount_id:
            mount = await check_writable(transaction, bucket)
            refuse_unchecked(bucket, mount, request.template.key, is_checked=request.is_checked)
        upload_id = namespace.new_id()
        upload = UploadRecord(
            upload_id=upload_id.hex(),
            key=request.template.key,
            owner=request.caller.user,
            created_ms=namespace.now_ms(),
            template=request.template,
            checksum_algorithm=request.checksum_algorithm,
            checksum_type=request.checksum_type,
        )
        row_key = keys.upload(bucket.bucket_id, upload.key, upload_id)
        transaction.require(row_key, 0)
        transaction.put(row_key, UPLOAD.encode(upload))
        return UploadResult(upload=upload)

    return await namespace.mutate(request, request.mutation, body)


async def get_upload(namespace: Namespace, request: GetUpload) -> UploadResult:
    """See `GetUpload`. One that is being completed is answered too, with its state."""
    _, row = await find_upload(
        namespace, namespace.reads, request.caller, request.bucket, request.key, request.upload_id
    )
    return UploadResult(upload=UPLOAD.decode(row.value))


async def put_part(namespace: Namespace, request: PutPart) -> PartResult:
    """See `PutPart`."""
    check_part(request.part)
    told = request.content
    segment = request.part.segment
    if (told.content, told.length) != (segment.content, segment.length) if told else segment != no_segment():
        raise InvalidRequest("the content is not that of the part's segment")
    if segment.length != request.part.size_bytes:
        raise InvalidRequest("the content does not have the size of the part")

    async def body(transaction: Transaction) -> PartResult:
        _, row = await find_upload(
            namespace, transaction, request.caller, request.bucket, request.key, request.upload_id
        )
        check_open(UPLOAD.decode(row.value))
        part = msgspec.structs.replace(
            request.part, modified_ms=namespace.now_ms(), unpersisted=bool(told and not told.persisted)
        )
        references = References(transaction, namespace.now_ms())
        owner = await replace_part(transaction, references, request.upload_id, part)
        await references.adopt((told,) if told else (), owner)
        await references.settle()
        return PartResult(part=part)

    return await namespace.mutate(request, request.mutation, body, (request.upload_id, request.part.number))


async def replace_part(
    transaction: Transaction, references: References, upload_id: str, part: PartRecord
) -> bytes:
    """Makes `part` the part of its number; answers the owner of its references, which the caller sees to."""
    identity = parse_upload_id(upload_id)
    row_key, owner = keys.part(identity, part.number), keys.part_owner(identity, part.number)
    old = await transaction.get_one(row_key)
    if old is not None and (segment := PART.decode(old.value).segment).length:
        references.drop([segment.content], owner)
    transaction.put(row_key, PART.encode(part))
    return owner


async def abort_upload(namespace: Namespace, request: AbortUpload) -> Empty:
    """See `AbortUpload`. Its parts are removed in the background."""

    async def body(transaction: Transaction) -> Empty:
        _, row = await find_upload(
            namespace, transaction, request.caller, request.bucket, request.key, request.upload_id
        )
        check_open(UPLOAD.decode(row.value))
        abort_in(transaction, row.key, namespace.now_ms())
        return Empty()

    return await namespace.mutate(request, request.mutation, body)


def abort_in(transaction: Transaction, row_key: bytes, now_ms: int) -> None:
    """Ends an upload whose row the transaction has read."""
    upload_id = keys.upload_id_of(row_key)
    transaction.delete(row_key)
    transaction.put(keys.due_work(now_ms, CLEAN_PARTS, upload_id), CLEAN_UP.encode(CleanUp(upload=upload_id)))


async def find_upload(
    namespace: Namespace, reads: Reads, caller: Caller, bucket_name: str, key: str, upload_id: str
) -> tuple[BucketRecord, Row]:
    """The bucket and the row of an upload that is open or completing. Raises BucketNotFound, UploadNotFound."""
    bucket = await namespace.bucket(reads, caller, bucket_name)
    (row,) = await reads.get(keys.upload(bucket.bucket_id, key, parse_upload_id(upload_id)))
    if row is None:
        raise UploadNotFound(f"there is no upload {upload_id!r} of {key!r}", upload=upload_id)
    return bucket, row


def check_open(upload: UploadRecord) -> None:
    """Raises OperationConflict for an upload that is being completed."""
    if upload.state != "open":
        raise OperationConflict(f"upload {upload.upload_id} is being completed")


def parse_upload_id(upload_id: str) -> bytes:
    """The 16 bytes of an upload id as it stands in records and requests. Raises UploadNotFound for anything else."""
    try:
        identity = bytes.fromhex(upload_id)
    except ValueError:
        identity = b""
    if len(identity) != 16 or identity.hex() != upload_id:
        raise UploadNotFound(f"{upload_id!r} is no upload id", upload=upload_id)
    return identity


def check_part(part: PartRecord) -> None:
    """Raises InvalidRequest unless the number is from 1 to 10,000 and the ETag an MD5."""
    if not 1 <= part.number <= MAX_PART_NUMBER:
        raise InvalidRequest(f"part numbers are from 1 to {MAX_PART_NUMBER:,}, not {part.number}")
    if not _MD5.fullmatch(part.etag):
        raise InvalidRequest(f"the ETag of a part is the MD5 of its bytes, not {part.etag!r}")

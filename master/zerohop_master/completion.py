"""Completion of an upload: a commit that closes it to new parts, one that makes the object, and no byte moved.

    open --freeze--> completing --finish--> (object, manifest, ended upload in one commit)
      ^                  |
      +---- reopen ------+   a listed part is wrong, the object has changed, or a crash left it behind

In "completing" no part can change, since every change of a part depends on the version of the upload's row. The same
request, sent again, goes on where an earlier one was cut. One that never comes again is reopened in the background.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Sequence
from typing import Final

import msgspec

from zerohop.errors import (
    InvalidPart,
    InvalidPartOrder,
    InvalidRequest,
    OperationConflict,
    PartTooSmall,
    UploadNotFound,
    ZerohopError,
)
from zerohop.model import ObjectRecord, PartRecord, UploadRecord
from zerohop.rpc.master_api import CompleteUpload, ListedPart, ObjectResult
from zerohop.rpc.message import encode
from zerohop_master import keys
from zerohop_master.contents import References
from zerohop_master.due_work import CLEAN_PARTS, DROP_ENDED, REOPEN_UPLOAD
from zerohop_master.kv.interface import KeyValueStore
from zerohop_master.local_objects import check_writable, note_local, refuse_unchecked
from zerohop_master.manifests import manifest_rows
from zerohop_master.namespace import Namespace
from zerohop_master.objects import check_expected, replace_object
from zerohop_master.rows import CLEAN_UP, ENDED_UPLOAD, PART, STALLED, UPLOAD, CleanUp, EndedUpload, Stalled
from zerohop_master.transaction import Transaction, commit_internally
from zerohop_master.uploads import MAX_PART_NUMBER, find_upload, parse_upload_id

__all__ = ["chosen_parts", "complete_upload", "multipart_etag", "reopen"]

_SEGMENTS_IN_RECORD: Final = 32
"""A lookup of an object of at most so many parts brings its segments along."""
_KEPT_FOR_REPLAY_MS: Final = 24 * 3600 * 1000
_STALLED_AFTER_MS: Final = 10 * 60 * 1000
_MAX_ATTEMPTS: Final = 8
_PARTS_PER_SCAN: Final = 1000


class _Reopened(Exception):
    """The upload is not in the state any more that this completion has frozen."""


async def complete_upload(namespace: Namespace, request: CompleteUpload) -> ObjectResult:
    """See `CompleteUpload`. Sent again after it has succeeded, it answers the object that it made then."""
    _check_order(request.parts)
    digest = _digest(request)
    for _ in range(_MAX_ATTEMPTS):
        try:
            frozen_version = await _freeze(namespace, request, digest)
            parts = await _chosen(namespace, request)
            return await _finish(namespace, request, parts, digest, frozen_version)
        except _Reopened:
            continue
        except UploadNotFound:
            if (earlier := await _ended(namespace, request, digest)) is not None:
                return earlier
            raise
        except (InvalidPart, PartTooSmall, InvalidRequest):
            await _reopen_after_failure(namespace, request, digest)
            raise
        except ZerohopError as error:
            if error.code == "Conflict":  # the caller's expectation: he decides anew, and may give up
                await _reopen_after_failure(namespace, request, digest)
            raise
    raise OperationConflict(f"upload {request.upload_id} was reopened again and again")


def _digest(request: CompleteUpload) -> bytes:
    """What tells one completion of an upload from another: checksums follow from the parts, conditions may change."""
    parts = None if request.parts is None else [(one.number, _bare(one.etag)) for one in request.parts]
    return hashlib.blake2b(encode((parts, request.min_part_bytes)), digest_size=16).digest()


def _bare(etag: str) -> str:
    return etag.strip('"').lower()


def _check_order(parts: Sequence[ListedPart] | None) -> None:
    if parts is None:
        return
    if not parts:
        raise InvalidRequest("an upload is completed with at least one part")
    if len(parts) > MAX_PART_NUMBER:
        raise InvalidRequest(f"an upload has at most {MAX_PART_NUMBER:,} parts")
    if any(one.number >= next_one.number for one, next_one in itertools.pairwise(parts)):
        raise InvalidPartOrder


async def _freeze(namespace: Namespace, request: CompleteUpload, digest: bytes) -> int:
    """Closes the upload to new parts, or finds it closed by the same request; answers its row's version."""

    async def body(transaction: Transaction) -> int:
        bucket, row = await find_upload(
            namespace, transaction, request.caller, request.bucket, request.key, request.upload_id
        )
        upload = UPLOAD.decode(row.value)
        if upload.state == "completing":
            if upload.digest != digest:
                raise OperationConflict(f"upload {request.upload_id} is being completed with another list")
            return row.version
        if (
            bucket.mount_id
        ):  # what stands in its way at the origin may be there only since the upload was created
            mount = await check_writable(transaction, bucket)
            refuse_unchecked(bucket, mount, request.key, is_checked=request.is_checked)
        current = await transaction.get_one(keys.object_row(bucket.bucket_id, request.key))
        check_expected(current, request.expected_version)
        frozen = msgspec.structs.replace(upload, state="completing", digest=digest)
        transaction.put(row.key, UPLOAD.encode(frozen))
        due_ms = namespace.now_ms() + _STALLED_AFTER_MS
        transaction.put(
            keys.due_work(due_ms, REOPEN_UPLOAD, parse_upload_id(request.upload_id)),
            STALLED.encode(Stalled(upload_row=row.key)),
        )
        return 0

    version = await commit_internally(namespace.store, body)
    return version or await commit_internally(namespace.store, body)


async def _chosen(namespace: Namespace, request: CompleteUpload) -> list[PartRecord]:
    stored = await _read_parts(namespace.store, parse_upload_id(request.upload_id))
    return chosen_parts(stored, request.parts, request.min_part_bytes)


async def _read_parts(store: KeyValueStore, upload_id: bytes) -> list[PartRecord]:
    start, end = keys.span(keys.parts(upload_id))
    parts: list[PartRecord] = []
    while rows := await store.scan(start, end, limit=_PARTS_PER_SCAN):
        parts += (PART.decode(row.value) for row in rows)
        if len(rows) < _PARTS_PER_SCAN:
            break
        start = rows[-1].key + b"\0"
    return parts


def chosen_parts(
    stored: Sequence[PartRecord], listed: Sequence[ListedPart] | None, min_part_bytes: int
) -> list[PartRecord]:
    """The parts that make the object, in order. Raises InvalidPart, PartTooSmall, InvalidRequest (none at all)."""
    if listed is None:
        chosen = list(stored)
    else:
        by_number = {part.number: part for part in stored}
        chosen = []
        for one in listed:
            part = by_number.get(one.number)
            if part is None or part.etag != _bare(one.etag):
                raise InvalidPart(
                    f"part {one.number} was not uploaded, or has another ETag",
                    part=str(one.number),
                    etag=_bare(one.etag),
                )
            chosen.append(part)
    if not chosen:
        raise InvalidRequest("the upload has no parts")
    for part in chosen[:-1]:
        if part.size_bytes < min_part_bytes:
            raise PartTooSmall(
                f"part {part.number} has {part.size_bytes} bytes, fewer than {min_part_bytes}",
                part=str(part.number),
                size=str(part.size_bytes),
                minimum=str(min_part_bytes),
                etag=part.etag,
            )
    return chosen


def multipart_etag(parts: Sequence[PartRecord]) -> str:
    """The MD5 of the parts' MD5s and their number, as S3 forms it."""
    joined = b"".join(bytes.fromhex(part.etag) for part in parts)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(parts)}"


def _record(upload: UploadRecord, parts: Sequence[PartRecord], request: CompleteUpload) -> ObjectRecord:
    short = len(parts) <= _SEGMENTS_IN_RECORD
    return msgspec.structs.replace(
        upload.template,
        key=upload.key,
        size_bytes=sum(part.size_bytes for part in parts),
        etag=multipart_etag(parts),
        checksums=request.checksums,
        checksum_type=request.checksum_type,
        segments=tuple(part.segment for part in parts) if short else (),
        manifest=bytes.fromhex(upload.upload_id),
        part_count=len(parts),
        inline=b"",
        unpersisted=any(part.unpersisted for part in parts),
        origin=None,
    )


async def _finish(
    namespace: Namespace,
    request: CompleteUpload,
    parts: Sequence[PartRecord],
    digest: bytes,
    frozen_version: int,
) -> ObjectResult:
    async def body(transaction: Transaction) -> ObjectResult:
        bucket, row = await find_upload(
            namespace, transaction, request.caller, request.bucket, request.key, request.upload_id
        )
        if row.version != frozen_version:
            raise _Reopened
        upload = UPLOAD.decode(row.value)
        old = await transaction.get_one(keys.object_row(bucket.bucket_id, request.key))
        check_expected(old, request.expected_version)
        references = References(transaction, namespace.now_ms())
        record = _record(upload, parts, request)
        persist_now = False
        if bucket.mount_id:
            persist_now = await note_local(
                namespace, transaction, bucket, record, request.write_policy, to_be_persisted=True
            )
        record = replace_object(namespace, transaction, references, bucket, record, old)
        owner = keys.object_owner(bucket.bucket_id, record.key, record.sequence)
        references.create_manifest(record.manifest, record.size_bytes, owner)
        for row_key, value in manifest_rows(record.manifest, parts):
            transaction.put(row_key, value)
        transaction.delete(row.key)
        ended = msgspec.structs.replace(upload, state="completed", digest=digest, result=record)
        _end(transaction, bucket.bucket_id, bucket.owner, ended, parts, namespace.now_ms())
        await references.settle()
        return ObjectResult(
            record=record,
            row_version=0,
            bucket_owner=bucket.owner,
            mount_id=bucket.mount_id,
            persist_now=persist_now,
        )

    return await namespace.mutate(request, request.mutation, body, (request.bucket, request.key))


def _end(
    transaction: Transaction,
    bucket_id: bytes,
    bucket_owner: str,
    ended: UploadRecord,
    parts: Sequence[PartRecord],
    now_ms: int,
) -> None:
    """Keeps the result for replay, and has the part rows removed."""
    identity = bytes.fromhex(ended.upload_id)
    row = EndedUpload(bucket_id=bucket_id, upload=ended, bucket_owner=bucket_owner)
    transaction.put(keys.ended_upload(identity), ENDED_UPLOAD.encode(row))
    transaction.put(keys.due_work(now_ms + _KEPT_FOR_REPLAY_MS, DROP_ENDED, identity), b"\x01")
    listed = bytearray(MAX_PART_NUMBER // 8 + 1)
    for part in parts:
        listed[part.number >> 3] |= 1 << (part.number & 7)
    clean_up = CleanUp(upload=identity, listed=bytes(listed))
    transaction.put(keys.due_work(now_ms, CLEAN_PARTS, identity), CLEAN_UP.encode(clean_up))


async def _ended(namespace: Namespace, request: CompleteUpload, digest: bytes) -> ObjectResult | None:
    """What the same request has made before."""
    bucket = await namespace.bucket(namespace.reads, request.caller, request.bucket)
    (row,) = await namespace.store.get([keys.ended_upload(parse_upload_id(request.upload_id))])
    if row is None:
        return None
    ended = ENDED_UPLOAD.decode(row.value)
    same = (ended.bucket_id, ended.upload.key, ended.upload.digest) == (bucket.bucket_id, request.key, digest)
    if not same or ended.upload.result is None:
        return None
    return ObjectResult(record=ended.upload.result, row_version=row.version, bucket_owner=ended.bucket_owner)


async def _reopen_after_failure(namespace: Namespace, request: CompleteUpload, digest: bytes) -> None:
    async def body(transaction: Transaction) -> None:
        _, row = await find_upload(
            namespace, transaction, request.caller, request.bucket, request.key, request.upload_id
        )
        upload = UPLOAD.decode(row.value)
        if upload.state == "completing" and upload.digest == digest:
            reopen(transaction, row.key, upload)

    with contextlib.suppress(UploadNotFound):  # the same request, sent twice, may have got through
        await commit_internally(namespace.store, body)


def reopen(transaction: Transaction, row_key: bytes, upload: UploadRecord) -> None:
    """Parts may be put again, and another list may be completed."""
    transaction.put(row_key, UPLOAD.encode(msgspec.structs.replace(upload, state="open", digest=b"")))

"""Objects: look up, put, delete."""

from __future__ import annotations

import msgspec

from zerohop.errors import Conflict, InvalidRequest, KeyNotFound, OperationConflict, VersionNotFound
from zerohop.model import NULL_VERSION, BucketRecord, ObjectRecord
from zerohop.rpc.change_board import Stamps
from zerohop.rpc.master_api import (
    DeleteObjects,
    DeleteOutcome,
    DeleteResult,
    DeleteTarget,
    LookupObject,
    ObjectResult,
    PutObject,
)
from zerohop_master import keys
from zerohop_master.contents import References, check_contents
from zerohop_master.holders import holders_of
from zerohop_master.kv.interface import Row
from zerohop_master.local_objects import check_believed, note_local, refuse_mounted
from zerohop_master.namespace import Namespace
from zerohop_master.rows import INLINE_MARK, OBJECT
from zerohop_master.transaction import Transaction

__all__ = [
    "check_expected",
    "delete_objects",
    "found_object",
    "lookup_object",
    "put_object",
    "read_inline",
    "replace_object",
]

_MAX_DELETES = 1000
_MAX_LOOKUPS = 8
"""How often a lookup starts anew because the object was replaced between its two reads (never, on an engine that
reads in the turn of the loop)."""


async def lookup_object(namespace: Namespace, request: LookupObject) -> ObjectResult:
    """See `LookupObject`. One read of bucket and object together; a second one only for inline data or holders."""
    for _ in range(_MAX_LOOKUPS):
        bucket, row = await namespace.bucket_and_row(
            namespace.reads, request.caller, request.bucket, request.key
        )
        valid_until_ms = await check_believed(namespace, bucket, row) if bucket.mount_id else 0
        record = found_object(row, request.key, request.version_id)
        assert row is not None
        data = b""
        if record.inline and request.with_data:
            found = await read_inline(namespace, record)
            if found is None:
                continue
            data = found
        holders = await holders_of(namespace, record.segments) if record.unpersisted else {}
        return ObjectResult(
            record=record,
            row_version=row.version,
            bucket_owner=bucket.owner,
            data=data,
            holders=holders,
            mount_id=bucket.mount_id,
            stamps=()
            if record.unpersisted or not request.stamped
            else _stamps(namespace, request, bucket, row),
            valid_until_ms=valid_until_ms,
        )
    raise OperationConflict(f"object {request.key!r} is being replaced all the time")


def _stamps(namespace: Namespace, request: LookupObject, bucket: BucketRecord, row: Row) -> Stamps:
    """Of all rows that decide the answer. Inline data is none: it never changes, and goes after its object's row."""
    deciding = [keys.bucket(request.bucket), row.key]
    if request.caller.generation:
        deciding.append(keys.USERS_GENERATION)
    if bucket.mount_id:
        deciding.append(keys.mount(bucket.mount_id))
    return namespace.store.stamps(deciding)


def found_object(row: Row | None, key: str, version_id: str) -> ObjectRecord:
    """The version that was asked for ("" for the current one). Raises KeyNotFound, VersionNotFound."""
    if version_id and version_id != NULL_VERSION:
        raise VersionNotFound(f"object {key!r} has no version {version_id!r}", key=key)
    if row is None:
        raise KeyNotFound(f"there is no object {key!r}", key=key)
    return OBJECT.decode(row.value)


async def read_inline(namespace: Namespace, record: ObjectRecord) -> bytes | None:
    """The inline data of a record that was just read; None if the object was replaced since."""
    (row,) = await namespace.store.get([keys.inline_data(record.inline)])
    return None if row is None else row.value[len(INLINE_MARK) :]


async def put_object(namespace: Namespace, request: PutObject) -> ObjectResult:
    """See `PutObject`."""
    given = request.record
    check_key(given.key)
    check_contents(given, request.data, request.contents, namespace.settings.inline_max_bytes)

    async def body(transaction: Transaction) -> ObjectResult:
        bucket, old = await namespace.bucket_and_row(transaction, request.caller, request.bucket, given.key)
        check_expected(old, request.expected_version)
        if bucket.mount_id:
            await note_local(
                namespace, transaction, bucket, given, request.write_policy, is_checked=request.is_checked
            )
        references = References(transaction, namespace.now_ms())
        record = msgspec.structs.replace(
            given,
            inline=namespace.new_id() if request.data else b"",
            manifest=b"",
            part_count=0,
            origin=None,
            unpersisted=not all(new.persisted for new in request.contents),
        )
        record = replace_object(namespace, transaction, references, bucket, record, old)
        if request.data:
            transaction.put(keys.inline_data(record.inline), INLINE_MARK + request.data)
        owner = keys.object_owner(bucket.bucket_id, record.key, record.sequence)
        await references.adopt(request.contents, owner)
        await references.settle()
        return ObjectResult(record=record, row_version=0, bucket_owner=bucket.owner)

    return await namespace.mutate(request, request.mutation, body, (request.bucket, given.key))


def replace_object(
    namespace: Namespace,
    transaction: Transaction,
    references: References,
    bucket: BucketRecord,
    record: ObjectRecord,
    old: Row | None,
) -> ObjectRecord:
    """Makes `record` the current version in place of `old`, which the transaction has read; answers it complete.

    The caller sees to the references of the new version.
    """
    replaced = None if old is None else OBJECT.decode(old.value)
    record = msgspec.structs.replace(
        record,
        modified_ms=namespace.now_ms(),
        version_id=NULL_VERSION,
        sequence=1 if replaced is None else replaced.sequence + 1,
        delete_marker=False,
    )
    if replaced is not None:
        references.release_object(bucket.bucket_id, replaced)
    transaction.put(keys.object_row(bucket.bucket_id, record.key), OBJECT.encode(record))
    return record


def check_expected(row: Row | None, expected_version: int | None) -> None:
    """Raises Conflict unless the row has the version that the caller decided on (None: he does not care)."""
    version = 0 if row is None else row.version
    if expected_version is not None and version != expected_version:
        raise Conflict("the object has changed since it was looked up", version=str(version))


def check_key(key: str) -> None:
    """Raises InvalidRequest for an empty key or one beyond S3's limit of 1,024 bytes."""
    if not 0 < len(key.encode()) <= 1024:
        raise InvalidRequest("a key has 1 to 1,024 bytes of UTF-8")


async def delete_objects(namespace: Namespace, request: DeleteObjects) -> DeleteResult:
    """See `DeleteObjects`. All keys that can be deleted are, in one commit."""
    if len(request.targets) > _MAX_DELETES:
        raise InvalidRequest(f"at most {_MAX_DELETES} keys can be deleted at once")
    targets = request.targets

    async def body(transaction: Transaction) -> DeleteResult:
        bucket, rows = await namespace.bucket_and_rows(
            transaction, request.caller, request.bucket, [target.key for target in targets]
        )
        refuse_mounted(bucket)
        references = References(transaction, namespace.now_ms())
        outcomes = tuple(
            _delete(transaction, references, bucket, target, row)
            for target, row in zip(targets, rows, strict=True)
        )
        await references.settle()
        return DeleteResult(outcomes=outcomes)

    turns = {(request.bucket, target.key) for target in targets}
    result = await namespace.mutate(request, request.mutation, body, *turns)
    return DeleteResult(
        outcomes=tuple(
            msgspec.structs.replace(outcome, key=target.key, version_id=target.version_id)
            for target, outcome in zip(targets, result.outcomes, strict=True)
        )
    )


def _delete(
    transaction: Transaction,
    references: References,
    bucket: BucketRecord,
    target: DeleteTarget,
    row: Row | None,
) -> DeleteOutcome:
    """The outcome without its key: a thousand long keys would not fit into the row that records the result."""
    if target.version_id and target.version_id != NULL_VERSION:
        return DeleteOutcome(key="")  # a version that is not there is deleted already
    try:
        check_expected(row, target.expected_version)
    except Conflict as error:
        return DeleteOutcome(key="", error=error.code, message=error.message)
    if row is not None:
        references.release_object(bucket.bucket_id, OBJECT.decode(row.value))
        transaction.delete(row.key)
    return DeleteOutcome(key="")

"""What the owners of mounted keys commit, and what they overlay listings with."""

from __future__ import annotations

import msgspec

from zerohop.errors import Conflict, InvalidRequest, MountNotFound
from zerohop.model import NULL_VERSION, BucketRecord, ObjectRecord
from zerohop.rpc.master_api import (
    BeginMounted,
    CommitMounted,
    GetMounted,
    ListLocal,
    LocalPage,
    MountedVersions,
    ObjectResult,
)
from zerohop_master import keys
from zerohop_master.contents import References
from zerohop_master.kv.interface import Row
from zerohop_master.listing import list_entries
from zerohop_master.local_objects import check_writable, generation_of, is_believed, mount_row
from zerohop_master.namespace import Namespace, Reads
from zerohop_master.objects import check_key
from zerohop_master.rows import BUCKET, OBJECT
from zerohop_master.transaction import Transaction

__all__ = ["begin_mounted", "commit_mounted", "get_mounted", "list_local"]

_MAX_KEYS = 1000
_JUST_WRITTEN = -1


async def mounted_bucket(reads: Reads, mount_id: bytes) -> BucketRecord:
    """The bucket that a mount shows. Raises MountNotFound."""
    name = (await mount_row(reads, mount_id)).mount.bucket
    (row,) = await reads.get(keys.bucket(name))
    if row is None or (bucket := BUCKET.decode(row.value)).mount_id != mount_id:
        raise MountNotFound(f"bucket {name!r} is not mounted any more", bucket=name)
    return bucket


async def get_mounted(namespace: Namespace, request: GetMounted) -> MountedVersions:
    """See `GetMounted`."""
    if not 0 < len(request.keys) <= _MAX_KEYS:
        raise InvalidRequest(f"between 1 and {_MAX_KEYS} keys can be read at once")
    bucket = await mounted_bucket(namespace.reads, request.mount_id)
    mount = (await mount_row(namespace.reads, request.mount_id)).mount
    rows = await namespace.reads.get(*(keys.object_row(bucket.bucket_id, key) for key in request.keys))
    records = tuple(None if row is None else OBJECT.decode(row.value) for row in rows)
    now_ms = namespace.now_ms()
    return MountedVersions(
        versions=tuple(0 if row is None else row.version for row in rows),
        records=records,
        believed=tuple(
            one is not None and (one.origin is None or is_believed(mount, one, now_ms)) for one in records
        ),
    )


async def begin_mounted(namespace: Namespace, request: BeginMounted) -> MountedVersions:
    """See `BeginMounted`."""
    if not 0 < len(request.keys) <= _MAX_KEYS:
        raise InvalidRequest(f"between 1 and {_MAX_KEYS} keys can be begun at once")

    async def body(transaction: Transaction) -> MountedVersions:
        bucket = await mounted_bucket(transaction, request.mount_id)
        if request.write:
            await check_writable(transaction, bucket)
        row_keys = [keys.object_row(bucket.bucket_id, key) for key in request.keys]
        rows = await transaction.get(*row_keys)
        records = [None if row is None else _outdated(transaction, row) for row in rows]
        versions = [_version_after(transaction, row) for row in rows]
        transaction.put(keys.mount_generation(request.mount_id), b"\x01")
        return MountedVersions(versions=tuple(versions), records=tuple(records))

    result = await namespace.mutate(
        request, request.mutation, body, *((request.mount_id, key) for key in request.keys)
    )
    versions = tuple(
        result.row_version if version == _JUST_WRITTEN else version for version in result.versions
    )
    return msgspec.structs.replace(result, versions=versions)


def _outdated(transaction: Transaction, row: Row) -> ObjectRecord:
    record = OBJECT.decode(row.value)
    if record.origin is not None:
        origin = msgspec.structs.replace(record.origin, validated_ms=0)
        record = msgspec.structs.replace(record, origin=origin)
        transaction.put(row.key, OBJECT.encode(record))
    return record


def _version_after(transaction: Transaction, row: Row | None) -> int:
    if row is None:
        return 0
    return _JUST_WRITTEN if transaction.writes(row.key) else row.version


async def commit_mounted(namespace: Namespace, request: CommitMounted) -> ObjectResult:
    """See `CommitMounted`."""
    check_key(request.key)
    given = request.record
    if given is not None and (given.origin is None or given.key != request.key):
        raise InvalidRequest("a mounted record says what the origin holds under its key")

    async def body(transaction: Transaction) -> ObjectResult:
        bucket = await mounted_bucket(transaction, request.mount_id)
        row = await transaction.get_one(keys.object_row(bucket.bucket_id, request.key))
        old = None if row is None else OBJECT.decode(row.value)
        if (0 if row is None else row.version) != request.expected_version:
            raise Conflict("the row has changed since the owner read it")
        if old is not None and old.origin is None:
            if not request.replace_local:
                raise Conflict("there is a local write")
            references = References(transaction, namespace.now_ms())
            references.release_object(bucket.bucket_id, old)
            await references.settle()
            transaction.delete(keys.local_object(bucket.bucket_id, request.key))
        validated_ms = namespace.now_ms() - request.age_ms
        record = _kept(transaction, bucket, request.key, given, old, row, validated_ms)
        # A validation that has found nothing new is no reason to list anew, nor is an object that was there all along.
        is_found_changed = old is not None and (given is None or old.etag != given.etag)
        if request.replace_local or is_found_changed:
            transaction.put(keys.mount_generation(request.mount_id), b"\x01")
        return ObjectResult(
            record=record, row_version=0, bucket_owner=bucket.owner, mount_id=request.mount_id
        )

    return await namespace.mutate(request, request.mutation, body, (request.mount_id, request.key))


def _kept(
    transaction: Transaction,
    bucket: BucketRecord,
    key: str,
    given: ObjectRecord | None,
    old: ObjectRecord | None,
    row: Row | None,
    validated_ms: int,
) -> ObjectRecord:
    """Writes the new row, or removes the old one; answers the record that the caller is told of."""
    if given is None:
        if row is not None:
            transaction.delete(row.key)
        return old or ObjectRecord(key=key, size_bytes=0, etag="", modified_ms=0)
    assert given.origin is not None
    record = msgspec.structs.replace(
        given,
        origin=msgspec.structs.replace(given.origin, validated_ms=validated_ms),
        version_id=NULL_VERSION,
        sequence=1 if old is None else old.sequence + 1,
        delete_marker=False,
        inline=b"",
        manifest=b"",
        unpersisted=False,
    )
    transaction.put(keys.object_row(bucket.bucket_id, key), OBJECT.encode(record))
    return record


async def list_local(namespace: Namespace, request: ListLocal) -> LocalPage:
    """See `ListLocal`."""
    bucket = await mounted_bucket(namespace.reads, request.mount_id)
    base = keys.local_objects(bucket.bucket_id)
    start, end = keys.span(base + request.prefix.encode())
    if request.after:
        start = max(start, base + request.after.encode() + b"\0")
    if request.until:
        end = min(end, base + request.until.encode() + b"\0")
    limit = max(1, min(request.limit, _MAX_KEYS))
    generation = await generation_of(namespace, request.mount_id)
    rows = await namespace.store.scan(start, end, limit=limit + 1) if start < end else []
    objects = keys.objects(bucket.bucket_id)
    found = await namespace.store.get([objects + row.key[len(base) :] for row in rows[:limit]])
    records = [OBJECT.decode(row.value) for row in found if row is not None]
    entries = await list_entries(namespace, [record for record in records if record.origin is None])
    return LocalPage(
        entries=tuple(msgspec.structs.replace(entry, persisted=False) for entry in entries),
        generation=generation,
        more=len(rows) > limit,
        last=keys.text_of_local(rows[limit - 1].key) if len(rows) > limit else "",
    )

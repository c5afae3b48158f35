"""Objects of mounted buckets as the namespace sees them: cached records, and local objects that hide the origin's.

A cached record (its `origin` is set) refers to no content: its bytes are at the origin, and what workers hold of
them is only cache. A local object is one that the origin does not have yet; its row in the object family is an
ordinary one, and a `w` row beside it says what is to be done about it.
"""

from __future__ import annotations

from zerohop.errors import AccessDenied, MountNotFound, OriginNeeded
from zerohop.model import BucketRecord, MountInfo, ObjectRecord, WritePolicy
from zerohop_master import keys
from zerohop_master.kv.interface import Row
from zerohop_master.namespace import Namespace, Reads
from zerohop_master.rows import LOCAL_OBJECT, MOUNT, OBJECT, LocalObject, MountRow
from zerohop_master.transaction import Transaction

__all__ = [
    "check_believed",
    "check_writable",
    "generation_of",
    "is_believed",
    "mount_row",
    "note_local",
    "origin_needed",
    "refuse_mounted",
    "refuse_unchecked",
]

_WRITERS_TURN_MS = 60_000
"""Who writes through brings the object to the origin himself; after this time the queue does, for he may have died."""

_HOLDS_ANY_KEY = "s3://"
_MAX_KEY_BYTES = 1024


async def mount_row(reads: Reads, mount_id: bytes) -> MountRow:
    """The mount of that id. Raises MountNotFound."""
    (row,) = await reads.get(keys.mount(mount_id))
    if row is None:
        raise MountNotFound("the bucket is not mounted any more")
    return MOUNT.decode(row.value)


def is_believed(mount: MountInfo, record: ObjectRecord, now_ms: int) -> bool:
    """Whether a cached record is taken for what the origin holds: within the TTL, and since the last sync."""
    assert record.origin is not None
    validated_ms = record.origin.validated_ms
    if validated_ms <= 0:
        return False
    if any(record.key.startswith(prefix) and validated_ms <= since_ms for prefix, since_ms in mount.synced):
        return False
    ttl_s = mount.metadata_ttl_s
    return ttl_s < 0 or now_ms < validated_ms + ttl_s * 1000


async def check_believed(namespace: Namespace, bucket: BucketRecord, row: Row | None) -> int:
    """Raises OriginNeeded unless the row of a mounted bucket can be answered as it stands.

    Answers until when it can, if row and mount stand: milliseconds since the epoch, 0 for ever.
    """
    if row is not None:
        record = OBJECT.decode(row.value)
        if record.origin is None:
            return 0
        mount = (await mount_row(namespace.reads, bucket.mount_id)).mount
        if is_believed(mount, record, namespace.now_ms()):
            ttl_s = mount.metadata_ttl_s
            return 0 if ttl_s < 0 else int(record.origin.validated_ms + ttl_s * 1000)
    raise origin_needed(bucket, row, generation=await generation_of(namespace, bucket.mount_id))


async def generation_of(namespace: Namespace, mount_id: bytes) -> int:
    """Changes with each write in the mount, and each sync of it; 0 before the first."""
    (row,) = await namespace.store.get([keys.mount_generation(mount_id)])
    return 0 if row is None else row.version


def origin_needed(
    bucket: BucketRecord, row: Row | None = None, *, write_policy: str = "", generation: int = -1
) -> OriginNeeded:
    """The answer of the master to what only the origin knows. `write_policy`: how what is written is to be."""
    return OriginNeeded(
        f"bucket {bucket.name!r} is mounted: ask the owner of the key",
        mount=bucket.mount_id.hex(),
        row_version=str(0 if row is None else row.version),
        write_policy=write_policy,
        generation=str(generation),
    )


def refuse_unchecked(bucket: BucketRecord, mount: MountInfo, key: str, *, is_checked: bool) -> None:
    """For what the origin is to get later. Raises OriginNeeded unless it is known that it can hold it."""
    if not is_checked and not _can_hold(mount.uri, key):
        raise OriginNeeded(
            f"bucket {bucket.name!r} is mounted: ask the owner of the key whether its origin can hold it",
            mount=bucket.mount_id.hex(),
            unchecked="yes",
        )


def _can_hold(uri: str, key: str) -> bool:
    """Whether nobody has to ask. The URI of an S3 store is longer than the prefix that keys have there."""
    return uri.startswith(_HOLDS_ANY_KEY) and len(uri.encode()) + len(key.encode()) <= _MAX_KEY_BYTES


def refuse_mounted(bucket: BucketRecord) -> None:
    """For operations that are the origin's in a mounted bucket. Raises OriginNeeded there."""
    if bucket.mount_id:
        raise origin_needed(bucket)


async def check_writable(transaction: Transaction, bucket: BucketRecord) -> MountInfo:
    """Raises AccessDenied for a bucket that is mounted read-only."""
    mount = (await mount_row(transaction, bucket.mount_id)).mount
    if mount.read_only:
        raise AccessDenied(f"bucket {bucket.name!r} is mounted read-only", bucket=bucket.name)
    return mount


async def note_local(
    namespace: Namespace,
    transaction: Transaction,
    bucket: BucketRecord,
    record: ObjectRecord,
    write_policy: str,
    *,
    to_be_persisted: bool = False,
    is_checked: bool = False,
) -> bool:
    """The commit makes `record` a local object of a mounted bucket, if the policy ("": that of the mount) allows it.
    Answers whether the caller has to bring it to the origin before anybody is told.

    Raises OriginNeeded where it does not, unless it is `to_be_persisted`; AccessDenied for a read-only mount.
    """
    mount = await check_writable(transaction, bucket)
    policy = WritePolicy(write_policy) if write_policy else mount.write_policy
    writes_through = policy in (WritePolicy.THROUGH, WritePolicy.CACHE_THROUGH)
    if writes_through and not to_be_persisted:
        raise origin_needed(bucket, write_policy=policy.value)
    if not to_be_persisted:  # else its upload was checked
        refuse_unchecked(bucket, mount, record.key, is_checked=is_checked)
    noted = LocalObject(
        queued=policy is not WritePolicy.MUST_CACHE,
        since_ms=namespace.now_ms(),
        size_bytes=record.size_bytes,
        next_ms=namespace.now_ms() + _WRITERS_TURN_MS if writes_through else 0,
    )
    transaction.put(keys.local_object(bucket.bucket_id, record.key), LOCAL_OBJECT.encode(noted))
    transaction.put(keys.mount_generation(bucket.mount_id), b"\x01")
    return writes_through

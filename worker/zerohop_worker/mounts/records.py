"""From what an origin tells of an object to the record that the namespace keeps of it, and back. Pure."""

from __future__ import annotations

import os

import msgspec

from zerohop.model import MountInfo, ObjectRecord, Origin, OriginRef, Segment, mounted_content_id
from zerohop_worker.mounts.runs import Target
from zerohop_worker.origins.interface import Attributes, OriginObject, Validator

__all__ = [
    "attributes_of",
    "is_same",
    "record_of",
    "refreshed_record",
    "target_of",
    "validator_of_record",
    "written_record",
]


def record_of(
    mount: MountInfo, found: OriginObject, block_size_bytes: int, *, content: bytes = b""
) -> ObjectRecord:
    """The record of an object as it was found. `content` is the id of its cached bytes, where it has one already."""
    size_bytes = found.validator.size_bytes
    return ObjectRecord(
        key=found.key,
        size_bytes=size_bytes,
        etag=found.client_etag,
        modified_ms=found.validator.modified_ms,
        headers=dict(found.attributes.headers),
        metadata=dict(found.attributes.metadata),
        checksums=dict(found.checksums),
        checksum_type=found.checksum_type,
        storage_class=found.attributes.storage_class or "STANDARD",
        segments=_segments(content or new_content(mount, block_size_bytes), size_bytes),
        part_count=found.part_count,
        origin=_origin(found),
    )


def refreshed_record(record: ObjectRecord, found: OriginObject) -> ObjectRecord:
    """The record of the same bytes, with what is stored with them now."""
    assert record.origin is not None
    origin = msgspec.structs.replace(_origin(found), validated_ms=record.origin.validated_ms)
    return msgspec.structs.replace(
        record,
        modified_ms=found.validator.modified_ms,
        headers=dict(found.attributes.headers),
        metadata=dict(found.attributes.metadata),
        checksums=record.checksums or dict(found.checksums),
        checksum_type=record.checksum_type or found.checksum_type,
        storage_class=found.attributes.storage_class or "STANDARD",
        part_count=found.part_count,
        origin=origin,
    )


def written_record(record: ObjectRecord, written: OriginObject, content: bytes) -> ObjectRecord:
    """The record of an object that was just written: what its writer said of it, with what the origin made of that.

    The ETag is the writer's: clients that have uploaded bytes compare it with the MD5 of those.
    """
    return ObjectRecord(
        key=record.key,
        size_bytes=record.size_bytes,
        etag=record.etag or written.client_etag,
        modified_ms=written.validator.modified_ms,
        headers=record.headers,
        metadata=record.metadata,
        checksums=record.checksums,
        checksum_type=record.checksum_type,
        storage_class=written.attributes.storage_class or record.storage_class,
        segments=_segments(content, record.size_bytes),
        part_count=written.part_count,
        origin=_origin(written),
    )


def new_content(mount: MountInfo, block_size_bytes: int) -> bytes:
    """A new id for the cached bytes of one version of an object."""
    return mounted_content_id(mount.mount_id, os.urandom(10), mount.block_size_bytes or block_size_bytes)


def _segments(content: bytes, size_bytes: int) -> tuple[Segment, ...]:
    return (Segment(content, size_bytes),) if size_bytes else ()


def _origin(found: OriginObject) -> Origin:
    return Origin(
        etag=found.validator.etag,
        size_bytes=found.validator.size_bytes,
        modified_ms=found.validator.modified_ms,
        validated_ms=1,  # the master sets it
        version_id=found.version_id,
        tag_count=found.tag_count,
    )


def validator_of_record(record: ObjectRecord) -> Validator:
    """What the cached bytes of the record are bound to."""
    assert record.origin is not None
    return Validator(record.origin.etag, record.origin.size_bytes, record.origin.modified_ms)


def is_same(record: ObjectRecord, found: OriginObject) -> bool:
    """Whether the origin still has the object that the record tells of."""
    known, now = validator_of_record(record), found.validator
    return known == now if not known.etag or not now.etag else known.etag == now.etag


def target_of(mount: MountInfo, record: ObjectRecord) -> Target:
    """What is read when the record is; it must have bytes."""
    assert record.origin is not None
    ref = OriginRef(mount.mount_id, record.key, record.origin.etag, record.origin.modified_ms)
    return Target(record.segments[0].content, record.size_bytes, ref)


def attributes_of(record: ObjectRecord) -> Attributes:
    """What is stored with the object at the origin."""
    return Attributes(
        headers=record.headers,
        metadata=record.metadata,
        storage_class="" if record.storage_class == "STANDARD" else record.storage_class,
        tags=record.tags,
    )

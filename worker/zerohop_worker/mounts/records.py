"""From what an origin tells of an object to the record that the namespace keeps of it, and back. Pure."""

from __future__ import annotations

import os

import msgspec

from zerohop.model import MountInfo, ObjectRecord, Origin, OriginRef, Segment, mounted_content_id
from zerohop_worker.mounts.runs import Target
from zerohop_worker.origins.interface import Attributes, OriginObject, Validator

__all__ = [
    "attributes_of",
    "copied_record",
    "is_same",
    "listed_as",
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
        checksum_type=record.checksum_type if record.checksums else found.checksum_type,
        storage_class=found.attributes.storage_class or "STANDARD",
        part_count=_part_count(record.etag, found),
        origin=origin,
    )


def written_record(record: ObjectRecord, written: OriginObject, content: bytes) -> ObjectRecord:
    """The record of an object that was just written: what its writer said of it, with what the origin made of that.

    The ETag is the writer's: clients that have uploaded bytes compare it with the MD5 of those.
    """
    etag = record.etag or written.client_etag
    return ObjectRecord(
        key=record.key,
        size_bytes=record.size_bytes,
        etag=etag,
        modified_ms=written.validator.modified_ms,
        headers=record.headers,
        metadata=record.metadata,
        checksums=record.checksums or dict(written.checksums),
        checksum_type=record.checksum_type if record.checksums else written.checksum_type,
        storage_class=written.attributes.storage_class or record.storage_class,
        segments=_segments(content, record.size_bytes),
        part_count=_part_count(etag, written),
        origin=_origin(written),
    )


def copied_record(record: ObjectRecord, source: ObjectRecord, written: OriginObject) -> ObjectRecord:
    """What is to be kept of a copy that the origin has made of `source`: the same bytes, so the same MD5 and checksums,
    whatever ETag the origin gives them.
    """
    checksums, checksum_type = written.checksums, written.checksum_type
    if not checksums:
        checksums, checksum_type = source.checksums, source.checksum_type
    return msgspec.structs.replace(
        record,
        size_bytes=written.validator.size_bytes,
        etag=written.client_etag if "-" in source.etag else source.etag,
        checksums=dict(checksums),
        checksum_type=checksum_type,
    )


def new_content(mount: MountInfo, block_size_bytes: int) -> bytes:
    """A new id for the cached bytes of one version of an object."""
    return mounted_content_id(mount.mount_id, os.urandom(10), mount.block_size_bytes or block_size_bytes)


def _segments(content: bytes, size_bytes: int) -> tuple[Segment, ...]:
    return (Segment(content, size_bytes),) if size_bytes else ()


def _part_count(etag: str, found: OriginObject) -> int:
    """What its writer put in one piece has no parts, also where it went to the origin in several."""
    return found.part_count if "-" in etag else 0


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


def listed_as(record: ObjectRecord | None, found: OriginObject) -> OriginObject:
    """The entry of a listing with what is known of the same object, where it is the same."""
    if record is None or record.origin is None or not is_same(record, found):
        return found
    return found._replace(
        client_etag=record.etag,
        validator=found.validator._replace(modified_ms=record.modified_ms),
        attributes=found.attributes._replace(
            storage_class=found.attributes.storage_class or record.storage_class
        ),
        checksums=record.checksums,
        checksum_type=record.checksum_type,
    )


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
        checksums=record.checksums,
        checksum_type=record.checksum_type,
    )

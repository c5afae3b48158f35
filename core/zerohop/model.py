"""The records that all processes share: what an object, an upload or a worker *is*.

Every struct is encoded as a msgpack array, in the order of its fields: on the wire between processes and in the
rows of the metadata store. So fields are only ever appended, each with a default, and never reordered: an older
process ignores what it does not know, and an older row reads as the default.

Sizes are bytes, times are milliseconds since the epoch (UTC), ETags stand without their quotes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

__all__ = [
    "ADMIN",
    "ANONYMOUS",
    "CONTENT_ID_BYTES",
    "NULL_VERSION",
    "BucketRecord",
    "Caller",
    "ClusterSettings",
    "Credential",
    "MountInfo",
    "ObjectRecord",
    "Origin",
    "OriginRef",
    "PartRecord",
    "ReadPolicy",
    "Segment",
    "TierUse",
    "UploadRecord",
    "UserRecord",
    "WorkerInfo",
    "WritePolicy",
    "block_count",
    "block_size_of",
    "content_id",
    "is_mounted",
    "mount_of",
    "mounted_content_id",
    "session_of",
]

NULL_VERSION: Final = "null"
CONTENT_ID_BYTES: Final = 16
_NO_CONTENT: Final = bytes(CONTENT_ID_BYTES)


class WritePolicy(StrEnum):
    """When a write is acknowledged, and so what a crash may lose (see the durability table in the README)."""

    THROUGH = "through"
    CACHE_THROUGH = "cache_through"
    ASYNC_THROUGH = "async_through"
    MUST_CACHE = "must_cache"


class ReadPolicy(StrEnum):
    """What a read leaves in the cache: the block where it comes in, also a copy in memory, or nothing."""

    CACHE = "cache"
    CACHE_PROMOTE = "cache_promote"
    NO_CACHE = "no_cache"


class Record(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """Base of all records: immutable, encoded as an array."""


class Segment(msgspec.Struct, array_like=True, frozen=True):
    """One whole content as a piece of an object: its id (16 bytes) and length. A length of 0 has no content."""

    content: bytes
    length: int


class Origin(Record, frozen=True):
    """What a mounted object was at its origin when it was last validated, on the master's clock.

    `etag` is the origin's own validator ("" where it has none: then size and time are it), which need not be the
    ETag that clients see. `validated_ms` is 0 once a write was begun whose end is not known: then it is asked anew.
    """

    etag: str = ""
    size_bytes: int = 0
    modified_ms: int = 0
    validated_ms: int = 0
    version_id: str = ""
    tag_count: int = 0  # the tags themselves stand at the origin alone


class OriginRef(Record, frozen=True):
    """Where a worker gets the missing blocks of a mounted object from, and what they are bound to: bytes of an
    object whose validators differ are never mixed in.
    """

    mount_id: bytes
    key: str  # in the mount, without the prefix that the mount has at the origin
    etag: str = ""
    modified_ms: int = 0


class ObjectRecord(Record, frozen=True):
    """One version of an object, or a delete marker. The key is that of the row, repeated here for the reader.

    The bytes are listed in `segments` (a short list), or else in the rows of `manifest` (a long one); or, where
    `inline` is set, they stand in a metadata row of their own, which a lookup returns along with the record. An
    object made by a multipart upload has a `manifest` in any case: it owns the references to the contents.
    """

    key: str
    size_bytes: int
    etag: str
    modified_ms: int
    version_id: str = NULL_VERSION
    # Order of the versions of one key: that of the predecessor + 1, read in the same commit; never a clock.
    sequence: int = 1
    delete_marker: bool = False
    # Standard headers that are returned as they were sent, by lower-case name (content-type, cache-control, ...).
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    # User metadata, by lower-case name without the `x-amz-meta-` prefix.
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    # Checksums by algorithm ("crc32", "crc32c", "crc64nvme", "sha1", "sha256"): base64, composite ones with "-N".
    checksums: dict[str, str] = msgspec.field(default_factory=dict)
    checksum_type: str = ""  # "", "FULL_OBJECT" or "COMPOSITE"
    storage_class: str = "STANDARD"
    segments: tuple[Segment, ...] = ()
    # Upload id of the multipart upload whose manifest rows list the segments; b"" for none.
    manifest: bytes = b""
    # Number of parts of a multipart object, 0 for an object written by one PUT. Where those of a mounted object begin
    # is asked of its origin (`LocatePart`).
    part_count: int = 0
    # Id of the inline data row; b"" for none.
    inline: bytes = b""
    # True when some content was not yet in the under-store at the commit: a lookup then asks for the holders.
    unpersisted: bool = False
    origin: Origin | None = None
    # Up to ten, by key (S3 object tagging).
    tags: dict[str, str] = msgspec.field(default_factory=dict)


class BucketRecord(Record, frozen=True):
    """A bucket. `bucket_id` is random, so that a bucket deleted and created again shares no row with the old one."""

    name: str
    bucket_id: bytes
    owner: str
    created_ms: int
    location: str = ""
    # 4 bytes that name the mount which this bucket shows; b"" for a native bucket.
    mount_id: bytes = b""


class MountInfo(Record, frozen=True):
    """A bucket that shows what an existing store holds: `uri` is `s3://bucket/prefix`, `gs://...`, `az://container/...`,
    `file:///folder` or `hdfs://host:port/folder`.

    `options` are those that may be shown (endpoint, region, path_style, ...). Secret ones are kept sealed by the
    master, or as references (`env:NAME`, `file:/path`, `profile:NAME`) that each worker resolves for itself; either
    way no answer but that of `GetMount`, which workers alone may ask, has their values.
    """

    mount_id: bytes
    bucket: str
    uri: str
    options: dict[str, str] = msgspec.field(default_factory=dict)
    secret_options: tuple[str, ...] = ()  # names of those that are kept apart
    read_only: bool = False
    write_policy: WritePolicy = WritePolicy.CACHE_THROUGH
    # For how long what was read of an object's metadata is believed: 0 asks the origin at each read, -1 never does.
    metadata_ttl_s: float = 60.0
    block_size_bytes: int = 0  # 0: that of the cluster
    quota_bytes: int = 0  # of cached bytes, over the whole cluster; 0: no limit of its own
    owner: str = ""
    created_ms: int = 0
    # Prefixes that `fs sync` has asked to be looked at anew, with the time: older validations below them are void.
    synced: tuple[tuple[str, int], ...] = ()


class UploadRecord(Record, frozen=True):
    """A multipart upload. `template` is the object it will become (size, ETag and segments still empty)."""

    upload_id: str
    key: str
    owner: str
    created_ms: int
    template: ObjectRecord
    state: str = "open"  # "open", "completing", "completed"
    # Which Complete request moved it on, and the result kept for replay of the same request.
    digest: bytes = b""
    result: ObjectRecord | None = None
    # "CRC32" etc. and "COMPOSITE" or "FULL_OBJECT", as the upload was created with; "" for none.
    checksum_algorithm: str = ""
    checksum_type: str = ""


class PartRecord(Record, frozen=True):
    """One part of an open upload."""

    number: int
    size_bytes: int
    etag: str
    modified_ms: int
    segment: Segment
    checksums: dict[str, str] = msgspec.field(default_factory=dict)
    unpersisted: bool = False


class Credential(Record, frozen=True):
    """One access key of a user, good until `expires_ms` (0: for ever) while it is enabled."""

    access_key: str
    secret_key: str
    enabled: bool = True
    expires_ms: int = 0


class UserRecord(Record, frozen=True):
    """A user. `canonical_id` is what owns buckets; `name` is what administrators type."""

    name: str
    canonical_id: str
    display_name: str = ""
    email: str = ""
    created_ms: int = 0
    credentials: tuple[Credential, ...] = ()


class Caller(msgspec.Struct, array_like=True, frozen=True):
    """On whose behalf a namespace request runs: `user` is a canonical id.

    `generation` is the generation of the users that the caller was verified against: the master answers
    `StaleUsers` when users have changed since; 0 where no credential was looked up.
    """

    user: str
    generation: int = 0
    admin: bool = False


ANONYMOUS: Final = Caller("anonymous")
ADMIN: Final = Caller("admin", admin=True)


class TierUse(Record, frozen=True):
    """Capacity and use of one tier of a worker; `lent_bytes` are evicted blocks whose descriptors are still out."""

    name: str  # "MEM", "SSD", "HDD"
    quota_bytes: int
    used_bytes: int
    block_count: int = 0
    lent_bytes: int = 0
    pinned_bytes: int = 0


class WorkerInfo(Record, frozen=True):
    """A worker as the cluster sees it."""

    worker_id: str
    session: bytes  # 8 bytes, new at each registration
    host_id: str  # equal for processes that can reach each other's Unix sockets
    address: str  # RPC address for other hosts ("" when it only listens on a Unix socket)
    unix_address: str  # RPC address on this host, "" for none
    descriptor_path: str  # path of the socket that passes descriptors, "" for none
    version: str = ""
    started_ms: int = 0
    live: bool = True
    last_heard_ms: int = 0
    tiers: tuple[TierUse, ...] = ()
    draining: bool = False  # on its way out: still read from, not written to
    admin_address: str = ""  # of its admin port, "" for none


class ClusterSettings(Record, frozen=True):
    """What the master decides for all: told to workers and proxies at registration and with heartbeats."""

    block_size_bytes: int
    inline_max_bytes: int
    heartbeat_s: float
    lost_after_s: float
    orphan_after_s: float
    # Workers that hold an `async_through` content on disk before it is acknowledged.
    async_replicas: int = 2


def content_id(session: bytes, number: int, block_size_bytes: int) -> bytes:
    """The id of a content: 8 bytes of the worker session that took it, 7 of a counter, 1 of log2(block size).

    So an id is never given twice, a sweep knows from the name alone who is answerable for a content that was never
    committed, and whoever holds an id knows how the content is cut. Raises ValueError unless the block size is a
    power of two.
    """
    shift = block_size_bytes.bit_length() - 1
    if len(session) != 8 or 1 << shift != block_size_bytes:
        raise ValueError(f"need a session of 8 bytes and a power of two: {session!r}, {block_size_bytes}")
    return session + number.to_bytes(7, "big") + bytes((shift,))


_MOUNTED: Final = 0xFF
"""First byte of the ids of mounted contents; the sessions of workers never begin with it."""


def mounted_content_id(mount_id: bytes, token: bytes, block_size_bytes: int) -> bytes:
    """The id of the cached bytes of one version of a mounted object: a mark, 4 bytes of the mount, 10 random ones
    (`token`), 1 of log2(block size). So whoever holds blocks knows whose they are, and that no under-store of the
    cluster has them. Raises ValueError unless the block size is a power of two.
    """
    shift = block_size_bytes.bit_length() - 1
    if len(mount_id) != 4 or len(token) != 10 or 1 << shift != block_size_bytes:
        raise ValueError(
            f"need 4 and 10 bytes and a power of two: {mount_id!r}, {token!r}, {block_size_bytes}"
        )
    return bytes((_MOUNTED,)) + mount_id + token + bytes((shift,))


def is_mounted(content: bytes) -> bool:
    """Whether the content is the cached copy of something that a mount shows."""
    return content[0] == _MOUNTED


def mount_of(content: bytes) -> bytes:
    """The id (4 bytes) of the mount that a mounted content belongs to; b"" for a content that is not."""
    return content[1:5] if is_mounted(content) else b""


def session_of(content: bytes) -> bytes:
    """The worker session (8 bytes) that a content was written in."""
    return content[:8]


def block_size_of(content: bytes) -> int:
    """The size in bytes of the blocks that a content is cut in (the last one may be shorter)."""
    return 1 << content[15]


def block_count(content: bytes, length: int) -> int:
    """How many blocks a content of `length` bytes has."""
    return -(-length >> content[15])


def no_segment() -> Segment:
    """The segment of an empty part: it has no content."""
    return Segment(_NO_CONTENT, 0)

"""Objects: looking them up, putting, copying, renaming, deleting and listing them."""

from __future__ import annotations

import msgspec

from zerohop.model import Caller, ObjectRecord, Record, Segment
from zerohop.rpc.change_board import Stamps
from zerohop.rpc.message import Request

__all__ = [
    "CopyObject",
    "DeleteObjects",
    "DeleteOutcome",
    "DeleteResult",
    "DeleteTarget",
    "ListEntry",
    "ListObjectVersions",
    "ListObjects",
    "LookupObject",
    "ManifestPage",
    "NewContent",
    "ObjectPage",
    "ObjectResult",
    "PutObject",
    "ReadManifest",
    "RenameObject",
    "VersionPage",
]


class NewContent(Record, frozen=True):
    """A content that a worker holds and that this commit makes part of the namespace."""

    content: bytes
    length: int
    worker_id: str
    persisted: bool  # in the under-store, durably
    holders: tuple[str, ...] = ()  # workers that hold it while it is not


class ObjectResult(Record, frozen=True):
    """A version. `row_version` is what `expected_version` wants. `data` is the inline data, if it stands inline.

    `holders`: worker ids by content, for contents that are not persisted yet (and only those).
    `bucket_owner`: canonical id. `replaced`: of a PUT, whether there was a current object before.
    """

    record: ObjectRecord
    row_version: int
    bucket_owner: str
    data: bytes = b""
    holders: dict[bytes, tuple[str, ...]] = msgspec.field(default_factory=dict)
    # The mount that shows the object (see `BucketRecord.mount_id`); b"" in a native bucket.
    mount_id: bytes = b""
    # Of a completed upload in a mounted bucket: the origin is to have it before anybody is told.
    persist_now: bool = False
    # Of a lookup in a mounted bucket: the bytes that are to be read are on their way from the origin, because of it.
    fetched: bool = False
    # Those from `came_at` on that came along with the origin's headers.
    came: bytes = b""
    came_at: int = 0
    # By which the answer may be kept on the master's host, and until when (0: for as long as they stand).
    stamps: Stamps = ()
    valid_until_ms: int = 0


class LookupObject(Request[ObjectResult], tag="lookup_object", kw_only=True):
    """The current version, or the one of `version_id`. The hot path: answered from two or three point reads.

    Raises BucketNotFound, KeyNotFound, VersionNotFound; OriginNeeded for a mounted object that is not known, or was
    validated too long ago. With `with_data=False` (HEAD) no inline data is read.
    """

    caller: Caller
    bucket: str
    key: str
    version_id: str = ""
    with_data: bool = True
    # What is going to be read, for the owner of a mounted key that is not known yet: see `ResolveMounted`.
    read_offset: int = 0
    read_bytes: int = 0
    # Whether the caller sees the master's change board, and wants stamps to keep the answer by.
    stamped: bool = False


class ManifestPage(Record, frozen=True):
    """Segments of a long object from the one that covers `offset`; `first_offset` is where the first one starts."""

    first_offset: int
    first_index: int
    segments: tuple[Segment, ...]
    holders: dict[bytes, tuple[str, ...]] = msgspec.field(default_factory=dict)


class ReadManifest(Request[ManifestPage], tag="read_manifest", kw_only=True):
    """At most `limit` segments of `manifest`, from the one that covers byte `offset`, or from the part number
    `part_number` (1-based) when that is given. Raises ContentNotFound.
    """

    manifest: bytes
    offset: int = 0
    part_number: int = 0
    limit: int = 256


class PutObject(Request[ObjectResult], tag="put_object", kw_only=True):
    """Makes `record` the current version of its key. The master sets modified_ms, version_id and sequence.

    Either `data` holds the bytes (at most `inline_max_bytes`), or `contents` the ones that `record.segments` names.
    In a mounted bucket `write_policy` ("": that of the mount) says what is meant: `async_through` and `must_cache` make
    a local object, which is brought to the origin in the background, or not at all; others raise OriginNeeded, and so
    does what the owner of the key has not checked (`is_checked`, see `CheckWrite`).
    Raises BucketNotFound, Conflict (`expected_version`), SessionFenced, OperationConflict; AccessDenied for a
    read-only mount.
    """

    caller: Caller
    bucket: str
    record: ObjectRecord
    data: bytes = b""
    contents: tuple[NewContent, ...] = ()
    expected_version: int | None = None
    mutation: bytes
    write_policy: str = ""
    is_checked: bool = False


class CopyObject(Request[ObjectResult], tag="copy_object", kw_only=True):
    """Copies by reference: the new object shares the contents of the source, or its inline data is copied.

    `record` gives headers and metadata (the proxy has applied the metadata directive); size, ETag, parts and
    contents come from the source row, which must have `source_version` (Conflict otherwise).
    Raises BucketNotFound, KeyNotFound, Conflict, NeedsBytes.
    """

    caller: Caller
    source_bucket: str
    source_key: str
    source_version_id: str = ""
    source_version: int
    bucket: str
    record: ObjectRecord
    expected_version: int | None = None
    mutation: bytes


class RenameObject(Request[ObjectResult], tag="rename_object", kw_only=True):
    """Moves one object to another key, of the same or another bucket, in one commit that moves no bytes.

    Raises BucketNotFound, KeyNotFound, NeedsBytes, PreconditionFailed (target exists and not `overwrite`).
    """

    caller: Caller
    source_bucket: str
    source_key: str
    bucket: str
    key: str
    overwrite: bool = False
    mutation: bytes


class DeleteOutcome(Record, frozen=True):
    """What became of one key: `error` is a code of zerohop.errors, "" when done. Missing keys are done."""

    key: str
    version_id: str = ""
    delete_marker: bool = False
    delete_marker_version_id: str = ""
    error: str = ""
    message: str = ""


class DeleteTarget(Record, frozen=True):
    key: str
    version_id: str = ""
    expected_version: int | None = None


class DeleteResult(Record, frozen=True):
    outcomes: tuple[DeleteOutcome, ...]


class DeleteObjects(Request[DeleteResult], tag="delete_objects", kw_only=True):
    """Deletes up to 1,000 keys; each succeeds or fails for itself. DeleteObject is this with one target."""

    caller: Caller
    bucket: str
    targets: tuple[DeleteTarget, ...]
    mutation: bytes


class ListEntry(Record, frozen=True, gc=False, kw_only=False):
    """One object of a listing; `persisted` is false while some content is not in the under-store."""

    key: str
    size_bytes: int
    etag: str
    modified_ms: int
    storage_class: str = "STANDARD"
    version_id: str = ""
    latest: bool = True
    delete_marker: bool = False
    checksum_algorithms: tuple[str, ...] = ()
    checksum_type: str = ""
    persisted: bool = True


class ObjectPage(Record, frozen=True):
    """`entries` and `prefixes` together hold at most the limit; each is in byte order of UTF-8.

    `next_name` is the last name of the page when more follows (pass it as `after`), "" otherwise;
    `next_key` is the first name of the following page (pass it as `after` with `inclusive`), "" otherwise.
    """

    entries: tuple[ListEntry, ...]
    prefixes: tuple[str, ...]
    next_name: str
    next_key: str
    owner: str


class ListObjects(Request[ObjectPage], tag="list_objects", kw_only=True):
    """One page in key order. `after` is exclusive unless `inclusive`; an `after` that is itself a common prefix of
    this listing skips all of that group. Costs the page, never the bucket. Raises BucketNotFound.

    `known_only`: of a mounted bucket what the cluster knows without its origin, which is what was read or written here.
    """

    caller: Caller
    bucket: str
    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    inclusive: bool = False
    limit: int = 1000
    known_only: bool = False


class VersionPage(Record, frozen=True):
    entries: tuple[ListEntry, ...]
    prefixes: tuple[str, ...]
    next_key: str  # "" when this was the last page: pass both as markers
    next_version_id: str
    owner: str


class ListObjectVersions(Request[VersionPage], tag="list_object_versions", kw_only=True):
    caller: Caller
    bucket: str
    prefix: str = ""
    delimiter: str = ""
    key_marker: str = ""
    version_id_marker: str = ""
    limit: int = 1000

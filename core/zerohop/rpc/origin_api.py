"""What may be asked of the worker that owns a key of a mounted bucket: it alone talks to the origin about that key.

The owner of a key is the first live worker by rendezvous of `placement.origin_key(mount_id, key)`. It carries out the
changes of one key one after another, and answers any number of concurrent questions with one request to the origin.
Two workers whose views of the cluster differ may both take themselves for the owner for a moment: then the row
versions of the master decide, as everywhere.

Errors besides those named: MountNotFound, OriginRefused, UnderStoreFailed (the origin fails, throttles or cannot be
reached, after the retries within), and transport errors.
"""

from __future__ import annotations

import msgspec

from zerohop.model import Caller, MountInfo, ObjectRecord, OriginRef, Record, WritePolicy
from zerohop.rpc.master_api.empty import Empty
from zerohop.rpc.master_api.objects import DeleteResult, DeleteTarget, ObjectPage, ObjectResult
from zerohop.rpc.message import Request

__all__ = [
    "CheckOrigin",
    "CheckWrite",
    "CommitStaged",
    "CopyMounted",
    "DeleteMounted",
    "DiscardStaged",
    "DropMount",
    "ListMounted",
    "LocatePart",
    "MountedTags",
    "OpenMount",
    "PartPlace",
    "PersistMounted",
    "ReadMountedTags",
    "ResolveMounted",
    "StageMounted",
    "StagedWrite",
    "WriteMountedTags",
]


class CheckOrigin(Request[Empty], tag="check_origin", kw_only=True):
    """Any worker: can this be mounted? Opens the origin, lists a page. Raises what is wrong with it."""

    mount: MountInfo
    secrets: dict[str, str] = msgspec.field(default_factory=dict)


class CheckWrite(Request[Empty], tag="check_write", kw_only=True):
    """Can the origin hold such an object? Asked before one is taken that it is to get later: what it refuses then would
    never leave the cluster. One that does not answer refuses nothing. Raises InvalidRequest (the key, with the reason),
    NotSupported (tags).
    """

    caller: Caller
    mount_id: bytes
    bucket: str
    record: ObjectRecord


class DropMount(Request[Empty], tag="drop_mount", kw_only=True):
    """The mount is gone or has changed: close the origin, and (`blocks`) drop its cached blocks."""

    mount_id: bytes
    blocks: bool


class OpenMount(Request[Empty], tag="open_mount", kw_only=True):
    """The mount was made or changed: open the origin, and a connection to it, so that the first read of a client waits
    for neither. Raises what is wrong with it.
    """

    mount_id: bytes


class ResolveMounted(Request[ObjectResult], tag="resolve_mounted", kw_only=True):
    """What the object is at the origin now, committed at the master. Raises KeyNotFound.

    `read_offset` and `read_bytes` say what the asker is going to read: bytes from an offset on (-1: to the end), or
    the last `read_bytes` (offset -1); 0 bytes: nothing. Where the object is not known yet, the question is then one
    ranged GET at the origin, whose headers are the answer and whose body goes on to fill the cache while the asker
    already reads from it. A known object is validated by a conditional request; if it has not changed, its cached
    blocks stay good. With `force` also a record within its TTL is validated.

    `row_version`: what the master knew a moment ago (0: nothing; -1: not told), which spares asking it again before
    the origin. Should it have learned something since, its commit tells. `generation`: that of the mount then
    (see `LocalPage`; -1: not told); with one, that there is no such key is remembered for the TTL.
    """

    caller: Caller
    mount_id: bytes
    bucket: str
    key: str
    read_offset: int = 0
    read_bytes: int = 0
    force: bool = False
    row_version: int = -1
    generation: int = -1


class ListMounted(Request[ObjectPage], tag="list_mounted", kw_only=True):
    """One page of the mounted bucket in key order, as `ListObjects`: the origin's, overlaid with local writes.

    A page is believed for the mount's TTL as long as nothing in the mount is written through this cluster; with
    `force` the origin is asked.
    """

    caller: Caller
    mount_id: bytes
    bucket: str
    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    inclusive: bool = False
    limit: int = 1000
    force: bool = False


class StagedWrite(Record, frozen=True):
    """Bytes that the owner holds for `CommitStaged`, or has sent to the origin where nobody sees them yet."""

    token: bytes
    length: int


class StageMounted(Request[StagedWrite], tag="stage_mounted", kw_only=True):
    """Stream in: the body of an object to be written through. Up to some MiB stand in memory; what is longer goes
    to the origin as a multipart upload while it comes, with bounded memory. Nothing is visible before `CommitStaged`,
    which has to follow within minutes. A stream that is cut leaves nothing. `cache`: also fill the cache.
    """

    mount_id: bytes
    key: str
    record: ObjectRecord  # headers, metadata, storage class; size and ETag are not known yet
    cache: bool
    expected_bytes: int = -1


class CommitStaged(Request[ObjectResult], tag="commit_staged", kw_only=True):
    """Makes a staged write the object, after every check of its body has passed. `record` is complete: size, ETag
    (MD5 of the bytes), checksums. The row says "ask the origin" before it is touched; the result is its new state.

    Conditions hold at the origin, where it can, and are checked against it under the owner's lock in any case:
    `only_if_absent`, or `only_if_etag` (the ETag that clients see, "*" for any). Raises PreconditionFailed,
    KeyNotFound (`only_if_etag`, and there is nothing), ContentNotFound (no such staged write: too late, or it is at
    another worker).
    """

    caller: Caller
    mount_id: bytes
    bucket: str
    token: bytes
    record: ObjectRecord
    only_if_absent: bool = False
    only_if_etag: str = ""
    mutation: bytes


class DiscardStaged(Request[Empty], tag="discard_staged", kw_only=True):
    """The staged write will not be committed. Unknown tokens are skipped."""

    tokens: tuple[bytes, ...]


class PersistMounted(Request[ObjectResult], tag="persist_mounted", kw_only=True):
    """Brings the local object of a key to the origin, part by part as it was written, and commits the record that
    says so. Does nothing where the row is no longer `row_version`, or is no local one: answers what is there.
    Raises ContentLost, ContentNotFound when its bytes are gone, KeyNotFound when there is nothing.
    """

    caller: Caller
    mount_id: bytes
    bucket: str
    key: str
    row_version: int
    mutation: bytes


class DeleteMounted(Request[DeleteResult], tag="delete_mounted", kw_only=True):
    """Deletes keys that this worker owns, at the origin and here, each for itself; waits for their persists in flight.
    At most 1,000. `only_if_etag` of a target: PreconditionFailed as its outcome unless it is that of the object.
    """

    caller: Caller
    mount_id: bytes
    bucket: str
    targets: tuple[DeleteTarget, ...]
    only_if_etags: tuple[str, ...] = ()  # by target, or () for none
    mutation: bytes


class CopyMounted(Request[ObjectResult], tag="copy_mounted", kw_only=True):
    """The origin's own copy between two keys of one mount, asked of the owner of the target. `source_version` is the
    row version of what is to be copied. Raises NeedsBytes where the origin cannot, KeyNotFound, Conflict (the source
    has changed), PreconditionFailed as `CommitStaged`.
    """

    caller: Caller
    mount_id: bytes
    bucket: str
    source_key: str
    source_version: int
    record: ObjectRecord
    only_if_absent: bool = False
    only_if_etag: str = ""
    mutation: bytes


class PartPlace(Record, frozen=True):
    """Bytes [first, first + length) of an object of `part_count` parts (0: not told)."""

    first: int
    length: int
    part_count: int


class LocatePart(Request[PartPlace], tag="locate_part", kw_only=True):
    """Where part `number` (from 1) of the object that `ref` names lies. The owner remembers what it was told. Raises
    InvalidPart (there is none of that number), OriginChanged, NotSupported where the origin does not tell.
    """

    caller: Caller
    bucket: str
    key: str
    ref: OriginRef
    size_bytes: int
    number: int


class MountedTags(Record, frozen=True):
    tags: dict[str, str]


class ReadMountedTags(Request[MountedTags], tag="read_mounted_tags", kw_only=True):
    """The tags of the object at the origin. Raises KeyNotFound, NotSupported where the origin has none."""

    caller: Caller
    mount_id: bytes
    bucket: str
    key: str


class WriteMountedTags(Request[Empty], tag="write_mounted_tags", kw_only=True):
    """Replaces them. Raises KeyNotFound, NotSupported; Conflict where a local write hides the object."""

    caller: Caller
    mount_id: bytes
    bucket: str
    key: str
    tags: dict[str, str]


def policy_writes_through(policy: WritePolicy) -> bool:
    """Whether the origin has the bytes before the writer is answered."""
    return policy in (WritePolicy.THROUGH, WritePolicy.CACHE_THROUGH)

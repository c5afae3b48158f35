"""What proxies, workers and clients may ask of the master: one request class per operation, with its result type.

Conditions of HTTP (If-Match and its kin) are not known here. A caller that must write conditionally looks the
object up, decides, and passes the row version that it decided on as `expected_version` (0: must be absent); the
commit then happens on that version or raises `Conflict`, and the caller decides anew.

Every mutation carries `mutation`, an id of 16 bytes that is unique to the caller's intent and ordered by time
(see `zerohop.rpc.mutation.new_mutation_id`): sent again with the same id, it answers the recorded result.

Errors named below are classes of `zerohop.errors`; every call may raise transport errors besides, and every call
with a `caller` raises `StaleUsers` and `AccessDenied`.
"""

from __future__ import annotations

import msgspec

from zerohop.model import (
    BucketRecord,
    Caller,
    ClusterSettings,
    Credential,
    ObjectRecord,
    PartRecord,
    Record,
    Segment,
    TierUse,
    UploadRecord,
    UserRecord,
    WorkerInfo,
)
from zerohop.rpc.message import Request


class Empty(Record, frozen=True):
    """A result that says nothing but "done"."""


# ------------------------------------------------------------------------------------------------- buckets


class BucketResult(Record, frozen=True):
    bucket: BucketRecord


class BucketPage(Record, frozen=True):
    buckets: tuple[BucketRecord, ...]
    next_after: str  # "" when this was the last page


class CreateBucket(Request[BucketResult], tag="create_bucket", kw_only=True):
    """Raises BucketAlreadyOwned, BucketAlreadyExists. The bucket belongs to `caller.user`."""

    caller: Caller
    bucket: str
    location: str = ""
    mutation: bytes


class GetBucket(Request[BucketResult], tag="get_bucket", kw_only=True):
    """Raises BucketNotFound."""

    caller: Caller
    bucket: str


class DeleteBucket(Request[Empty], tag="delete_bucket", kw_only=True):
    """Raises BucketNotFound, BucketNotEmpty. Open uploads do not keep a bucket: they are aborted with it."""

    caller: Caller
    bucket: str
    mutation: bytes


class ListBuckets(Request[BucketPage], tag="list_buckets", kw_only=True):
    """The caller's buckets (all of them for an administrator), by name."""

    caller: Caller
    prefix: str = ""
    after: str = ""
    limit: int = 1000


# ------------------------------------------------------------------------------------------------- objects


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


class LookupObject(Request[ObjectResult], tag="lookup_object", kw_only=True):
    """The current version, or the one of `version_id`. The hot path: answered from two or three point reads.

    Raises BucketNotFound, KeyNotFound, VersionNotFound. With `with_data=False` (HEAD) no inline data is read.
    """

    caller: Caller
    bucket: str
    key: str
    version_id: str = ""
    with_data: bool = True


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
    Raises BucketNotFound, Conflict (`expected_version`), SessionFenced, OperationConflict.
    """

    caller: Caller
    bucket: str
    record: ObjectRecord
    data: bytes = b""
    contents: tuple[NewContent, ...] = ()
    expected_version: int | None = None
    mutation: bytes


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


class ListEntry(Record, frozen=True):
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
    """

    caller: Caller
    bucket: str
    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    inclusive: bool = False
    limit: int = 1000


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


# ------------------------------------------------------------------------------------------------- uploads


class UploadResult(Record, frozen=True):
    upload: UploadRecord


class CreateUpload(Request[UploadResult], tag="create_upload", kw_only=True):
    """Opens an upload for `template.key`. Raises BucketNotFound."""

    caller: Caller
    bucket: str
    template: ObjectRecord
    checksum_algorithm: str = ""
    checksum_type: str = ""
    mutation: bytes


class GetUpload(Request[UploadResult], tag="get_upload", kw_only=True):
    """An open upload. Raises BucketNotFound, UploadNotFound (also when completed or aborted)."""

    caller: Caller
    bucket: str
    key: str
    upload_id: str


class PartResult(Record, frozen=True):
    part: PartRecord


class PutPart(Request[PartResult], tag="put_part", kw_only=True):
    """Stores or replaces a part of an open upload. `content` is None for an empty part.

    Raises BucketNotFound, UploadNotFound, SessionFenced, OperationConflict.
    """

    caller: Caller
    bucket: str
    key: str
    upload_id: str
    part: PartRecord
    content: NewContent | None = None
    mutation: bytes


class CopyPart(Request[PartResult], tag="copy_part", kw_only=True):
    """A part that shares the one content of a whole source object. Raises KeyNotFound, Conflict, UploadNotFound,
    NeedsBytes (the source is inline, has several contents, or is not persisted).
    """

    caller: Caller
    source_bucket: str
    source_key: str
    source_version_id: str = ""
    source_version: int
    bucket: str
    key: str
    upload_id: str
    part: PartRecord
    mutation: bytes


class PartPage(Record, frozen=True):
    parts: tuple[PartRecord, ...]
    next_after: int  # 0 when this was the last page
    upload: UploadRecord


class ListParts(Request[PartPage], tag="list_parts", kw_only=True):
    """Parts of an open upload by number, after `after`. Raises BucketNotFound, UploadNotFound."""

    caller: Caller
    bucket: str
    key: str
    upload_id: str
    after: int = 0
    limit: int = 1000


class ListedPart(Record, frozen=True):
    number: int
    etag: str


class CompleteUpload(Request[ObjectResult], tag="complete_upload", kw_only=True):
    """Makes the listed parts (all of them in order where `parts` is None) the object; idempotent for the same list.

    Metadata only: no byte moves. `min_part_bytes` applies to all parts but the last. `checksums` are those of the
    whole object, as the proxy worked them out. Raises BucketNotFound, UploadNotFound, InvalidPart, InvalidPartOrder,
    PartTooSmall, InvalidRequest (no parts), Conflict (`expected_version`).
    """

    caller: Caller
    bucket: str
    key: str
    upload_id: str
    parts: tuple[ListedPart, ...] | None
    min_part_bytes: int
    checksums: dict[str, str] = msgspec.field(default_factory=dict)
    checksum_type: str = ""
    expected_version: int | None = None
    mutation: bytes


class AbortUpload(Request[Empty], tag="abort_upload", kw_only=True):
    """Raises BucketNotFound, UploadNotFound."""

    caller: Caller
    bucket: str
    key: str
    upload_id: str
    mutation: bytes


class UploadPage(Record, frozen=True):
    uploads: tuple[UploadRecord, ...]
    prefixes: tuple[str, ...]
    next_key: str  # "" when this was the last page
    next_upload_id: str


class ListUploads(Request[UploadPage], tag="list_uploads", kw_only=True):
    """Open uploads by key, then by time of creation."""

    caller: Caller
    bucket: str
    prefix: str = ""
    delimiter: str = ""
    key_marker: str = ""
    upload_id_marker: str = ""
    limit: int = 1000


# --------------------------------------------------------------------------------------------------- users


class UserResult(Record, frozen=True):
    user: UserRecord
    generation: int


class UserPage(Record, frozen=True):
    users: tuple[UserRecord, ...]
    generation: int


class AddUser(Request[UserResult], tag="add_user", kw_only=True):
    """Raises UserAlreadyExists (name, access key or canonical id taken)."""

    caller: Caller
    user: UserRecord
    mutation: bytes


class RemoveUser(Request[Empty], tag="remove_user", kw_only=True):
    """Raises UserNotFound. Buckets of the user stay, owned by a canonical id that nobody can sign for."""

    caller: Caller
    name: str
    mutation: bytes


class AddKey(Request[UserResult], tag="add_key", kw_only=True):
    """One more access key for a user. Raises UserNotFound, UserAlreadyExists (access key taken), InvalidRequest."""

    caller: Caller
    name: str
    credential: Credential
    mutation: bytes


class ChangeKey(Request[UserResult], tag="change_key", kw_only=True):
    """Enable or disable an access key, or say when it expires (0: never); None leaves as it is. Raises UserNotFound."""

    caller: Caller
    access_key: str
    enabled: bool | None = None
    expires_ms: int | None = None
    mutation: bytes


class RemoveKey(Request[UserResult], tag="remove_key", kw_only=True):
    """Raises UserNotFound. The user stays, also without any key."""

    caller: Caller
    access_key: str
    mutation: bytes


class ListUsers(Request[UserPage], tag="list_users", kw_only=True):
    """All users by name, with their secret keys blanked."""

    caller: Caller


class GetCredential(Request[UserResult], tag="get_credential", kw_only=True):
    """The user whose access key this is, with that one credential. For proxies only. Raises UserNotFound."""

    access_key: str


class GetUsersById(Request[UserPage], tag="get_users_by_id", kw_only=True):
    """The users of these canonical ids, for display names; unknown ids are left out. No credentials."""

    canonical_ids: tuple[str, ...]


# ----------------------------------------------------------------------------------- workers and proxies


class WorkerRegistered(Record, frozen=True):
    session: bytes
    settings: ClusterSettings


class RegisterWorker(Request[WorkerRegistered], tag="register_worker", kw_only=True):
    """A worker starts or comes back: it gets a new session, and the one before is fenced off.

    `under_store_id` names the store behind the worker; all workers of a cluster share one (ConfigError).
    """

    worker_id: str
    host_id: str
    address: str
    unix_address: str
    descriptor_path: str
    version: str
    under_store_id: str
    tiers: tuple[TierUse, ...]
    admin_address: str = ""


class WorkerHeartbeat(Request[Empty], tag="worker_heartbeat", kw_only=True):
    """Raises SessionFenced when the master has given the worker up or has restarted: register anew."""

    worker_id: str
    session: bytes
    tiers: tuple[TierUse, ...]
    draining: bool = False


class UnregisterWorker(Request[Empty], tag="unregister_worker", kw_only=True):
    """A worker leaves in an orderly way: it is not waited for."""

    worker_id: str
    session: bytes


class ClusterView(Record, frozen=True):
    """The live workers, and what else is current; `view_version` changes when the workers do."""

    view_version: int
    users_generation: int
    settings: ClusterSettings
    workers: tuple[WorkerInfo, ...]
    user_count: int
    # Workers that belong to the cluster, live or lost; those that said good-bye do not.
    worker_count: int = 0


class ProxyHeartbeat(Request[ClusterView], tag="proxy_heartbeat", kw_only=True):
    """A proxy or native client that reads: `oldest_read_ms` is how long ago its oldest read in flight began (0: none).

    Contents that were replaced after that moment are not collected while the heartbeats last.
    """

    proxy_id: str
    host_id: str
    address: str
    version: str
    oldest_read_ms: int = 0
    admin_address: str = ""


class GetClusterView(Request[ClusterView], tag="get_cluster_view", kw_only=True):
    """The view, for clients that hold no read open."""


class ProxyInfo(Record, frozen=True):
    proxy_id: str
    host_id: str
    address: str
    version: str
    last_heard_ms: int
    admin_address: str = ""


class ClusterReport(Record, frozen=True):
    version: str
    started_ms: int
    now_ms: int
    address: str
    kv_engine: str
    bucket_count: int
    pending_deletions: int
    workers: tuple[WorkerInfo, ...]  # live and lost
    proxies: tuple[ProxyInfo, ...]
    admin_address: str = ""  # of the master


class GetReport(Request[ClusterReport], tag="get_report", kw_only=True):
    caller: Caller


# ------------------------------------------------------------------------------------------------ contents


class MarkPersisted(Request[Empty], tag="mark_persisted", kw_only=True):
    """A worker has persisted contents of its own. Raises SessionFenced. Idempotent; unknown contents are skipped."""

    worker_id: str
    session: bytes
    contents: tuple[bytes, ...]


class AddHolders(Request[Empty], tag="add_holders", kw_only=True):
    """A worker has given copies of an unpersisted content to further workers. Raises SessionFenced. Idempotent; a
    content that is unknown or persisted is left as it is.
    """

    worker_id: str
    session: bytes
    content: bytes
    holders: tuple[str, ...]


class ContentStates(Record, frozen=True):
    """By content asked for: "live", "dead" or "unknown", in order."""

    states: tuple[str, ...]


class GetContentStates(Request[ContentStates], tag="get_content_states", kw_only=True):
    contents: tuple[bytes, ...]


class UnpersistedPage(Record, frozen=True):
    contents: tuple[Segment, ...]
    next_after: bytes  # b"" when this was the last page


class ListUnpersisted(Request[UnpersistedPage], tag="list_unpersisted", kw_only=True):
    """Contents that only this worker holds (index `q`): what it must persist after a restart."""

    worker_id: str
    after: bytes = b""
    limit: int = 1000

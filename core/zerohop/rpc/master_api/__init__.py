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

from zerohop.rpc.master_api.buckets import (
    BucketPage,
    BucketResult,
    CreateBucket,
    DeleteBucket,
    GetBucket,
    ListBuckets,
)
from zerohop.rpc.master_api.contents import (
    AddHolders,
    ContentStates,
    GetContentStates,
    ListUnpersisted,
    MarkPersisted,
    UnpersistedPage,
)
from zerohop.rpc.master_api.empty import (
    Empty,
)
from zerohop.rpc.master_api.members import (
    ClusterReport,
    ClusterView,
    GetClusterView,
    GetReport,
    ProxyHeartbeat,
    ProxyInfo,
    RegisterWorker,
    UnregisterWorker,
    WorkerHeartbeat,
    WorkerRegistered,
)
from zerohop.rpc.master_api.objects import (
    CopyObject,
    DeleteObjects,
    DeleteOutcome,
    DeleteResult,
    DeleteTarget,
    ListEntry,
    ListObjects,
    ListObjectVersions,
    LookupObject,
    ManifestPage,
    NewContent,
    ObjectPage,
    ObjectResult,
    PutObject,
    ReadManifest,
    RenameObject,
    VersionPage,
)
from zerohop.rpc.master_api.uploads import (
    AbortUpload,
    CompleteUpload,
    CopyPart,
    CreateUpload,
    GetUpload,
    ListedPart,
    ListParts,
    ListUploads,
    PartPage,
    PartResult,
    PutPart,
    UploadPage,
    UploadResult,
)
from zerohop.rpc.master_api.users import (
    AddKey,
    AddUser,
    ChangeKey,
    GetCredential,
    GetUsersById,
    ListUsers,
    RemoveKey,
    RemoveUser,
    UserPage,
    UserResult,
)

__all__ = [
    "AbortUpload",
    "AddHolders",
    "AddKey",
    "AddUser",
    "BucketPage",
    "BucketResult",
    "ChangeKey",
    "ClusterReport",
    "ClusterView",
    "CompleteUpload",
    "ContentStates",
    "CopyObject",
    "CopyPart",
    "CreateBucket",
    "CreateUpload",
    "DeleteBucket",
    "DeleteObjects",
    "DeleteOutcome",
    "DeleteResult",
    "DeleteTarget",
    "Empty",
    "GetBucket",
    "GetClusterView",
    "GetContentStates",
    "GetCredential",
    "GetReport",
    "GetUpload",
    "GetUsersById",
    "ListBuckets",
    "ListEntry",
    "ListObjectVersions",
    "ListObjects",
    "ListParts",
    "ListUnpersisted",
    "ListUploads",
    "ListUsers",
    "ListedPart",
    "LookupObject",
    "ManifestPage",
    "MarkPersisted",
    "NewContent",
    "ObjectPage",
    "ObjectResult",
    "PartPage",
    "PartResult",
    "ProxyHeartbeat",
    "ProxyInfo",
    "PutObject",
    "PutPart",
    "ReadManifest",
    "RegisterWorker",
    "RemoveKey",
    "RemoveUser",
    "RenameObject",
    "UnpersistedPage",
    "UnregisterWorker",
    "UploadPage",
    "UploadResult",
    "UserPage",
    "UserResult",
    "VersionPage",
    "WorkerHeartbeat",
    "WorkerRegistered",
]

"""Mounts: buckets that show an existing store.

What the master keeps of a mounted object is a cached record (`ObjectRecord.origin` is set) that is believed for the
mount's TTL, or a *local* one (`origin` is None): a write that the origin does not have yet, which hides what it has.
`LookupObject` answers both; where it has neither, or one that is too old, it raises `OriginNeeded`, and the caller
goes to the worker that owns the key (`zerohop.rpc.origin_api`). So do all other operations on a mounted bucket that
concern the origin: they raise `OriginNeeded` at the master.
"""

from __future__ import annotations

import msgspec

from zerohop.model import Caller, MountInfo, ObjectRecord, Record
from zerohop.rpc.master_api.empty import Empty
from zerohop.rpc.master_api.objects import ListEntry, ObjectResult
from zerohop.rpc.message import Request

__all__ = [
    "AddMount",
    "BeginMounted",
    "ChangeMount",
    "CommitMounted",
    "GetMount",
    "GetMounted",
    "ListLocal",
    "ListMounts",
    "LocalPage",
    "MountPage",
    "MountResult",
    "MountSecrets",
    "MountedVersions",
    "RemoveMount",
    "SyncMount",
]


class MountResult(Record, frozen=True):
    mount: MountInfo


class AddMount(Request[MountResult], tag="add_mount", kw_only=True):
    """Creates the bucket `mount.bucket` that shows `mount.uri`; the caller owns it. The master sets mount_id, owner,
    created_ms. A worker first opens the origin: what is wrong with it is the error (OriginRefused, UnderStoreFailed,
    InvalidRequest for an unknown option or scheme), and nothing is created.

    `secrets`: values of options that are not to be shown. Raises BucketAlreadyOwned, BucketAlreadyExists.
    """

    caller: Caller
    mount: MountInfo
    secrets: dict[str, str] = msgspec.field(default_factory=dict)
    mutation: bytes


class ChangeMount(Request[MountResult], tag="change_mount", kw_only=True):
    """Changes policy, TTL, quota, read-only, or what the origin is told; None leaves as it is.

    Of `options` and `secrets` those that are named are replaced, or removed by an empty value. With either of them, be
    it empty, a worker opens the origin first, and all open it anew: references among the secrets are resolved again.
    What is cached stays.

    Raises MountNotFound; with options or secrets what `AddMount` raises, and then nothing is changed.
    """

    caller: Caller
    bucket: str
    read_only: bool | None = None
    write_policy: str | None = None
    metadata_ttl_s: float | None = None
    quota_bytes: int | None = None
    options: dict[str, str] | None = None
    secrets: dict[str, str] | None = None
    mutation: bytes


class RemoveMount(Request[Empty], tag="remove_mount", kw_only=True):
    """The bucket goes, what the origin holds stays. Raises MountNotFound, and BucketNotEmpty while writes are local
    alone (unless `discard_local`, which loses them); workers drop the cached blocks.
    """

    caller: Caller
    bucket: str
    discard_local: bool = False
    mutation: bytes


class MountPage(Record, frozen=True):
    mounts: tuple[MountInfo, ...]


class ListMounts(Request[MountPage], tag="list_mounts", kw_only=True):
    """The caller's mounts by bucket (an administrator's: all). There are few: no pages."""

    caller: Caller


class MountSecrets(Record, frozen=True):
    mount: MountInfo
    secrets: dict[str, str]


class GetMount(Request[MountSecrets], tag="get_mount", kw_only=True):
    """For workers alone: a mount with the values, or the references, of its secret options. Raises MountNotFound."""

    mount_id: bytes


class SyncMount(Request[MountResult], tag="sync_mount", kw_only=True):
    """What is cached of the metadata below `prefix` counts as outdated from now on. Raises MountNotFound."""

    caller: Caller
    bucket: str
    prefix: str = ""
    mutation: bytes


# ------------------------------------------------------------------------------------- for the owners of keys


class CommitMounted(Request[ObjectResult], tag="commit_mounted", kw_only=True):
    """Owner of the key: `record` (its `origin` set) is what the origin holds now; None: it holds nothing there.

    `expected_version` is the row version that the owner went by (0: no row). Raises MountNotFound, Conflict. A local
    record is replaced only with `replace_local`, which lets go of its contents. `age_ms`: how long ago the origin was
    asked; the master sets `validated_ms` by its own clock. The result of a removal has the old
    record, or one of size 0 where there was none.
    """

    mount_id: bytes
    key: str
    record: ObjectRecord | None
    expected_version: int
    replace_local: bool = False
    age_ms: int = 0
    mutation: bytes


class MountedVersions(Record, frozen=True):
    """Row versions by key, in order (0: no row), after the mark was set; and the records (None: no row)."""

    versions: tuple[int, ...]
    records: tuple[ObjectRecord | None, ...]
    row_version: int = 0  # that of the commit itself
    believed: tuple[bool, ...] = ()  # of `GetMounted`: whether a lookup would answer the record as it stands


class GetMounted(Request[MountedVersions], tag="get_mounted", kw_only=True):
    """The rows of these keys as they stand, at most 1,000. Raises MountNotFound."""

    mount_id: bytes
    keys: tuple[str, ...]


class BeginMounted(Request[MountedVersions], tag="begin_mounted", kw_only=True):
    """Owner of the keys: they are about to be changed at the origin. Durable before the origin is touched: the
    cached records count as outdated from now on (local ones are left as they are). At most 1,000 keys. Without
    `write` they have changed at the origin by themselves.
    Raises MountNotFound; AccessDenied for a read-only mount that is to be written.
    """

    mount_id: bytes
    keys: tuple[str, ...]
    write: bool = True
    mutation: bytes


class LocalPage(Record, frozen=True):
    """`generation` changes with each write that began or ended in the mount. `last`: where `more` follows, the last key
    that was looked at.
    """

    entries: tuple[ListEntry, ...]
    generation: int
    more: bool
    last: str = ""


class ListLocal(Request[LocalPage], tag="list_local", kw_only=True):
    """Local objects of a mount whose keys are in (after, until] and begin with `prefix`, in order: what a listing of
    the origin is overlaid with. `until` "": to the end.
    """

    mount_id: bytes
    prefix: str = ""
    after: str = ""
    until: str = ""
    limit: int = 1000

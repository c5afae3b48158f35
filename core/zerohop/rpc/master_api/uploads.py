"""Multipart uploads and their parts."""

from __future__ import annotations

import msgspec

from zerohop.model import Caller, ObjectRecord, PartRecord, Record, UploadRecord
from zerohop.rpc.master_api.empty import Empty
from zerohop.rpc.master_api.objects import NewContent, ObjectResult
from zerohop.rpc.message import Request

__all__ = [
    "AbortUpload",
    "CompleteUpload",
    "CopyPart",
    "CreateUpload",
    "GetUpload",
    "ListParts",
    "ListUploads",
    "ListedPart",
    "PartPage",
    "PartResult",
    "PutPart",
    "UploadPage",
    "UploadResult",
]


class UploadResult(Record, frozen=True):
    upload: UploadRecord


class CreateUpload(Request[UploadResult], tag="create_upload", kw_only=True):
    """Opens an upload for `template.key`. Raises BucketNotFound; in a mounted bucket OriginNeeded, unless the owner of
    the key has checked it (`is_checked`, see `CheckWrite`).
    """

    caller: Caller
    bucket: str
    template: ObjectRecord
    checksum_algorithm: str = ""
    checksum_type: str = ""
    mutation: bytes
    is_checked: bool = False


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

    In a mounted bucket the object is a local one first; `write_policy` ("": that of the mount) says what becomes of it.
    Raises OriginNeeded where the origin may be unable to hold it by now, until the owner of the key has checked it
    (`is_checked`, see `CheckWrite`): the upload stays open.
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
    write_policy: str = ""
    is_checked: bool = False


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

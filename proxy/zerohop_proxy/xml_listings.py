"""Listings of keys, versions, uploads and parts as XML.

`encoding-type=url` is applied where S3 applies it: to Delimiter, Prefix, Key, StartAfter, and the key markers
(Marker, NextMarker, KeyMarker, NextKeyMarker), also inside CommonPrefixes; never to continuation tokens,
names of buckets, ids or ETags. ETags come without quotes; times are milliseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .xml_out import Owner, checksum_elements, document, element
from .xml_text import escape, timestamp, url_encoded

__all__ = [
    "ObjectEntry",
    "ObjectsPage",
    "PartEntry",
    "PartsPage",
    "UploadEntry",
    "UploadsPage",
    "VersionEntry",
    "VersionsPage",
    "list_bucket_result",
    "list_bucket_result_v2",
    "list_multipart_uploads_result",
    "list_parts_result",
    "list_versions_result",
]

_Text = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class ObjectEntry:
    """One `Contents` of a listing."""

    key: str
    modified_ms: int
    etag: str
    size_bytes: int
    storage_class: str = "STANDARD"
    owner: Owner | None = None
    checksum_algorithm: str = ""
    checksum_type: str = ""


@dataclass(frozen=True, slots=True)
class ObjectsPage:
    """A page of ListObjects: echoes of the request, and what was found.

    `next_marker` (v1) is "" unless truncated; v1 shows it only with a delimiter, as S3 does, or in the dialect.
    """

    bucket: str
    prefix: str
    delimiter: str
    max_keys: int
    url_encoding: bool
    is_truncated: bool
    objects: Sequence[ObjectEntry]
    common_prefixes: Sequence[str]


@dataclass(frozen=True, slots=True)
class VersionEntry:
    """One `Version`, or a `DeleteMarker` when `is_delete_marker`."""

    key: str
    version_id: str
    is_latest: bool
    modified_ms: int
    is_delete_marker: bool = False
    etag: str = ""
    size_bytes: int = 0
    storage_class: str = "STANDARD"
    owner: Owner | None = None


@dataclass(frozen=True, slots=True)
class VersionsPage:
    """A page of ListObjectVersions; `versions` in the order of the listing, markers in between."""

    bucket: str
    prefix: str
    delimiter: str
    max_keys: int
    url_encoding: bool
    is_truncated: bool
    key_marker: str
    version_id_marker: str
    next_key_marker: str
    next_version_id_marker: str
    versions: Sequence[VersionEntry]
    common_prefixes: Sequence[str]


@dataclass(frozen=True, slots=True)
class UploadEntry:
    """One `Upload` of ListMultipartUploads."""

    key: str
    upload_id: str
    initiated_ms: int
    owner: Owner
    storage_class: str = "STANDARD"
    checksum_algorithm: str = ""
    checksum_type: str = ""


@dataclass(frozen=True, slots=True)
class UploadsPage:
    """A page of ListMultipartUploads."""

    bucket: str
    prefix: str
    delimiter: str
    max_uploads: int
    url_encoding: bool
    is_truncated: bool
    key_marker: str
    upload_id_marker: str
    next_key_marker: str
    next_upload_id_marker: str
    uploads: Sequence[UploadEntry]
    common_prefixes: Sequence[str]


@dataclass(frozen=True, slots=True)
class PartEntry:
    """One `Part` of ListParts; `checksums` maps ALGORITHM to base64."""

    part_number: int
    modified_ms: int
    etag: str
    size_bytes: int
    checksums: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PartsPage:
    """A page of ListParts."""

    bucket: str
    key: str
    upload_id: str
    owner: Owner
    part_number_marker: int
    next_part_number_marker: int
    max_parts: int
    is_truncated: bool
    parts: Sequence[PartEntry]
    url_encoding: bool = False
    storage_class: str = "STANDARD"
    checksum_algorithm: str = ""
    checksum_type: str = ""


def list_bucket_result(
    page: ObjectsPage,
    *,
    marker: str = "",
    next_marker: str = "",
    in_dialect: bool = False,
    continuation_token: str = "",
) -> bytes:
    """Answer of ListObjects (v1).

    `next_marker` is written as NextMarker when not empty (S3 gives one only with a delimiter). In the API
    page's dialect the elements ContinuationToken, NextContinuationToken and KeyCount come too;
    NextContinuationToken is then `next_token` of the page, the first key that was not listed.
    """
    raise NotImplementedError


def list_bucket_result_v2(
    page: ObjectsPage,
    *,
    start_after: str | None = None,
    continuation_token: str | None = None,
    next_continuation_token: str = "",
) -> bytes:
    """Answer of ListObjectsV2."""
    raise NotImplementedError


def list_versions_result(page: VersionsPage) -> bytes:
    """Answer of ListObjectVersions."""
    raise NotImplementedError


def list_multipart_uploads_result(page: UploadsPage) -> bytes:
    """Answer of ListMultipartUploads."""
    raise NotImplementedError


def list_parts_result(page: PartsPage) -> bytes:
    """Answer of ListParts."""
    raise NotImplementedError

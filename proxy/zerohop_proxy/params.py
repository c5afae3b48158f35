"""Query parameters of the operations, parsed and validated. Raises `S3Error` InvalidArgument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "ListBucketsParams",
    "ListObjectsParams",
    "ListObjectsV2Params",
    "ListPartsParams",
    "ListUploadsParams",
    "ListVersionsParams",
    "parse_list_buckets",
    "parse_list_objects",
    "parse_list_objects_v2",
    "parse_list_parts",
    "parse_list_uploads",
    "parse_list_versions",
    "parse_part_number",
    "parse_response_overrides",
    "parse_upload_id",
]


@dataclass(frozen=True, slots=True)
class ListObjectsParams:
    """ListObjects (v1). `continuation_token` is the API page's, None outside its dialect.

    `max_keys` is what the client asked for (echoed); at most 1000 are ever given.
    """

    prefix: str
    delimiter: str
    max_keys: int
    url_encoding: bool
    marker: str
    continuation_token: str | None = None


@dataclass(frozen=True, slots=True)
class ListObjectsV2Params:
    """ListObjectsV2. `start_after` and `continuation_token` are None when not sent."""

    prefix: str
    delimiter: str
    max_keys: int
    url_encoding: bool
    start_after: str | None
    continuation_token: str | None
    fetch_owner: bool


@dataclass(frozen=True, slots=True)
class ListVersionsParams:
    """ListObjectVersions."""

    prefix: str
    delimiter: str
    max_keys: int
    url_encoding: bool
    key_marker: str
    version_id_marker: str


@dataclass(frozen=True, slots=True)
class ListUploadsParams:
    """ListMultipartUploads."""

    prefix: str
    delimiter: str
    max_uploads: int
    url_encoding: bool
    key_marker: str
    upload_id_marker: str


@dataclass(frozen=True, slots=True)
class ListPartsParams:
    """ListParts."""

    upload_id: str
    max_parts: int
    part_number_marker: int
    url_encoding: bool


@dataclass(frozen=True, slots=True)
class ListBucketsParams:
    """ListBuckets; `max_buckets` is None when the client wants all."""

    prefix: str
    max_buckets: int | None
    continuation_token: str | None
    bucket_region: str | None


def parse_list_objects(query: Mapping[str, str], *, in_dialect: bool) -> ListObjectsParams:
    """Parameters of ListObjects."""
    raise NotImplementedError


def parse_list_objects_v2(query: Mapping[str, str]) -> ListObjectsV2Params:
    """Parameters of ListObjectsV2."""
    raise NotImplementedError


def parse_list_versions(query: Mapping[str, str]) -> ListVersionsParams:
    """Parameters of ListObjectVersions."""
    raise NotImplementedError


def parse_list_uploads(query: Mapping[str, str]) -> ListUploadsParams:
    """Parameters of ListMultipartUploads."""
    raise NotImplementedError


def parse_list_parts(query: Mapping[str, str]) -> ListPartsParams:
    """Parameters of ListParts."""
    raise NotImplementedError


def parse_list_buckets(query: Mapping[str, str]) -> ListBucketsParams:
    """Parameters of ListBuckets."""
    raise NotImplementedError


def parse_part_number(query: Mapping[str, str]) -> int:
    """`partNumber` of an upload, 1 to 10000."""
    raise NotImplementedError


def parse_read_part_number(query: Mapping[str, str]) -> int | None:
    """`partNumber` of GET or HEAD, None when not sent."""
    raise NotImplementedError


def parse_upload_id(query: Mapping[str, str]) -> str:
    """`uploadId`, not empty (NoSuchUpload)."""
    raise NotImplementedError


def parse_response_overrides(query: Mapping[str, str]) -> dict[str, str]:
    """`response-*` parameters as headers of the answer (`{"Content-Type": ...}`)."""
    raise NotImplementedError

"""Query parameters of the operations, parsed and validated. Raises `S3Error` InvalidArgument."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from zerohop_proxy.s3_errors import S3Error

__all__ = [
    "ListBucketsParams",
    "ListObjectsParams",
    "ListObjectsV2Params",
    "ListPartsParams",
    "ListUploadsParams",
    "ListVersionsParams",
    "is_version_id",
    "parse_list_buckets",
    "parse_list_objects",
    "parse_list_objects_v2",
    "parse_list_parts",
    "parse_list_uploads",
    "parse_list_versions",
    "parse_part_number",
    "parse_read_part_number",
    "parse_response_overrides",
    "parse_upload_id",
    "parse_version_id",
]

MAX_PAGE = 1000
"""Entries that one page of any listing holds at most, whatever is asked for."""
MAX_PART_NUMBER = 10_000

_MAX_BUCKETS = 10_000
_MAX_INTEGER = 2**31 - 1
_VERSION_ID = re.compile(
    r"null\Z|[A-Za-z0-9._~+/=-]{16,1024}\Z"
)  # S3 User Guide: opaque, at most 1,024 bytes
_NOT_IN_HEADER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_RESPONSE_OVERRIDES = {
    "response-cache-control": "Cache-Control",
    "response-content-disposition": "Content-Disposition",
    "response-content-encoding": "Content-Encoding",
    "response-content-language": "Content-Language",
    "response-content-type": "Content-Type",
    "response-expires": "Expires",
}


@dataclass(frozen=True, slots=True)
class ListObjectsParams:
    """ListObjects (v1). `continuation_token` is the API page's, None outside its dialect.

    `max_keys` is at most 1000, which is also what S3 echoes when more is asked for.
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


@dataclass(frozen=True, slots=True)
class ListBucketsParams:
    """ListBuckets; `max_buckets` is None when the client wants all."""

    prefix: str
    max_buckets: int | None
    continuation_token: str | None
    bucket_region: str | None


def parse_list_objects(query: Mapping[str, str], *, in_dialect: bool) -> ListObjectsParams:
    """Parameters of ListObjects."""
    return ListObjectsParams(
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        max_keys=_page_size(query, "max-keys", "maxKeys"),
        url_encoding=_url_encoding(query),
        marker=query.get("marker", ""),
        continuation_token=(query.get("continuation-token") or None) if in_dialect else None,
    )


def parse_list_objects_v2(query: Mapping[str, str]) -> ListObjectsV2Params:
    """Parameters of ListObjectsV2."""
    token = query.get("continuation-token")
    if token == "":
        raise _invalid("The continuation token provided is incorrect", "continuation-token", "")
    return ListObjectsV2Params(
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        max_keys=_page_size(query, "max-keys", "maxKeys"),
        url_encoding=_url_encoding(query),
        start_after=query.get("start-after"),
        continuation_token=token,
        fetch_owner=query.get("fetch-owner", "").lower() == "true",
    )


def parse_list_versions(query: Mapping[str, str]) -> ListVersionsParams:
    """Parameters of ListObjectVersions."""
    key_marker = query.get("key-marker", "")
    version_id_marker = query.get("version-id-marker", "")
    if version_id_marker and not key_marker:
        raise _invalid(
            "A version-id marker cannot be specified without a key marker.",
            "version-id-marker",
            version_id_marker,
        )
    return ListVersionsParams(
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        max_keys=_page_size(query, "max-keys", "maxKeys"),
        url_encoding=_url_encoding(query),
        key_marker=key_marker,
        version_id_marker=version_id_marker,
    )


def parse_list_uploads(query: Mapping[str, str]) -> ListUploadsParams:
    """Parameters of ListMultipartUploads; an upload-id-marker without a key-marker means nothing in S3 too."""
    key_marker = query.get("key-marker", "")
    return ListUploadsParams(
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        max_uploads=_page_size(query, "max-uploads", "max-uploads"),
        url_encoding=_url_encoding(query),
        key_marker=key_marker,
        upload_id_marker=query.get("upload-id-marker", "") if key_marker else "",
    )


def parse_list_parts(query: Mapping[str, str]) -> ListPartsParams:
    """Parameters of ListParts."""
    marker = query.get("part-number-marker", "")
    return ListPartsParams(
        upload_id=parse_upload_id(query),
        max_parts=_page_size(query, "max-parts", "max-parts"),
        part_number_marker=_integer("part-number-marker", "part-number-marker", marker) if marker else 0,
    )


def parse_list_buckets(query: Mapping[str, str]) -> ListBucketsParams:
    """Parameters of ListBuckets."""
    text = query.get("max-buckets", "")
    max_buckets = _integer("max-buckets", "max-buckets", text) if text else None
    if max_buckets is not None and not 1 <= max_buckets <= _MAX_BUCKETS:
        raise _invalid("max-buckets must be between 1 and 10000", "max-buckets", text)
    token = query.get("continuation-token") or None
    return ListBucketsParams(query.get("prefix", ""), max_buckets, token, query.get("bucket-region") or None)


def parse_part_number(query: Mapping[str, str]) -> int:
    """`partNumber` of an upload, 1 to 10000."""
    text = query.get("partNumber", "")
    number = _digits(text)
    if number is None or not 1 <= number <= MAX_PART_NUMBER:
        raise _invalid("Part number must be an integer between 1 and 10000, inclusive", "partNumber", text)
    return number


def parse_read_part_number(query: Mapping[str, str]) -> int | None:
    """`partNumber` of GET or HEAD, None when not sent."""
    return parse_part_number(query) if "partNumber" in query else None


def parse_upload_id(query: Mapping[str, str]) -> str:
    """`uploadId`; an empty one names no upload (NoSuchUpload)."""
    upload_id = query.get("uploadId", "")
    if not upload_id:
        raise S3Error("NoSuchUpload", UploadId="")
    return upload_id


def parse_version_id(query: Mapping[str, str]) -> str:
    """`versionId` of an object, "" when not sent. Raises InvalidArgument for what can be no id."""
    version_id = query.get("versionId")
    if version_id is None:
        return ""
    if not version_id:
        raise _invalid("Version id cannot be the empty string", "versionId", "")
    if not is_version_id(version_id):
        raise _invalid("Invalid version id specified", "versionId", version_id)
    return version_id


def is_version_id(text: str) -> bool:
    """Whether an object could ever have had a version of this id."""
    return _VERSION_ID.match(text) is not None


def parse_response_overrides(query: Mapping[str, str], *, anonymous: bool = False) -> dict[str, str]:
    """`response-*` parameters as headers of the answer (`{"Content-Type": ...}`).

    Raises InvalidRequest for an anonymous request, as S3 does: else anybody could make a link that serves an
    object as a web page of this origin.
    """
    overrides: dict[str, str] = {}
    if not query:
        return overrides
    for parameter, header in _RESPONSE_OVERRIDES.items():
        value = query.get(parameter)
        if not value:
            continue
        if anonymous:
            raise S3Error(
                "InvalidRequest",
                "Request specific response headers cannot be used for anonymous GET requests.",
            )
        if _NOT_IN_HEADER.search(value):
            raise _invalid("Header value cannot contain control characters.", parameter, value)
        overrides[header] = value
    return overrides


def _page_size(query: Mapping[str, str], parameter: str, argument: str) -> int:
    text = query.get(parameter, "")
    return min(_integer(parameter, argument, text), MAX_PAGE) if text else MAX_PAGE


def _integer(parameter: str, argument: str, text: str) -> int:
    number = _digits(text)
    if number is not None and number <= _MAX_INTEGER:
        return number
    if text.startswith("-") and _digits(text[1:]) is not None:
        message = f"Argument {argument} must be an integer between 0 and {_MAX_INTEGER}"
    else:
        message = f"Provided {parameter} not an integer or within integer range"
    raise _invalid(message, parameter, text)


def _digits(text: str) -> int | None:
    # Ten digits hold any legal value; int() of an unbounded one would cost the square of its length.
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None


def _url_encoding(query: Mapping[str, str]) -> bool:
    value = query.get("encoding-type", "")
    if value not in ("", "url"):
        raise _invalid("Invalid Encoding Method specified in Request", "encoding-type", value)
    return value == "url"


def _invalid(message: str, name: str, value: str) -> S3Error:
    return S3Error("InvalidArgument", message, ArgumentName=name, ArgumentValue=value)

"""Objects of an S3 store as botocore has them, and as we do."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlencode

from zerohop.errors import UnderStoreFailed
from zerohop_worker.origins.interface import Attributes, OriginObject, Validator, WriteCondition

__all__ = [
    "attribute_headers",
    "attribute_params",
    "bare_etag",
    "condition_params",
    "content_md5",
    "listed_object",
    "matches",
    "read_object",
    "written_object",
]

_PARAMS: Final = {
    "CacheControl": "cache-control",
    "ContentDisposition": "content-disposition",
    "ContentEncoding": "content-encoding",
    "ContentLanguage": "content-language",
    "ContentType": "content-type",
    "WebsiteRedirectLocation": "x-amz-website-redirect-location",
}
_HEADERS: Final = (*_PARAMS.values(), "expires")
_METADATA: Final = "x-amz-meta-"
_CHECKSUMS: Final = ("crc32", "crc32c", "crc64nvme", "sha1", "sha256")


def bare_etag(etag: str) -> str:
    """Without quotes; "" for a weak one, which binds no bytes."""
    return "" if etag.startswith("W/") else etag.strip('"')


def _client_etag(validator: Validator) -> str:
    if validator.etag:
        return validator.etag
    told = f"{validator.size_bytes} {validator.modified_ms}".encode()
    return hashlib.md5(told, usedforsecurity=False).hexdigest() + "-1"


def matches(found: Validator, expected: Validator) -> bool:
    """Whether the bytes of the object found are those that were expected."""
    if expected.etag:
        return found.etag == expected.etag
    return found == expected


def read_object(key: str, headers: Mapping[str, str], size_bytes: int, whole: bool) -> OriginObject:
    """What a GET or HEAD says in its headers, with names in lower case. The checksums of an answer that is not
    `whole` may be those of a part. Raises UnderStoreFailed.
    """
    modified = headers.get("last-modified")
    modified_ms = _date_ms(modified) if modified else 0
    if modified_ms is None:
        raise UnderStoreFailed(f"the origin's Last-Modified is no date: {modified!r}")
    validator = Validator(bare_etag(headers.get("etag", "")), size_bytes, modified_ms)
    kept = {name: headers[name] for name in _HEADERS if headers.get(name)}
    metadata = {
        name.removeprefix(_METADATA): value for name, value in headers.items() if name.startswith(_METADATA)
    }
    checksums = _checksums(headers) if whole else {}
    tag_count = headers.get("x-amz-tagging-count", "")
    return OriginObject(
        key=key,
        validator=validator,
        client_etag=_client_etag(validator),
        attributes=Attributes(kept, metadata, headers.get("x-amz-storage-class") or "STANDARD"),
        checksums=checksums,
        checksum_type=headers.get("x-amz-checksum-type", "") if checksums else "",
        part_count=_part_count(validator.etag),
        tag_count=int(tag_count) if tag_count.isascii() and tag_count.isdigit() else 0,
        version_id=_version(headers.get("x-amz-version-id")),
    )


def listed_object(key: str, entry: Mapping[str, Any]) -> OriginObject:
    """An entry of a listing."""
    validator = Validator(
        bare_etag(entry.get("ETag", "")), int(entry["Size"]), _ms(entry.get("LastModified"))
    )
    return OriginObject(
        key=key,
        validator=validator,
        client_etag=_client_etag(validator),
        attributes=Attributes({}, {}, entry.get("StorageClass") or "STANDARD"),
        part_count=_part_count(validator.etag),
    )


def written_object(
    key: str, answer: Mapping[str, Any], size_bytes: int, attributes: Attributes
) -> OriginObject:
    """What was written just now. The store does not say its time of modification: the answer's `Date` is that time,
    within a second.
    """
    about = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    told = answer.get("CopyObjectResult", answer)
    modified_ms = (
        _ms(told.get("LastModified")) or _date_ms(about.get("date", "")) or time.time_ns() // 1_000_000
    )
    validator = Validator(bare_etag(told.get("ETag", "")), size_bytes, modified_ms)
    return OriginObject(
        key=key,
        validator=validator,
        client_etag=_client_etag(validator),
        attributes=attributes,
        part_count=_part_count(validator.etag),
        tag_count=len(attributes.tags),
        version_id=_version(answer.get("VersionId")),
    )


def attribute_params(attributes: Attributes) -> dict[str, Any]:
    """The parameters of PutObject, CopyObject and CreateMultipartUpload that say what is stored with the object."""
    params: dict[str, Any] = {
        field: attributes.headers[name] for field, name in _PARAMS.items() if name in attributes.headers
    }
    params["Metadata"] = {name: _ascii(value) for name, value in attributes.metadata.items()}
    if attributes.storage_class:
        params["StorageClass"] = attributes.storage_class
    if attributes.tags:
        params["Tagging"] = urlencode(attributes.tags)
    return params


def attribute_headers(attributes: Attributes) -> dict[str, str]:
    """What botocore would change: it takes `Expires` for a date, but S3 stores and returns any text ("0", "-1")."""
    return {"Expires": attributes.headers["expires"]} if "expires" in attributes.headers else {}


def condition_params(condition: WriteCondition) -> dict[str, str]:
    """The parameters of a conditional write."""
    if condition.only_if_absent:
        return {"IfNoneMatch": "*"}
    return {"IfMatch": f'"{condition.only_if_etag}"'} if condition.only_if_etag else {}


def content_md5(data: bytes) -> str:
    """The value of Content-MD5."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def _ascii(value: str) -> str:
    """Metadata beyond ASCII in the form in which S3 itself returns it (RFC 2047, in one word)."""
    if value.isascii():
        return value
    return f"=?UTF-8?B?{base64.b64encode(value.encode(errors='surrogateescape')).decode()}?="


def _checksums(headers: Mapping[str, str]) -> dict[str, str]:
    found = {name: headers.get(f"x-amz-checksum-{name}") for name in _CHECKSUMS}
    return {name: value for name, value in found.items() if value}


def _part_count(etag: str) -> int:
    digest, dash, parts = etag.partition("-")
    return int(parts) if dash and len(digest) == 32 and parts.isascii() and parts.isdigit() else 0


def _version(told: object) -> str:
    return "" if told is None or told == "null" else str(told)


def _ms(at: datetime | None) -> int:
    return round(at.timestamp() * 1000) if at is not None else 0


def _date_ms(header: str) -> int | None:
    try:
        return round(parsedate_to_datetime(header).timestamp() * 1000)
    except ValueError:
        return None

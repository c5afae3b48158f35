"""Objects of an S3 store as botocore has them, and as we do."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from zerohop.errors import UnderStoreFailed
from zerohop_worker.origins.interface import Attributes, OriginObject, Validator, WriteCondition
from zerohop_worker.origins.s3_times import date_ms

__all__ = [
    "attribute_headers",
    "attribute_params",
    "bare_etag",
    "checksum_headers",
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
_CHECKSUM: Final = "x-amz-checksum-"
_NO_CHECKSUMS: Final = ("type", "algorithm", "mode")
_OWN_CHECKSUM: Final = "crc64nvme"
"""What S3 adds where the writer gives none, and a store that does not add it would not know."""


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
    modified_ms = date_ms(modified) if modified else 0
    if modified_ms is None:
        raise UnderStoreFailed(f"the origin's Last-Modified is no date: {modified!r}")
    validator = Validator(bare_etag(headers.get("etag", "")), size_bytes, modified_ms)
    kept = {name: headers[name] for name in _HEADERS if headers.get(name)}
    metadata = {
        name.removeprefix(_METADATA): value for name, value in headers.items() if name.startswith(_METADATA)
    }
    checksums, checksum_type = _checksums(headers) if whole else ({}, "")
    tag_count = headers.get("x-amz-tagging-count", "")
    return OriginObject(
        key=key,
        validator=validator,
        client_etag=_client_etag(validator),
        attributes=Attributes(kept, metadata, headers.get("x-amz-storage-class") or "STANDARD"),
        checksums=checksums,
        checksum_type=checksum_type,
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
        checksums={str(name).lower(): "" for name in entry.get("ChecksumAlgorithm", ())},
        checksum_type=str(entry.get("ChecksumType", "")),
        part_count=_part_count(validator.etag),
    )


def written_object(
    key: str, answer: Mapping[str, Any], size_bytes: int, attributes: Attributes
) -> OriginObject:
    """What was written just now, with the answer's `Date` for its time where the store does not say that."""
    about = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    told = answer.get("CopyObjectResult", answer)
    modified_ms = (
        _ms(told.get("LastModified")) or date_ms(about.get("date", "")) or time.time_ns() // 1_000_000
    )
    validator = Validator(bare_etag(told.get("ETag", "")), size_bytes, modified_ms)
    checksums, checksum_type = _told_checksums(answer)
    return OriginObject(
        key=key,
        validator=validator,
        client_etag=_client_etag(validator),
        attributes=attributes,
        checksums=checksums,
        checksum_type=checksum_type,
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


def checksum_headers(attributes: Attributes) -> dict[str, str]:
    """The checksum that the writer of a whole body gave, in headers of our own: botocore does not know all of them."""
    if attributes.checksum_type != "FULL_OBJECT":
        return {}
    return {_CHECKSUM + name: value for name, value in attributes.checksums.items() if name != _OWN_CHECKSUM}


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


def _checksums(headers: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """By name, and their type."""
    found = {
        name: value
        for header, value in headers.items()
        if header.startswith(_CHECKSUM) and (name := header.removeprefix(_CHECKSUM)) not in _NO_CHECKSUMS
    }
    return found, headers.get(_CHECKSUM + "type", "") if found else ""


def _told_checksums(answer: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """Those of an answer that has them in its headers, or in a document."""
    found = _checksums(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}))
    if found[0]:
        return found
    told = answer.get("CopyObjectResult", answer)
    checksums = {
        name: str(value)
        for field, value in told.items()
        if field.startswith("Checksum")
        and (name := field.removeprefix("Checksum").lower()) not in _NO_CHECKSUMS
    }
    return checksums, str(told.get("ChecksumType", "")) if checksums else ""


def _part_count(etag: str) -> int:
    digest, dash, parts = etag.partition("-")
    return int(parts) if dash and len(digest) == 32 and parts.isascii() and parts.isdigit() else 0


def _version(told: object) -> str:
    return "" if told is None or told == "null" else str(told)


def _ms(at: datetime | None) -> int:
    return round(at.timestamp() * 1000) if at is not None else 0

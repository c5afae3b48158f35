"""Objects of an S3 store as botocore has them, and as we do."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

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

_HEADERS: Final = {
    "CacheControl": "cache-control",
    "ContentDisposition": "content-disposition",
    "ContentEncoding": "content-encoding",
    "ContentLanguage": "content-language",
    "ContentType": "content-type",
    "ExpiresString": "expires",
    "WebsiteRedirectLocation": "x-amz-website-redirect-location",
}
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


def read_object(key: str, answer: Mapping[str, Any], size_bytes: int, whole: bool) -> OriginObject:
    """What a GET or HEAD says. The checksums of an answer that is not `whole` may be those of a part."""
    validator = Validator(bare_etag(answer.get("ETag", "")), size_bytes, _ms(answer.get("LastModified")))
    headers = {name: str(answer[field]) for field, name in _HEADERS.items() if answer.get(field)}
    metadata = {name.lower(): value for name, value in answer.get("Metadata", {}).items()}
    checksums, checksum_type = _checksums(answer) if whole else ({}, "")
    return OriginObject(
        key=key,
        validator=validator,
        client_etag=_client_etag(validator),
        attributes=Attributes(headers, metadata, answer.get("StorageClass") or "STANDARD"),
        checksums=checksums,
        checksum_type=checksum_type,
        part_count=_part_count(validator.etag),
        tag_count=int(answer.get("TagCount") or 0),
        version_id=_version(answer),
    )


def listed_object(key: str, entry: Mapping[str, Any]) -> OriginObject:
    """An entry of a listing."""
    validator = Validator(bare_etag(entry.get("ETag", "")), int(entry["Size"]), _ms(entry["LastModified"]))
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
    modified_ms = _ms(told.get("LastModified")) or date_ms(about.get("date", ""))
    validator = Validator(bare_etag(told.get("ETag", "")), size_bytes, modified_ms)
    checksums, checksum_type = _checksums(answer)
    return OriginObject(
        key=key,
        validator=validator,
        client_etag=_client_etag(validator),
        attributes=attributes,
        checksums=checksums,
        checksum_type=checksum_type,
        part_count=_part_count(validator.etag),
        tag_count=len(attributes.tags),
        version_id=_version(answer),
    )


def attribute_params(attributes: Attributes) -> dict[str, Any]:
    """The parameters of PutObject, CopyObject and CreateMultipartUpload that say what is stored with the object."""
    params: dict[str, Any] = {
        field: attributes.headers[name]
        for field, name in _HEADERS.items()
        if name in attributes.headers and field != "ExpiresString"
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


def _checksums(answer: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """By name, and their type: in the headers, or where an answer has a document in that."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    found = {
        name: str(value)
        for header, value in headers.items()
        if header.startswith(_CHECKSUM) and (name := header.removeprefix(_CHECKSUM)) not in _NO_CHECKSUMS
    }
    if found:
        return found, str(headers.get(_CHECKSUM + "type", ""))
    told = answer.get("CopyObjectResult", answer)
    found = {
        field.removeprefix("Checksum").lower(): str(value)
        for field, value in told.items()
        if field.startswith("Checksum") and field.removeprefix("Checksum").lower() not in _NO_CHECKSUMS
    }
    return found, str(told.get("ChecksumType", "")) if found else ""


def _part_count(etag: str) -> int:
    digest, dash, parts = etag.partition("-")
    return int(parts) if dash and len(digest) == 32 and parts.isascii() and parts.isdigit() else 0


def _version(answer: Mapping[str, Any]) -> str:
    version = str(answer.get("VersionId") or "")
    return "" if version == "null" else version


def _ms(at: datetime | None) -> int:
    return round(at.timestamp() * 1000) if at is not None else 0

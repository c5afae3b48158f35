"""The headers that describe an object in answers to GET and HEAD, and what of a request is stored with one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from zerohop.model import ObjectRecord
from zerohop_proxy.answer import Headers
from zerohop_proxy.checksums import header_name
from zerohop_proxy.conditions import http_date
from zerohop_proxy.object_headers import ObjectHeaders, user_metadata_headers

__all__ = ["checksum_headers", "described", "object_headers", "stored", "template"]

_DEFAULT_TYPE: Final = "binary/octet-stream"
_NAMES: Final = {
    "content-type": "Content-Type",
    "cache-control": "Cache-Control",
    "content-disposition": "Content-Disposition",
    "content-encoding": "Content-Encoding",
    "content-language": "Content-Language",
    "expires": "Expires",
    "x-amz-website-redirect-location": "x-amz-website-redirect-location",
}


def template(key: str, headers: ObjectHeaders) -> ObjectRecord:
    """A record of an object that is yet to get its bytes."""
    return ObjectRecord(
        key=key,
        size_bytes=0,
        etag="",
        modified_ms=0,
        headers={name.lower(): value for name, value in headers.standard.items()},
        metadata=headers.user_metadata,
        storage_class=headers.storage_class,
        tags=headers.tags,
    )


def object_headers(record: ObjectRecord, overrides: Mapping[str, str]) -> Headers:
    """What GET and HEAD say of an object, without length and range. `overrides` are of `response-*` parameters."""
    headers: Headers = [
        ("Last-Modified", http_date(record.modified_ms)),
        ("ETag", f'"{record.etag}"'),
        ("Accept-Ranges", "bytes"),
    ]
    stored = {_NAMES[name]: value for name, value in record.headers.items() if name in _NAMES}
    stored.setdefault("Content-Type", _DEFAULT_TYPE)
    stored.update(overrides)
    headers.extend(stored.items())
    if record.metadata:
        headers.extend(user_metadata_headers(record.metadata))
    if record.storage_class != "STANDARD":
        headers.append(("x-amz-storage-class", record.storage_class))
    tag_count = len(record.tags) if record.origin is None else record.origin.tag_count
    if tag_count:
        headers.append(("x-amz-tagging-count", str(tag_count)))
    return headers


def checksum_headers(record: ObjectRecord) -> Headers:
    """The stored checksums: sent when `x-amz-checksum-mode: ENABLED` asks for them, and in answers to writes."""
    headers = [(header_name(algorithm.upper()), value) for algorithm, value in record.checksums.items()]
    if headers and record.checksum_type:
        headers.append(("x-amz-checksum-type", record.checksum_type))
    return headers


def described(checksums: Mapping[str, str]) -> dict[str, str]:
    """Checksums by their names in answers (`CRC32`), from those of a record (`crc32`)."""
    return {algorithm.upper(): value for algorithm, value in checksums.items()}


def stored(checksums: Mapping[str, str]) -> dict[str, str]:
    """Checksums by their names in records, from those of requests."""
    return {algorithm.lower(): value for algorithm, value in checksums.items()}

"""Listings of keys, versions, uploads and parts as XML.

`encoding-type=url` is applied where S3 applies it: to Delimiter, Prefix, Key, StartAfter, and the key markers
(Marker, NextMarker, KeyMarker, NextKeyMarker), also inside CommonPrefixes; never to continuation tokens,
names of buckets, ids or ETags. ETags come without quotes; times are milliseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from zerohop.model import NULL_VERSION
from zerohop.rpc.master_api import ListEntry
from zerohop_proxy.xml_out import Owner, checksum_elements, document, element
from zerohop_proxy.xml_text import escape, is_plain, timestamp, url_encoded

__all__ = [
    "ObjectsPage",
    "PartEntry",
    "PartsPage",
    "UploadEntry",
    "UploadsPage",
    "VersionsPage",
    "list_bucket_result",
    "list_bucket_result_v2",
    "list_multipart_uploads_result",
    "list_parts_result",
    "list_versions_result",
]

_Text = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class ObjectsPage:
    """A page of ListObjects, v1 or v2: echoes of the request, and what was found. `owner` is shown with each object."""

    bucket: str
    prefix: str
    delimiter: str
    max_keys: int
    url_encoding: bool
    is_truncated: bool
    objects: Sequence[ListEntry]
    common_prefixes: Sequence[str]
    owner: Owner | None = None


@dataclass(frozen=True, slots=True)
class VersionsPage:
    """A page of ListObjectVersions; `versions` in the order of the listing, delete markers in between."""

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
    versions: Sequence[ListEntry]
    common_prefixes: Sequence[str]
    owner: Owner


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
    next_token: str = "",
) -> bytes:
    """Answer of ListObjects (v1).

    `next_marker` is written when not empty (S3 gives one only with a delimiter). In the API page's dialect the
    elements ContinuationToken, NextContinuationToken (`next_token`, the first key that was not listed) and
    KeyCount come too.
    """
    text = _text_of(url_encoding=page.url_encoding)
    head = _page_head(page, text) + f"<Marker>{text(marker)}</Marker>"
    if next_marker:
        head += f"<NextMarker>{text(next_marker)}</NextMarker>"
    if in_dialect:
        head += (
            f"<ContinuationToken>{escape(continuation_token)}</ContinuationToken>"
            f"<NextContinuationToken>{escape(next_token)}</NextContinuationToken>{_key_count(page)}"
        )
    return document("ListBucketResult", head + _page_body(page, text))


def list_bucket_result_v2(
    page: ObjectsPage,
    *,
    start_after: str | None = None,
    continuation_token: str | None = None,
    next_continuation_token: str = "",
) -> bytes:
    """Answer of ListObjectsV2."""
    text = _text_of(url_encoding=page.url_encoding)
    head = _page_head(page, text)
    if start_after is not None:
        head += f"<StartAfter>{text(start_after)}</StartAfter>"
    if continuation_token is not None:
        head += element("ContinuationToken", continuation_token)
    if next_continuation_token:
        head += element("NextContinuationToken", next_continuation_token)
    return document("ListBucketResult", head + _key_count(page) + _page_body(page, text))


def list_versions_result(page: VersionsPage) -> bytes:
    """Answer of ListObjectVersions."""
    text = _text_of(url_encoding=page.url_encoding)
    parts = [
        f"<Name>{page.bucket}</Name><Prefix>{text(page.prefix)}</Prefix><KeyMarker>{text(page.key_marker)}</KeyMarker>",
        element("VersionIdMarker", page.version_id_marker),
    ]
    if page.is_truncated:
        parts.append(f"<NextKeyMarker>{text(page.next_key_marker)}</NextKeyMarker>")
        parts.append(element("NextVersionIdMarker", page.next_version_id_marker))
    parts.append(f"<MaxKeys>{page.max_keys}</MaxKeys>")
    parts.append(
        _delimiter_and_end(page.delimiter, text, is_truncated=page.is_truncated, url=page.url_encoding)
    )
    parts.append(_versions(page, text))
    parts.append(_common_prefixes(page.common_prefixes, text))
    return document("ListVersionsResult", "".join(parts))


def list_multipart_uploads_result(page: UploadsPage) -> bytes:
    """Answer of ListMultipartUploads."""
    text = _text_of(url_encoding=page.url_encoding)
    parts = [
        f"<Bucket>{page.bucket}</Bucket><KeyMarker>{text(page.key_marker)}</KeyMarker>",
        element("UploadIdMarker", page.upload_id_marker),
    ]
    if page.is_truncated:
        parts.append(f"<NextKeyMarker>{text(page.next_key_marker)}</NextKeyMarker>")
        parts.append(element("NextUploadIdMarker", page.next_upload_id_marker))
    parts.append(f"<Prefix>{text(page.prefix)}</Prefix><MaxUploads>{page.max_uploads}</MaxUploads>")
    parts.append(
        _delimiter_and_end(page.delimiter, text, is_truncated=page.is_truncated, url=page.url_encoding)
    )
    parts.extend(
        f"<Upload><Key>{text(upload.key)}</Key>{element('UploadId', upload.upload_id)}"
        f"{upload.owner.xml('Initiator')}{upload.owner.xml()}<StorageClass>{upload.storage_class}</StorageClass>"
        f"<Initiated>{timestamp(upload.initiated_ms)}</Initiated>"
        f"{_checksum_kind(upload.checksum_algorithm, upload.checksum_type)}</Upload>"
        for upload in page.uploads
    )
    parts.append(_common_prefixes(page.common_prefixes, text))
    return document("ListMultipartUploadsResult", "".join(parts))


def list_parts_result(page: PartsPage) -> bytes:
    """Answer of ListParts."""
    parts = [
        f"<Bucket>{page.bucket}</Bucket>{element('Key', page.key)}{element('UploadId', page.upload_id)}",
        f"{page.owner.xml('Initiator')}{page.owner.xml()}<StorageClass>{page.storage_class}</StorageClass>",
        f"<PartNumberMarker>{page.part_number_marker}</PartNumberMarker>",
    ]
    parts.append(
        f"<NextPartNumberMarker>{page.next_part_number_marker}</NextPartNumberMarker>"
        f"<MaxParts>{page.max_parts}</MaxParts><IsTruncated>{_boolean(page.is_truncated)}</IsTruncated>"
    )
    parts.append(_checksum_kind(page.checksum_algorithm, page.checksum_type))
    parts.extend(
        f"<Part><PartNumber>{part.part_number}</PartNumber>"
        f"<LastModified>{timestamp(part.modified_ms)}</LastModified><ETag>&quot;{part.etag}&quot;</ETag>"
        f"<Size>{part.size_bytes}</Size>{checksum_elements(part.checksums)}</Part>"
        for part in page.parts
    )
    return document("ListPartsResult", "".join(parts))


def _url_text(text: str) -> str:
    return escape(url_encoded(text))


def _text_of(*, url_encoding: bool) -> _Text:
    """How keys and what is compared with keys are written."""
    return _url_text if url_encoding else escape


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _key_count(page: ObjectsPage) -> str:
    return f"<KeyCount>{len(page.objects) + len(page.common_prefixes)}</KeyCount>"


def _page_head(page: ObjectsPage, text: _Text) -> str:
    return f"<Name>{page.bucket}</Name><Prefix>{text(page.prefix)}</Prefix>"


def _page_body(page: ObjectsPage, text: _Text) -> str:
    end = _delimiter_and_end(page.delimiter, text, is_truncated=page.is_truncated, url=page.url_encoding)
    parts = [f"<MaxKeys>{page.max_keys}</MaxKeys>{end}"]
    parts.append(_contents(page, text))
    parts.append(_common_prefixes(page.common_prefixes, text))
    return "".join(parts)


def _delimiter_and_end(delimiter: str, text: _Text, *, is_truncated: bool, url: bool) -> str:
    shown = f"<Delimiter>{text(delimiter)}</Delimiter>" if delimiter else ""
    encoding = "<EncodingType>url</EncodingType>" if url else ""
    return f"{shown}{encoding}<IsTruncated>{_boolean(is_truncated)}</IsTruncated>"


def _contents(page: ObjectsPage, text: _Text) -> str:
    """One expression for each object, of which only what differs is computed: 1.0 ms a page of 1,000 that was 2.4."""
    owner = "" if page.owner is None else page.owner.xml()
    return "".join(
        [
            f"<Contents><Key>{key}</Key><LastModified>{timestamp(entry.modified_ms)}</LastModified>"
            f"<ETag>&quot;{entry.etag}&quot;</ETag>{_checksums(entry.checksum_algorithms, entry.checksum_type)}"
            f"<Size>{entry.size_bytes}</Size>{owner}<StorageClass>{entry.storage_class}</StorageClass></Contents>"
            for key, entry in zip(_keys(page.objects, text), page.objects, strict=True)
        ]
    )


def _keys(entries: Sequence[ListEntry], text: _Text) -> list[str]:
    """The keys as they are written. Nearly always that is as they are, which one look at all of them tells."""
    keys = [entry.key for entry in entries]
    if text is escape and is_plain("".join(keys)):
        return keys
    return [text(key) for key in keys]


def _versions(page: VersionsPage, text: _Text) -> str:
    owner = page.owner.xml()
    keys = _keys(page.versions, text)
    return "".join(
        [_version(key, entry, owner) for key, entry in zip(keys, page.versions, strict=True)],
    )


def _version(key: str, entry: ListEntry, owner: str) -> str:
    common = (
        f"<Key>{key}</Key>{element('VersionId', entry.version_id or NULL_VERSION)}"
        f"<IsLatest>{_boolean(entry.latest)}</IsLatest><LastModified>{timestamp(entry.modified_ms)}</LastModified>"
    )
    if entry.delete_marker:
        return f"<DeleteMarker>{common}{owner}</DeleteMarker>"
    return (
        f"<Version>{common}<ETag>&quot;{entry.etag}&quot;</ETag>"
        f"{_checksums(entry.checksum_algorithms, entry.checksum_type)}<Size>{entry.size_bytes}</Size>{owner}"
        f"<StorageClass>{entry.storage_class}</StorageClass></Version>"
    )


def _common_prefixes(prefixes: Sequence[str], text: _Text) -> str:
    return "".join(
        [f"<CommonPrefixes><Prefix>{text(prefix)}</Prefix></CommonPrefixes>" for prefix in prefixes]
    )


@lru_cache(maxsize=64)
def _checksums(algorithms: tuple[str, ...], kind: str) -> str:
    """Of an object in a listing, which shows one."""
    return _checksum_kind(algorithms[0].upper(), kind) if algorithms else ""


def _checksum_kind(algorithm: str, kind: str) -> str:
    parts = element("ChecksumAlgorithm", algorithm) if algorithm else ""
    return parts + (element("ChecksumType", kind) if kind else "")

"""Answers of the operations that are not listings of keys, and errors, as XML.

Strings are built directly: with ElementTree a page of 1000 keys costs ten times as much. Names and order of
elements are those of the S3 API reference (botocore's model, 2006-03-01). ETags come without quotes and are
written with them; times are milliseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from zerohop_proxy.xml_text import escape, timestamp

__all__ = [
    "NAMESPACE",
    "BucketEntry",
    "DeleteError",
    "Deleted",
    "Owner",
    "access_control_policy",
    "complete_multipart_upload_result",
    "copy_object_result",
    "copy_part_result",
    "delete_result",
    "error",
    "get_object_attributes_response",
    "initiate_multipart_upload_result",
    "list_all_my_buckets_result",
    "location_constraint",
]

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


@dataclass(frozen=True, slots=True)
class Owner:
    """Canonical id and display name of a user."""

    id: str
    display_name: str

    def xml(self, tag: str = "Owner") -> str:
        """The element `Owner` or `Initiator`."""
        name = f"<DisplayName>{escape(self.display_name)}</DisplayName>" if self.display_name else ""
        return f"<{tag}><ID>{escape(self.id)}</ID>{name}</{tag}>"


@dataclass(frozen=True, slots=True)
class BucketEntry:
    """One bucket of ListBuckets."""

    name: str
    created_ms: int
    region: str = ""


@dataclass(frozen=True, slots=True)
class Deleted:
    """One success of DeleteObjects."""

    key: str
    version_id: str = ""
    delete_marker: bool = False
    delete_marker_version_id: str = ""


@dataclass(frozen=True, slots=True)
class DeleteError:
    """One failure of DeleteObjects."""

    key: str
    code: str
    message: str
    version_id: str = ""


def document(root: str, body: str) -> bytes:
    """A whole document with root element `root` in S3's namespace."""
    # A key can hold lone surrogates only if it was never UTF-8, which the router refuses.
    return f'{DECLARATION}<{root} xmlns="{NAMESPACE}">{body}</{root}>'.encode()


def element(tag: str, text: str) -> str:
    """`<tag>text</tag>` with `text` escaped, or `<tag/>`-like empty element pair."""
    return f"<{tag}>{escape(text)}</{tag}>"


def checksum_elements(checksums: Mapping[str, str], checksum_type: str = "") -> str:
    """`<ChecksumCRC32>..</ChecksumCRC32>` for each, and `ChecksumType` (COMPOSITE, FULL_OBJECT) if given."""
    parts = [f"<Checksum{name}>{escape(value)}</Checksum{name}>" for name, value in checksums.items()]
    if checksum_type:
        parts.append(f"<ChecksumType>{checksum_type}</ChecksumType>")
    return "".join(parts)


def list_all_my_buckets_result(
    owner: Owner, buckets: Iterable[BucketEntry], *, prefix: str = "", continuation_token: str = ""
) -> bytes:
    """Answer of ListBuckets; `continuation_token` is that of the next page."""
    rows = "".join(
        f"<Bucket><Name>{escape(bucket.name)}</Name><CreationDate>{timestamp(bucket.created_ms)}</CreationDate>"
        + (element("BucketRegion", bucket.region) if bucket.region else "")
        + "</Bucket>"
        for bucket in buckets
    )
    body = f"{owner.xml()}<Buckets>{rows}</Buckets>"
    if prefix:
        body += element("Prefix", prefix)
    if continuation_token:
        body += element("ContinuationToken", continuation_token)
    return document("ListAllMyBucketsResult", body)


def location_constraint(region: str) -> bytes:
    """Answer of GetBucketLocation; `us-east-1` is the empty constraint, as in S3."""
    return document("LocationConstraint", "" if region == "us-east-1" else escape(region))


def access_control_policy(owner: Owner) -> bytes:
    """Answer of GetBucketAcl and GetObjectAcl: the private ACL."""
    # The one attribute of S3's documents, without which SDKs cannot tell what kind of grantee it is.
    grantee = owner.xml("Grantee").replace(
        "<Grantee>",
        '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">',
        1,
    )
    grant = f"<Grant>{grantee}<Permission>FULL_CONTROL</Permission></Grant>"
    return document("AccessControlPolicy", f"{owner.xml()}<AccessControlList>{grant}</AccessControlList>")


def initiate_multipart_upload_result(bucket: str, key: str, upload_id: str) -> bytes:
    """Answer of CreateMultipartUpload."""
    body = element("Bucket", bucket) + element("Key", key) + element("UploadId", upload_id)
    return document("InitiateMultipartUploadResult", body)


def complete_multipart_upload_result(
    location: str,
    bucket: str,
    key: str,
    etag: str,
    *,
    checksums: Mapping[str, str] | None = None,
    checksum_type: str = "",
    with_declaration: bool = True,
) -> bytes:
    """Answer of CompleteMultipartUpload.

    Without the declaration it can follow a 200 that has been kept alive by whitespace after a declaration
    that is already sent.
    """
    body = (
        f"{element('Location', location)}{element('Bucket', bucket)}{element('Key', key)}"
        f"<ETag>&quot;{escape(etag)}&quot;</ETag>{checksum_elements(checksums or {}, checksum_type)}"
    )
    whole = document("CompleteMultipartUploadResult", body)
    return whole if with_declaration else whole[len(DECLARATION) :]


def get_object_attributes_response(
    *,
    etag: str | None,
    checksums: Mapping[str, str],
    checksum_type: str,
    parts_count: int,
    storage_class: str | None,
    size_bytes: int | None,
) -> bytes:
    """Answer of GetObjectAttributes; what is None, empty or 0 is left out. Its ETag alone comes without quotes."""
    parts = [
        element("ETag", etag) if etag is not None else "",
        f"<Checksum>{checksum_elements(checksums, checksum_type)}</Checksum>" if checksums else "",
        f"<ObjectParts><PartsCount>{parts_count}</PartsCount></ObjectParts>" if parts_count else "",
        element("StorageClass", storage_class) if storage_class is not None else "",
        f"<ObjectSize>{size_bytes}</ObjectSize>" if size_bytes is not None else "",
    ]
    return document("GetObjectAttributesResponse", "".join(parts))


def copy_object_result(
    etag: str, modified_ms: int, *, checksums: Mapping[str, str] | None = None, checksum_type: str = ""
) -> bytes:
    """Answer of CopyObject."""
    return document("CopyObjectResult", _copied(etag, modified_ms, checksums, checksum_type))


def copy_part_result(etag: str, modified_ms: int, *, checksums: Mapping[str, str] | None = None) -> bytes:
    """Answer of UploadPartCopy."""
    return document("CopyPartResult", _copied(etag, modified_ms, checksums, ""))


def _copied(etag: str, modified_ms: int, checksums: Mapping[str, str] | None, checksum_type: str) -> str:
    return (
        f"<LastModified>{timestamp(modified_ms)}</LastModified><ETag>&quot;{escape(etag)}&quot;</ETag>"
        + checksum_elements(checksums or {}, checksum_type)
    )


def delete_result(deleted: Sequence[Deleted], errors: Sequence[DeleteError], *, quiet: bool = False) -> bytes:
    """Answer of DeleteObjects; `quiet` leaves out the successes."""
    rows: list[str] = []
    for item in () if quiet else deleted:
        row = f"<Deleted>{element('Key', item.key)}"
        if item.version_id:
            row += element("VersionId", item.version_id)
        if item.delete_marker:
            row += "<DeleteMarker>true</DeleteMarker>"
        if item.delete_marker_version_id:
            row += element("DeleteMarkerVersionId", item.delete_marker_version_id)
        rows.append(row + "</Deleted>")
    for failed in errors:
        row = f"<Error>{element('Key', failed.key)}"
        if failed.version_id:
            row += element("VersionId", failed.version_id)
        rows.append(f"{row}{element('Code', failed.code)}{element('Message', failed.message)}</Error>")
    return document("DeleteResult", "".join(rows))


def error(
    code: str,
    message: str,
    resource: str,
    request_id: str,
    host_id: str,
    elements: Mapping[str, str] | None = None,
    *,
    with_declaration: bool = True,
) -> bytes:
    """The `Error` document, which has no namespace. `resource` is the path of bucket and key."""
    extra = "".join(element(name, value) for name, value in (elements or {}).items())
    head = DECLARATION if with_declaration else ""
    return (
        f"{head}<Error>{element('Code', code)}{element('Message', message)}{extra}{element('Resource', resource)}"
        f"{element('RequestId', request_id)}{element('HostId', host_id)}</Error>"
    ).encode()

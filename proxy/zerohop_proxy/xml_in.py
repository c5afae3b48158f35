"""XML request bodies, each parsed into one dataclass.

Namespaces are ignored, since clients send right, wrong and no ones; unknown elements are MalformedXML.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from zerohop_proxy.checksums import ALGORITHMS, element_name
from zerohop_proxy.params import MAX_PART_NUMBER
from zerohop_proxy.s3_errors import S3Error
from zerohop_proxy.xml_tree import MAX_BODY_BYTES, Node, parse_xml

__all__ = [
    "MAX_BODY_BYTES",
    "AccessControlPolicy",
    "CompletedPart",
    "DeleteRequest",
    "ObjectIdentifier",
    "parse_access_control_policy",
    "parse_complete_multipart_upload",
    "parse_create_bucket",
    "parse_delete",
]

_MAX_DELETED = 1000
_PERMISSIONS = frozenset({"FULL_CONTROL", "WRITE", "WRITE_ACP", "READ", "READ_ACP"})
_CHECKSUMS = {element_name(algorithm): algorithm for algorithm in ALGORITHMS}
_PART_ELEMENTS = ("PartNumber", "ETag", *_CHECKSUMS)
_OBJECT_ELEMENTS = ("Key", "VersionId", "ETag", "LastModifiedTime", "Size")

# Each element costs some microseconds, in which the loop does nothing else: no more of them than can be meant.
_MAX_PART_ELEMENTS = MAX_PART_NUMBER * (1 + len(_PART_ELEMENTS)) + 1
_MAX_OBJECT_ELEMENTS = _MAX_DELETED * (1 + len(_OBJECT_ELEMENTS)) + 2


@dataclass(frozen=True, slots=True)
class CompletedPart:
    """One `Part`; `etag` without quotes; `checksums` maps ALGORITHM to base64."""

    part_number: int
    etag: str
    checksums: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObjectIdentifier:
    """One `Object` of a Delete; `etag` without quotes."""

    key: str
    version_id: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class AccessControlPolicy:
    """Body of PutBucketAcl and PutObjectAcl. `grants`: id of the grantee ("" for a group or an e-mail), permission."""

    owner: str
    grants: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    """Body of DeleteObjects; at most 1000 objects."""

    objects: list[ObjectIdentifier]
    quiet: bool


def parse_complete_multipart_upload(body: bytes) -> list[CompletedPart] | None:
    """Parts in the order of the body; None when the body is empty (the API page's dialect).

    Raises MalformedXML, also for no parts at all; InvalidArgument for a part number that cannot be.
    """
    if not body:
        return None
    root = parse_xml(body, "CompleteMultipartUpload", max_elements=_MAX_PART_ELEMENTS)
    if not 1 <= len(root.children) <= MAX_PART_NUMBER:
        raise S3Error("MalformedXML")
    return [_completed_part(node) for node in root.children]


def parse_delete(body: bytes) -> DeleteRequest:
    """Parse the body of DeleteObjects; raises MalformedXML, MissingRequestBodyError."""
    if not body:
        raise S3Error("MissingRequestBodyError")
    quiet = False
    objects: list[ObjectIdentifier] = []
    for child in parse_xml(body, "Delete", max_elements=_MAX_OBJECT_ELEMENTS).children:
        if child.tag == "Object":
            objects.append(_object_identifier(child))
        elif child.tag == "Quiet" and not child.children:
            quiet = _boolean(child.text)
        else:
            raise S3Error("MalformedXML")
    if not 1 <= len(objects) <= _MAX_DELETED:
        raise S3Error("MalformedXML")
    return DeleteRequest(objects, quiet)


def parse_create_bucket(body: bytes) -> str | None:
    """The LocationConstraint of CreateBucketConfiguration, None when absent or the body is empty.

    Raises MalformedXML; NotImplemented for directory buckets and tags.
    """
    if not body:
        return None
    root = parse_xml(body, "CreateBucketConfiguration")
    if any(child.tag in ("Location", "Bucket", "Tags") for child in root.children):
        raise S3Error("NotImplemented", "Directory buckets and tags of buckets are not supported.")
    return root.only("LocationConstraint").get("LocationConstraint", "").strip() or None


def parse_access_control_policy(body: bytes) -> AccessControlPolicy:
    """Raises MalformedACLError."""
    try:
        return _access_control_policy(parse_xml(body, "AccessControlPolicy"))
    except S3Error:
        raise S3Error("MalformedACLError") from None


def _access_control_policy(root: Node) -> AccessControlPolicy:
    owner, grants = "", list[tuple[str, str]]()
    for child in root.children:
        if child.tag == "Owner":
            owner = child.only("ID", "DisplayName").get("ID", "").strip()
        elif child.tag == "AccessControlList":
            grants += [_grant(node) for node in child.children]
        else:
            raise S3Error("MalformedXML")
    return AccessControlPolicy(owner, grants)


def _grant(node: Node) -> tuple[str, str]:
    by_tag = {child.tag: child for child in node.children}
    if node.tag != "Grant" or by_tag.keys() != {"Grantee", "Permission"} or len(node.children) != 2:
        raise S3Error("MalformedXML")
    permission = by_tag["Permission"].text.strip()
    if permission not in _PERMISSIONS or by_tag["Permission"].children:
        raise S3Error("MalformedXML")
    grantee = by_tag["Grantee"].only("ID", "DisplayName", "URI", "EmailAddress")
    return grantee.get("ID", "").strip(), permission


def _completed_part(node: Node) -> CompletedPart:
    found = node.only(*_PART_ELEMENTS) if node.tag == "Part" else {}
    number, etag = found.get("PartNumber", "").strip(), _unquoted(found.get("ETag", ""))
    if not etag or not number.isascii() or not number.isdigit():
        raise S3Error("MalformedXML")
    if len(number) > 10 or not 1 <= int(number) <= MAX_PART_NUMBER:
        raise S3Error(
            "InvalidArgument",
            "PartNumber must be >= 1 and <= 10000",
            ArgumentName="PartNumber",
            ArgumentValue=number,
        )
    checksums = {algorithm: found[tag].strip() for tag, algorithm in _CHECKSUMS.items() if tag in found}
    return CompletedPart(int(number), etag, checksums)


def _object_identifier(node: Node) -> ObjectIdentifier:
    found = node.only(*_OBJECT_ELEMENTS)
    size = found.get("Size", "").strip()
    if not found.get("Key") or (size and not (size.isascii() and size.isdigit() and len(size) <= 18)):
        raise S3Error("MalformedXML")
    return ObjectIdentifier(
        found["Key"],
        found.get("VersionId") or None,
        _unquoted(found.get("ETag", "")) or None,
        found.get("LastModifiedTime", "").strip() or None,
        int(size) if size else None,
    )


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word not in ("true", "false"):
        raise S3Error("MalformedXML")
    return word == "true"


def _unquoted(etag: str) -> str:
    text = etag.strip()
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text

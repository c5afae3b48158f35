"""Headers that describe an object: standard ones, user metadata, directives, copy source, length.

Text: HTTP parsers give us bytes as latin-1. What is stored is text, UTF-8 where the bytes are that and latin-1
else, so that writing it as UTF-8 gives the client's bytes back in the common case.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.header import decode_header
from urllib.parse import unquote_to_bytes

from zerohop_proxy.bucket_name import is_valid_bucket_name
from zerohop_proxy.params import is_version_id
from zerohop_proxy.s3_errors import S3Error
from zerohop_proxy.tag_set import TAGGING, parse_tagging_header

__all__ = [
    "MAX_PUT_BYTES",
    "CopySource",
    "ObjectHeaders",
    "body_length",
    "copy_directive",
    "parse_copy_source",
    "parse_object_headers",
    "user_metadata_headers",
]

MAX_PUT_BYTES = 5 * 1024**3
"""S3's limit for one PUT and for one part."""
_MAX_USER_METADATA_BYTES = 2048
_META = "x-amz-meta-"

_REDIRECT = "x-amz-website-redirect-location"
_REDIRECT_STARTS = ("/", "http://", "https://")
_STANDARD = (
    ("content-type", "Content-Type"),
    ("cache-control", "Cache-Control"),
    ("content-disposition", "Content-Disposition"),
    ("content-language", "Content-Language"),
    ("expires", "Expires"),
    (_REDIRECT, _REDIRECT),
)
_STORAGE_CLASSES = frozenset(
    {
        "STANDARD",
        "REDUCED_REDUNDANCY",
        "STANDARD_IA",
        "ONEZONE_IA",
        "INTELLIGENT_TIERING",
        "GLACIER",
        "DEEP_ARCHIVE",
        "GLACIER_IR",
    }
)
_PRINTABLE = re.compile(r"[\x20-\x7e]*\Z")
_LENGTH = re.compile(r"[0-9]{1,18}\Z")


@dataclass(frozen=True, slots=True)
class ObjectHeaders:
    """What is stored with an object and given back with it.

    `standard` maps canonical names (Content-Type, Cache-Control, Content-Disposition, Content-Encoding,
    Content-Language, Expires, x-amz-website-redirect-location) to values, only those that were sent.
    `user_metadata` maps names without `x-amz-meta-`, lower case, to text; `tags` are those of `x-amz-tagging`.
    """

    standard: dict[str, str]
    user_metadata: dict[str, str]
    storage_class: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CopySource:
    """x-amz-copy-source, decoded."""

    bucket: str
    key: str
    version_id: str | None


def parse_object_headers(headers: Mapping[str, str]) -> ObjectHeaders:
    """From request headers (lower-case names); raises MetadataTooLarge, InvalidStorageClass,
    InvalidRedirectLocation, InvalidTag, InvalidArgument.
    """
    standard = {canonical: _text(headers[name]) for name, canonical in _STANDARD if headers.get(name)}
    if not standard.get(_REDIRECT, "/").startswith(_REDIRECT_STARTS):
        raise S3Error("InvalidRedirectLocation")
    encoding = _content_encoding(headers)
    if encoding:
        standard["Content-Encoding"] = encoding
    storage_class = headers.get("x-amz-storage-class") or "STANDARD"
    if storage_class not in _STORAGE_CLASSES:
        raise S3Error("InvalidStorageClass", StorageClassRequested=storage_class)
    tags = parse_tagging_header(headers) if TAGGING in headers else {}
    return ObjectHeaders(standard, _user_metadata(headers), storage_class, tags)


def user_metadata_headers(user_metadata: Mapping[str, str]) -> list[tuple[str, str]]:
    """`x-amz-meta-*` headers of an answer.

    What is not printable ASCII is an RFC 2047 encoded word, as S3 gives it; so no value can break the header.
    """
    return [
        (_META + name, value if _PRINTABLE.match(value) else _encoded_word(value))
        for name, value in user_metadata.items()
    ]


def parse_copy_source(value: str) -> CopySource:
    """`/bucket/key?versionId=id`, percent-encoded, leading slash optional; raises InvalidArgument."""
    path, question, query = value.partition("?")
    version_id: str | None = None
    if question:
        name, _, version_id = query.partition("=")
        if name != "versionId" or not version_id:
            raise _bad_copy_source(value)
        if not is_version_id(version_id):
            raise S3Error(
                "InvalidArgument",
                "Invalid version id specified",
                ArgumentName="x-amz-copy-source",
                ArgumentValue=value,
            )
    try:
        # The header carries bytes as latin-1; some clients leave UTF-8 unescaped. Unlike in a request's path, S3
        # takes "+" for a space here: s5cmd relies on it, and whoever leaves a "+" of the key unescaped gets NoSuchKey.
        text = unquote_to_bytes(path.replace("+", " ").encode("latin-1")).decode()
    except (UnicodeDecodeError, UnicodeEncodeError):
        raise _bad_copy_source(value) from None
    bucket, _, key = text.removeprefix("/").partition("/")
    if not key:
        raise _bad_copy_source(value)
    if not is_valid_bucket_name(bucket):
        raise S3Error("InvalidBucketName", BucketName=bucket)
    if len(key.encode()) > 1024:
        raise S3Error("KeyTooLongError", MaxSizeAllowed="1024", Size=str(len(key.encode())))
    return CopySource(bucket, key, version_id)


def copy_directive(headers: Mapping[str, str], subject: str) -> str:
    """What becomes of the `metadata` or the `tagging` of a copy: COPY (default) or REPLACE; raises InvalidArgument."""
    name = f"x-amz-{subject}-directive"
    directive = headers.get(name, "COPY")
    if directive not in ("COPY", "REPLACE"):
        raise S3Error(
            "InvalidArgument", f"Unknown {subject} directive.", ArgumentName=name, ArgumentValue=directive
        )
    return directive


def body_length(headers: Mapping[str, str], *, length_required: bool) -> int | None:
    """Length of the body on the wire in bytes, None when it is chunked by transfer coding.

    A request with neither length nor transfer coding has an empty body (RFC 9112, 6.3), unless
    `length_required`. What an aws-chunked body decodes to counts for the limit, since its framing comes on top.
    Raises MissingContentLength, InvalidArgument, EntityTooLarge.
    """
    declared = headers.get("x-amz-decoded-content-length", headers.get("content-length", "0"))
    length = headers.get("content-length")
    for text in (declared, length):
        if text is not None and not _LENGTH.match(text):
            raise S3Error(
                "InvalidArgument",
                "Content-Length must be a number of bytes.",
                ArgumentName="Content-Length",
                ArgumentValue=text,
            )
    if int(declared) > MAX_PUT_BYTES:
        raise S3Error("EntityTooLarge", ProposedSize=declared, MaxSizeAllowed=str(MAX_PUT_BYTES))
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return None
    if length is None and length_required:
        raise S3Error("MissingContentLength")
    return int(length or "0")


def _content_encoding(headers: Mapping[str, str]) -> str:
    """Content-Encoding without `aws-chunked`, which is a coding of the request and not of the object."""
    value = headers.get("content-encoding", "")
    if "aws-chunked" not in value.lower():
        return _text(value)
    codings = (coding.strip() for coding in value.split(","))
    return _text(", ".join(coding for coding in codings if coding and coding.lower() != "aws-chunked"))


def _user_metadata(headers: Mapping[str, str]) -> dict[str, str]:
    metadata: dict[str, str] = {}
    size_bytes = 0
    for name, value in headers.items():
        if name.startswith(_META):
            text = _decoded_words(value) if "=?" in value else _text(value)
            short = name[len(_META) :]
            size_bytes += len(short.encode()) + len(text.encode())
            metadata[short] = text
    if size_bytes > _MAX_USER_METADATA_BYTES:
        raise S3Error("MetadataTooLarge", Size=str(size_bytes), MaxSizeAllowed=str(_MAX_USER_METADATA_BYTES))
    return metadata


def _text(value: str) -> str:
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value


def _decoded_words(value: str) -> str:
    """`value` with its RFC 2047 encoded words decoded; as it is where they are malformed."""
    try:
        pieces = [
            piece.decode(charset or "latin-1") if isinstance(piece, bytes) else piece
            for piece, charset in decode_header(value)
        ]
        decoded = "".join(pieces)
        decoded.encode()  # a charset such as utf-7 can decode to lone surrogates
    except (HeaderParseError, LookupError, ValueError):
        return _text(value)
    return decoded


def _encoded_word(value: str) -> str:
    return f"=?UTF-8?B?{base64.b64encode(value.encode()).decode()}?="


def _bad_copy_source(value: str) -> S3Error:
    return S3Error(
        "InvalidArgument",
        "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        ArgumentName="x-amz-copy-source",
        ArgumentValue=value,
    )

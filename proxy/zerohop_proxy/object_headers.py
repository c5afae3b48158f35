"""Headers that describe an object: standard ones, user metadata, directives, copy source, length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "CopySource",
    "ObjectHeaders",
    "body_length",
    "metadata_directive",
    "parse_copy_source",
    "parse_object_headers",
    "reject_unsupported",
    "user_metadata_headers",
]


@dataclass(frozen=True, slots=True)
class ObjectHeaders:
    """What is stored with an object and given back with it.

    `standard` maps canonical names (Content-Type, Cache-Control, Content-Disposition, Content-Encoding,
    Content-Language, Expires, x-amz-website-redirect-location) to values, only those that were sent.
    `user_metadata` maps names without `x-amz-meta-`, lower case, to text.
    """

    standard: dict[str, str]
    user_metadata: dict[str, str]
    storage_class: str


@dataclass(frozen=True, slots=True)
class CopySource:
    """x-amz-copy-source, decoded."""

    bucket: str
    key: str
    version_id: str | None


def parse_object_headers(headers: Mapping[str, str]) -> ObjectHeaders:
    """From request headers (lower-case names); raises MetadataTooLarge, InvalidStorageClass."""
    raise NotImplementedError


def user_metadata_headers(user_metadata: Mapping[str, str]) -> list[tuple[str, str]]:
    """`x-amz-meta-*` headers of an answer; values beyond ASCII are RFC 2047 encoded words, as S3 gives them."""
    raise NotImplementedError


def parse_copy_source(value: str) -> CopySource:
    """`/bucket/key?versionId=id`, percent-encoded, leading slash optional; raises InvalidArgument."""
    raise NotImplementedError


def metadata_directive(headers: Mapping[str, str]) -> str:
    """COPY (default) or REPLACE; raises InvalidArgument."""
    raise NotImplementedError


def body_length(headers: Mapping[str, str], *, in_dialect: bool) -> int | None:
    """Length of the body on the wire in bytes, None when it is chunked by transfer coding.

    Raises MissingContentLength, InvalidArgument, EntityTooLarge; in the API page's dialect a request with
    neither length nor transfer coding has an empty body.
    """
    raise NotImplementedError


def reject_unsupported(headers: Mapping[str, str]) -> None:
    """Raise NotImplemented for headers whose meaning we would otherwise drop (encryption, locks, ACL grants, tags)."""
    raise NotImplementedError

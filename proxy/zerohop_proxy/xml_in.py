"""XML request bodies: hostile until parsed. Namespaces are ignored, unknown elements are MalformedXML."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = [
    "CompletedPart",
    "DeleteRequest",
    "ObjectIdentifier",
    "parse_complete_multipart_upload",
    "parse_create_bucket",
    "parse_delete",
]


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
class DeleteRequest:
    """Body of DeleteObjects; at most 1000 objects."""

    objects: list[ObjectIdentifier]
    quiet: bool


def parse_complete_multipart_upload(body: bytes) -> list[CompletedPart] | None:
    """Parts in the order of the body; None when the body is empty (the API page's dialect)."""
    raise NotImplementedError


def parse_delete(body: bytes) -> DeleteRequest:
    """Parse the body of DeleteObjects."""
    raise NotImplementedError


def parse_create_bucket(body: bytes) -> str | None:
    """The LocationConstraint of CreateBucketConfiguration, None when absent or the body is empty."""
    raise NotImplementedError

"""The Range header as S3 reads it (RFC 9110 14), and the strict form of x-amz-copy-source-range."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ByteRange", "parse_copy_range", "resolve_range"]


@dataclass(frozen=True, slots=True)
class ByteRange:
    """`length_bytes` bytes from `start`; both within the object."""

    start: int
    length_bytes: int

    def content_range(self, size_bytes: int) -> str:
        """Value of Content-Range for an object of `size_bytes`."""
        return f"bytes {self.start}-{self.start + self.length_bytes - 1}/{size_bytes}"


def resolve_range(header: str | None, size_bytes: int) -> ByteRange | None:
    """The part of the object that a GET asks for; None means the whole (200).

    Malformed and multiple ranges are ignored, as S3 does. Raises `S3Error` InvalidRange (416) with the
    elements ActualObjectSize and RangeRequested when the range lies outside the object.
    """
    raise NotImplementedError


def parse_copy_range(header: str, size_bytes: int) -> ByteRange:
    """`bytes=first-last` of UploadPartCopy, within the source; raises InvalidArgument or InvalidRange."""
    raise NotImplementedError

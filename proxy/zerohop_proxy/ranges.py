"""The Range header as S3 reads it (RFC 9110 14), and the strict form of x-amz-copy-source-range."""

from __future__ import annotations

import re
from dataclasses import dataclass

from zerohop_proxy.s3_errors import S3Error

__all__ = ["ByteRange", "parse_copy_range", "resolve_range", "wanted_of"]

_SINGLE = re.compile(r"bytes[ \t]*=[ \t]*([0-9]*)[ \t]*-[ \t]*([0-9]*)\Z", re.IGNORECASE)
_COPY = re.compile(r"bytes=([0-9]+)-([0-9]+)\Z")
_MAX_DIGITS = 19
"""Longer numbers lie beyond any object; they are cut short, since parsing one costs the square of its length."""


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
    match = None if header is None else _SINGLE.match(header.strip())
    if header is None or match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        start = max(0, size_bytes - _number(match[2]))
        end = size_bytes
    else:
        start = _number(match[1])
        if match[2] and _number(match[2]) < start:
            return None  # not a valid range (14.1.2), so it is ignored
        end = min(size_bytes, _number(match[2]) + 1) if match[2] else size_bytes
    if start >= end:
        raise S3Error(
            "InvalidRange",
            headers={"Content-Range": f"bytes */{size_bytes}"},
            RangeRequested=header,
            ActualObjectSize=str(size_bytes),
        )
    return ByteRange(start, end - start)


def wanted_of(header: str | None) -> tuple[int, int]:
    """What a GET asks for of an object whose size is not known yet, as `ResolveMounted` takes it: offset and number of
    bytes (-1: to the end); an offset of -1 for the last ones.
    """
    match = None if header is None else _SINGLE.match(header.strip())
    if match is None or not (match[1] or match[2]):
        return 0, -1
    if not match[1]:
        return (-1, _number(match[2])) if _number(match[2]) else (0, 0)
    start = _number(match[1])
    length = _number(match[2]) + 1 - start if match[2] else -1
    return (start, length) if length > 0 or length == -1 else (0, -1)


def parse_copy_range(header: str, size_bytes: int) -> ByteRange:
    """`bytes=first-last` of UploadPartCopy, within the source; raises InvalidArgument."""
    match = _COPY.match(header)
    if match is None or _number(match[2]) < _number(match[1]):
        raise S3Error(
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy",
            ArgumentName="x-amz-copy-source-range",
            ArgumentValue=header,
        )
    start, last = _number(match[1]), _number(match[2])
    if last >= size_bytes:
        raise S3Error(
            "InvalidArgument",
            f"Range specified is not valid for source object of size: {size_bytes}",
            ArgumentName="x-amz-copy-source-range",
            ArgumentValue=header,
        )
    return ByteRange(start, last - start + 1)


def _number(digits: str) -> int:
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS

"""Conditional requests: RFC 9110 13.2.2 for reads, and S3's rules for writes and copy sources.

ETags come without quotes, times in milliseconds since the epoch, headers with lower-case names.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass

from zerohop_proxy.request_time import http_date, parse_http_date
from zerohop_proxy.s3_errors import S3Error

__all__ = [
    "Outcome",
    "WriteCondition",
    "delete_condition",
    "evaluate_read",
    "failed_copy_condition",
    "failed_read_condition",
    "http_date",
    "parse_http_date",
    "range_applies",
    "write_condition",
]

# SDKs send the tag of a listing or of another answer as it is, quoted or not, and some a list of them.
_TAG = re.compile(r'\s*(?P<weak>W/)?(?:"(?P<quoted>[^"]*)"|(?P<bare>[^",\s]+))\s*(?:,|\Z)')

_NOT_ON_WRITES = ("If-Modified-Since", "If-Unmodified-Since")
_COPY_SOURCE = "x-amz-copy-source-"
_COPY_SOURCE_CONDITIONS = tuple(
    f"{_COPY_SOURCE}{name}"
    for name in ("if-match", "if-unmodified-since", "if-none-match", "if-modified-since")
)


class Outcome(enum.Enum):
    """What a conditional read answers."""

    PROCEED = 200
    NOT_MODIFIED = 304
    PRECONDITION_FAILED = 412


@dataclass(frozen=True, slots=True)
class WriteCondition:
    """If-Match (an ETag without quotes, or `*`, that the current object must have), or If-None-Match: *."""

    if_match: str | None
    if_none_match_any: bool


def evaluate_read(headers: Mapping[str, str], etag: str, modified_ms: int) -> Outcome:
    """Evaluate If-Match, If-Unmodified-Since, If-None-Match, If-Modified-Since by RFC 9110 13.2.2.

    Each date is looked at only when the tag condition of its pair is absent; invalid dates are ignored.
    """
    if _first_failure(headers, "", etag, modified_ms) is not None:
        return Outcome.PRECONDITION_FAILED
    if _is_unchanged(headers, "", etag, modified_ms):
        return Outcome.NOT_MODIFIED
    return Outcome.PROCEED


def failed_read_condition(headers: Mapping[str, str]) -> str:
    """Name of the header that a 412 answer to a read blames, for S3's `Condition` element."""
    return "If-Match" if "if-match" in headers else "If-Unmodified-Since"


def failed_copy_condition(headers: Mapping[str, str], etag: str, modified_ms: int) -> str | None:
    """The header of `x-amz-copy-source-if-*` that forbids a copy, None when all hold.

    Where a read would say 304, a copy says 412.
    """
    if not any(name in headers for name in _COPY_SOURCE_CONDITIONS):
        return None
    failure = _first_failure(headers, _COPY_SOURCE, etag, modified_ms)
    if failure is None and _is_unchanged(headers, _COPY_SOURCE, etag, modified_ms):
        failure = _COPY_SOURCE + (
            "if-none-match" if _COPY_SOURCE + "if-none-match" in headers else "if-modified-since"
        )
    return failure


def write_condition(headers: Mapping[str, str]) -> WriteCondition | None:
    """The condition of a PUT, a copy or a Complete; None when there is none.

    S3 knows `If-Match: etag` and `If-None-Match: *` on writes; everything else is NotImplemented there too.
    """
    for name in _NOT_ON_WRITES:
        if name.lower() in headers:
            raise S3Error("NotImplemented", Header=name)
    if_match, if_none_match = headers.get("if-match"), headers.get("if-none-match")
    if if_match is None and if_none_match is None:
        return None
    if if_none_match is not None and (if_match is not None or if_none_match.strip() != "*"):
        raise S3Error("NotImplemented", Header="If-None-Match")
    return WriteCondition(None if if_match is None else _unquoted(if_match), if_none_match is not None)


def delete_condition(headers: Mapping[str, str]) -> WriteCondition | None:
    """The condition of a DELETE, which has If-Match alone; None when there is none. Raises NotImplemented."""
    if "if-none-match" in headers:
        raise S3Error("NotImplemented", Header="If-None-Match")
    return write_condition(headers)


def range_applies(headers: Mapping[str, str], etag: str, modified_ms: int) -> bool:
    """Whether If-Range lets the Range header count (RFC 9110 13.1.5): else the whole object is answered."""
    if_range = headers.get("if-range")
    if if_range is None:
        return True
    date_s = parse_http_date(if_range)
    return _matches(if_range, etag, weak=False) if date_s is None else date_s == modified_ms // 1000


def _first_failure(headers: Mapping[str, str], start: str, etag: str, modified_ms: int) -> str | None:
    """The condition that calls for 412, None when all hold (steps 1 and 2)."""
    if_match = headers.get(start + "if-match")
    if if_match is not None:
        return None if _matches(if_match, etag, weak=False) else start + "if-match"
    limit_s = _date(headers, start + "if-unmodified-since")
    if limit_s is not None and modified_ms // 1000 > limit_s:
        return start + "if-unmodified-since"
    return None


def _is_unchanged(headers: Mapping[str, str], start: str, etag: str, modified_ms: int) -> bool:
    """Whether the client has the object already (steps 3 and 4)."""
    if_none_match = headers.get(start + "if-none-match")
    if if_none_match is not None:
        return _matches(if_none_match, etag, weak=True)
    since_s = _date(headers, start + "if-modified-since")
    # Last-Modified has whole seconds; a client cannot know our milliseconds.
    return since_s is not None and modified_ms // 1000 <= since_s


def _date(headers: Mapping[str, str], name: str) -> int | None:
    value = headers.get(name)
    return None if value is None else parse_http_date(value)


def _matches(header: str, etag: str, *, weak: bool) -> bool:
    """Whether the list of tags in `header` (or `*`) holds `etag`; `weak` allows `W/` tags (RFC 9110 8.8.3.2)."""
    text = header.strip()
    if text == "*":
        return True
    return any(
        (weak or not tag["weak"]) and (tag["bare"] if tag["quoted"] is None else tag["quoted"]) == etag
        for tag in _TAG.finditer(text)
    )


def _unquoted(tag: str) -> str:
    # One strong tag is all that S3 takes here. A weak tag or a list keeps its form, and equals no ETag.
    text = tag.strip()
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text

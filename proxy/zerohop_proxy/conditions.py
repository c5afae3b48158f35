"""Conditional requests: RFC 9110 13.2.2 for reads, and S3's rules for writes and copy sources."""

from __future__ import annotations

import enum
from collections.abc import Mapping

__all__ = ["Outcome", "evaluate_copy_source", "evaluate_read", "parse_http_date", "write_condition"]


class Outcome(enum.Enum):
    """What a conditional read answers."""

    PROCEED = 200
    NOT_MODIFIED = 304
    PRECONDITION_FAILED = 412


def evaluate_read(headers: Mapping[str, str], etag: str, modified_ms: int) -> Outcome:
    """Evaluate If-Match, If-Unmodified-Since, If-None-Match, If-Modified-Since in that order.

    `headers` has lower-case names; `etag` comes without quotes; `modified_ms` counts from the epoch.
    """
    raise NotImplementedError


def failed_read_condition(headers: Mapping[str, str]) -> str:
    """Name of the header that a 412 answer blames, as AWS's `Condition` element has it."""
    raise NotImplementedError


def evaluate_copy_source(headers: Mapping[str, str], etag: str, modified_ms: int) -> bool:
    """Whether a copy may proceed under `x-amz-copy-source-if-*` (all failures are 412 there)."""
    raise NotImplementedError


class WriteCondition:
    """If-Match or If-None-Match of a PUT or a Complete."""

    if_match: str | None
    if_none_match_any: bool


def write_condition(headers: Mapping[str, str]) -> WriteCondition | None:
    """Parse the condition of a write; S3 knows `If-Match: etag` and `If-None-Match: *` only (else NotImplemented)."""
    raise NotImplementedError


def parse_http_date(value: str) -> int | None:
    """Seconds since the epoch of an HTTP-date in any of its three forms (RFC 9110 5.6.7), else None."""
    raise NotImplementedError


def http_date(epoch_ms: int) -> str:
    """IMF-fixdate of a time, truncated to seconds."""
    raise NotImplementedError

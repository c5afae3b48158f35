"""Times that requests carry: HTTP-dates and ISO 8601 basic, and how far a clock may be off."""

from __future__ import annotations

import calendar
import re
import time
from functools import lru_cache

from zerohop_proxy.s3_errors import S3Error

__all__ = ["MAX_SKEW_S", "check_skew", "http_date", "iso_basic", "parse_http_date", "parse_iso_basic"]

MAX_SKEW_S = 900
"""How far a client's clock may be off, as in S3."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_DAY = "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)"
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_TIME = r"(?P<hour>\d{2}):(?P<minute>\d{2}):(?P<second>\d{2})"
# RFC 9110 5.6.7. The zone of an IMF-fixdate is GMT; boto and others also send +0000 or UTC.
_FORMS = (
    re.compile(rf"(?:{_DAY}, )?(?P<day>\d{{1,2}}) {_MONTH} (?P<year>\d{{4}}) {_TIME} (?:GMT|UTC|[+-]0000)\Z"),
    re.compile(rf"{_LONG_DAY}, (?P<day>\d{{2}})-{_MONTH}-(?P<year>\d{{2}}) {_TIME} GMT\Z"),
    re.compile(rf"{_DAY} {_MONTH} (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})\Z"),
)
_ISO_BASIC = re.compile(
    r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})T(?P<hour>\d{2})(?P<minute>\d{2})(?P<second>\d{2})Z\Z"
)


@lru_cache(maxsize=1024)  # clients send the same second, and browsers the same If-Modified-Since, many times
def parse_http_date(value: str) -> int | None:
    """Seconds since the epoch of an HTTP-date in any of its three forms (RFC 9110 5.6.7), else None."""
    for form in _FORMS:
        match = form.match(value.strip())
        if match:
            year = int(match["year"])
            if len(match["year"]) == 2:
                # Two digits are the nearest such year that is not more than 50 years ahead.
                this_year = time.gmtime().tm_year
                year += this_year // 100 * 100
                year -= 100 if year > this_year + 50 else 0
            return _epoch(year, _MONTHS.index(match["month"]) + 1, match)
    return None


@lru_cache(maxsize=1024)
def parse_iso_basic(value: str) -> int | None:
    """Seconds since the epoch of `20130524T000000Z`, else None."""
    match = _ISO_BASIC.match(value)
    return _epoch(int(match["year"]), int(match["month"]), match) if match else None


def _epoch(year: int, month: int, match: re.Match[str]) -> int | None:
    day, hour, minute, second = (int(match[name]) for name in ("day", "hour", "minute", "second"))
    if not (1 <= month <= 12 and year >= 1):
        return None
    if not 1 <= day <= calendar.monthrange(year, month)[1] or hour > 23 or minute > 59 or second > 60:
        return None
    return calendar.timegm((year, month, day, hour, minute, second))


@lru_cache(maxsize=1024)
def _http_date_of_second(epoch_s: int) -> str:
    at = time.gmtime(epoch_s)
    clock = f"{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d}"
    return f"{_DAYS[at.tm_wday]}, {at.tm_mday:02d} {_MONTHS[at.tm_mon - 1]} {at.tm_year:04d} {clock} GMT"


def http_date(epoch_ms: int) -> str:
    """IMF-fixdate of a time, truncated to seconds."""
    return _http_date_of_second(epoch_ms // 1000)


def iso_basic(epoch_s: float) -> str:
    """`20130524T000000Z` of a time."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(epoch_s))


def check_skew(request_time_s: int, now: float) -> None:
    """Raise RequestTimeTooSkewed when a request's time is too far from ours."""
    if abs(now - request_time_s) > MAX_SKEW_S:
        raise S3Error(
            "RequestTimeTooSkewed",
            RequestTime=iso_basic(request_time_s),
            ServerTime=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
            MaxAllowedSkewMilliseconds=str(MAX_SKEW_S * 1000),
        )

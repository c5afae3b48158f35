"""When an object was modified, of which the answer to a write says nothing.

Its `Date` is within a second of it, and mostly the very second. Where it may not be, one HEAD tells: a time that
changes a minute later makes programs believe that the file has changed (YARN refuses to start a job then).
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from zerohop.errors import ZerohopError
from zerohop_worker.origins.interface import OriginObject

if TYPE_CHECKING:
    from zerohop_worker.origins.s3 import S3Origin

__all__ = ["as_stored", "date_ms", "dated", "is_certain"]


def date_ms(header: str) -> int | None:
    """Milliseconds since the epoch of a header that is a date; None where it is none."""
    try:
        return round(parsedate_to_datetime(header).timestamp() * 1000)
    except ValueError:
        return None


def is_certain(date_s: int, began_s: float, ended_s: float) -> bool:
    """Whether what was done from `began_s` to `ended_s` on our clock was done in the second `date_s` of the store's, as
    far as two clocks that agree on the second can tell.
    """
    return int(began_s) == int(ended_s) == date_s


async def dated(origin: S3Origin, written: OriginObject, began_s: float) -> OriginObject:
    """What was just written, with the time that the store has for it. `began_s`: when the request was sent, on the
    clock of the day.
    """
    if is_certain(written.validator.modified_ms // 1000, began_s, time.time()):
        return written
    return await as_stored(origin, written)


async def as_stored(origin: S3Origin, written: OriginObject) -> OriginObject:
    """The same by asking. Best effort: who may write may not be allowed to read."""
    try:
        found = await origin.head(written.key)
    except ZerohopError:
        return written
    if found.validator.etag != written.validator.etag:
        return written  # somebody else was faster
    return written._replace(
        validator=written.validator._replace(modified_ms=found.validator.modified_ms),
        checksums=written.checksums or found.checksums,
        checksum_type=written.checksum_type if written.checksums else found.checksum_type,
    )

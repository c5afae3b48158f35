"""Where the parts of an object of an S3 store begin: a HEAD of one part says so in its Content-Range."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from zerohop.errors import InvalidPart, OriginChanged
from zerohop_worker.origins.interface import PartSpan, Validator
from zerohop_worker.origins.s3_objects import bare_etag
from zerohop_worker.origins.s3_refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zerohop_worker.origins.s3 import S3Origin

__all__ = ["part_span"]

_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+)")
_NO_SUCH_PART: Final = (400, 416)


async def part_span(origin: S3Origin, key: str, number: int, match: Validator) -> PartSpan | None:
    """See `OriginStore.part`. A store that does not say where the part lies, and in what, tells nothing."""
    # Without If-Match, which a store may compare with the ETag of the part: the answer's ETag is looked at below.
    params = {"Key": origin.full_key(key), "PartNumber": number}
    what = origin.what(f"look at part {number} of", key)
    try:
        answer = await origin.requests.call("head_object", params, what)
    except Refusal as refusal:
        if refusal.status in _NO_SUCH_PART:
            raise InvalidPart(f"{key} at the origin has no part {number}") from None
        raise origin.failed(refusal, "look at", key) from None
    return _span_of(key, answer, match)


def _span_of(key: str, answer: Mapping[str, Any], match: Validator) -> PartSpan | None:
    told = answer["ResponseMetadata"]["HTTPHeaders"].get("content-range", "")
    found = _CONTENT_RANGE.fullmatch(told)
    if found is None:
        return None
    first, last, size_bytes = (int(number) for number in found.groups())
    if bare_etag(answer.get("ETag", "")) != match.etag or size_bytes != match.size_bytes:
        raise OriginChanged(f"{key} is not the object at the origin any more that it was")
    return PartSpan(first, last - first + 1, int(answer.get("PartsCount") or 0))

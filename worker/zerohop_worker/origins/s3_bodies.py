"""Ranged reads of an S3 store."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, Final

from zerohop.errors import InvalidRequest, UnderStoreFailed
from zerohop_worker.origins.interface import OriginObject
from zerohop_worker.origins.s3_intake import WORTH_BYTES, BodyIntake
from zerohop_worker.origins.s3_reads import ObjectAnswer
from zerohop_worker.origins.s3_requests import CONNECTION_ERRORS, S3Requests

__all__ = ["S3Read", "length_of", "range_header", "range_of"]

_PIECE_BYTES: Final = 1 << 20
_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+)")


def range_header(offset: int, length: int | None) -> str:
    """RFC 9110, section 14.1.2; "" for all of it. A negative offset: the last `-offset` bytes."""
    if offset < 0:
        return f"bytes={offset}"
    if length is None:
        return f"bytes={offset}-" if offset else ""
    return f"bytes={offset}-{offset + length - 1}"


def range_of(answer: ObjectAnswer) -> tuple[int, int, int]:
    """First byte, number of bytes and size of the whole, of an answer to GetObject. Raises UnderStoreFailed."""
    length = length_of(answer)
    told = answer.headers.get("content-range")
    if not told:
        if answer.status == 206:
            raise UnderStoreFailed("the origin answers a part of the object and does not say which")
        return 0, length, length
    found = _CONTENT_RANGE.fullmatch(told)
    if found is None or int(found[2]) - int(found[1]) + 1 != length:
        raise UnderStoreFailed(f"the origin answers a range that makes no sense: {told!r} of {length} bytes")
    return int(found[1]), length, int(found[3])


def length_of(answer: ObjectAnswer) -> int:
    """The size of the body, or of what a HEAD tells of. Raises UnderStoreFailed: S3 always tells it, and with a coding
    in its place the bytes would be others than those of the object.
    """
    told = answer.headers.get("content-length", "")
    if not (told.isascii() and told.isdigit()):
        raise UnderStoreFailed("the origin does not tell the size of the object")
    return int(told)


class S3Read:
    """See `OpenedRead`. Holds one of `S3Requests.bodies` until it is closed."""

    def __init__(
        self, requests: S3Requests, found: OriginObject, first: int, length: int, response: Any, what: str
    ) -> None:
        self._requests = requests
        self._response = response
        self._what = what
        self._left = self._came = length  # what the caller gets of it, and what the store sends
        self._had = b""  # taken off the connection already
        self._closed = False
        self.found = found
        self.first = first
        self.length = length

    def narrow(self, offset: int, length: int | None) -> None:
        """Checks that the range which came begins where it was asked to, and forgets what is beyond its end: a store
        or a proxy may ignore ranges. Raises InvalidRequest, UnderStoreFailed.
        """
        size_bytes = self.found.validator.size_bytes
        wanted = max(0, size_bytes + offset) if offset < 0 else offset
        if wanted and wanted >= size_bytes:
            raise InvalidRequest(f"{self.found.key} at the origin ends at {size_bytes}, not beyond {wanted}")
        if self.first != wanted:
            raise UnderStoreFailed(f"the origin ignores ranges: asked for {wanted}, got {self.first}")
        most = size_bytes - wanted
        came = self.length
        self.length = self._left = most if length is None or offset < 0 else min(length, most)
        if came < self.length:
            raise UnderStoreFailed(f"the origin answers with {came} of {self.length} bytes")

    def at_hand(self, max_bytes: int) -> bytes:
        """See `OpenedRead.at_hand`."""
        if not self._had:
            try:
                self._had = self._response.content.read_nowait(min(max_bytes, self._left))
            except CONNECTION_ERRORS:
                return b""  # `pieces` will tell
        return self._had

    async def pieces(self) -> AsyncIterator[bytes | memoryview]:
        """See `OpenedRead.pieces`."""
        intake: BodyIntake | None = None
        is_all = self._left == self._came
        if self._had:
            self._left -= len(self._had)
            yield self._had
        if is_all and self._left >= WORTH_BYTES:
            had, intake = self._begin_intake()
            if had:
                self._left -= len(had)
                yield had
        while self._left:
            try:
                piece = await (intake or self._response.content).read(min(_PIECE_BYTES, self._left))
            except CONNECTION_ERRORS as error:
                raise self._requests.body_error(error, self._what) from error
            if not piece:
                raise UnderStoreFailed(f"cannot {self._what}: the body ends {self._left} bytes too early")
            self._left -= len(piece)
            yield piece

    def _begin_intake(self) -> tuple[bytes, BodyIntake | None]:
        cut = UnderStoreFailed(f"cannot {self._what}: the connection was lost in the middle of the body")
        timeout_s = self._requests.settings.read_timeout
        try:
            return BodyIntake.begin(self._response, self._left, timeout_s, cut)
        except CONNECTION_ERRORS as error:
            raise self._requests.body_error(error, self._what) from error

    async def close(self) -> None:
        """See `OpenedRead.close`."""
        if not self._closed:
            self.drop()
            self._requests.bodies.release()

    def drop(self) -> None:
        """Closes the connection unless the answer was read to its end; then it has gone back already."""
        self._closed = True
        self._response.close()

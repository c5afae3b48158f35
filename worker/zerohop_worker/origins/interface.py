"""What the worker asks of the origin of a mount: a store that others write to, too, in a shape that S3, GCS, Azure and
folders can all fill. Keys are those in the mount, without the prefix that it has at the origin.

Every method raises OriginRefused (credentials, endpoint, bucket: repeating is of no use), UnderStoreFailed (it fails,
throttles or cannot be reached, after the bounded retries within), and what is named besides.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from zerohop_worker.files import Buffer

__all__ = [
    "NO_CONDITION",
    "Attributes",
    "OpenedRead",
    "OriginObject",
    "OriginPage",
    "OriginStore",
    "PartSpan",
    "StagedObject",
    "Validator",
    "WriteCondition",
]


class Validator(NamedTuple):
    """What an object's bytes are bound to: its ETag at the origin, or where there is none ("") size and time."""

    etag: str
    size_bytes: int
    modified_ms: int


class Attributes(NamedTuple):
    """What is stored with an object: standard headers and user metadata by lower-case name (the latter without
    `x-amz-meta-`), storage class ("" for the store's default), tags; and for a write whose bytes are known, the
    checksums that its writer gave, as in ObjectRecord, for a store that keeps any.
    """

    headers: Mapping[str, str]
    metadata: Mapping[str, str]
    storage_class: str = ""
    tags: Mapping[str, str] = {}
    checksums: Mapping[str, str] = {}
    checksum_type: str = ""


class OriginObject(NamedTuple):
    """An object at the origin. ETags without quotes, times in ms since the epoch. Listings leave `attributes` empty,
    and the values of `checksums`.

    `client_etag` is what S3 clients get to see: that of an S3 origin, else something stable for as long as the
    object does not change, in the form of S3's (32 hex digits, with "-1" behind them where they are no MD5).
    """

    key: str
    validator: Validator
    client_etag: str
    attributes: Attributes
    checksums: Mapping[str, str] = {}  # as in ObjectRecord, where the origin tells them
    checksum_type: str = ""
    part_count: int = 0
    tag_count: int = 0
    version_id: str = ""


class PartSpan(NamedTuple):
    """Bytes [first, first + length) of an object of `part_count` parts (0: not told)."""

    first: int
    length: int
    part_count: int


class OriginPage(NamedTuple):
    """Objects and common prefixes of one page, each in byte order of UTF-8. `next_after` is the last name of the page
    when more follows (to be passed as `after`), else "".
    """

    objects: tuple[OriginObject, ...]
    prefixes: tuple[str, ...]
    next_after: str


class WriteCondition(NamedTuple):
    """For a write: the object must not exist; or must have this ETag at the origin. Stores that do not look at ETags
    in a write say so by `checks_conditions`; then the caller has checked just before.
    """

    only_if_absent: bool = False
    only_if_etag: str = ""


NO_CONDITION = WriteCondition()


class OpenedRead(Protocol):
    """A ranged read whose headers have come. Close it always."""

    @property
    def found(self) -> OriginObject:
        """The whole object that the bytes belong to."""

    @property
    def first(self) -> int:
        """Offset of the first byte that follows."""

    @property
    def length(self) -> int:
        """How many bytes follow."""

    def at_hand(self, max_bytes: int) -> bytes:
        """What of the first bytes has come along with the headers, b"" if nothing has. `pieces`, which must not have
        begun, brings them again.
        """

    def pieces(self) -> AsyncIterator[bytes | memoryview]:
        """The bytes, in pieces of at most 1 MiB. Once. Never ends short: UnderStoreFailed where the origin does."""

    async def close(self) -> None:
        """Lets go of the connection; reusable only when all was read."""


class StagedObject(Protocol):
    """An object that is being written, invisible to everybody. Calls follow one another, from one task.

    Origins with a multipart upload get one part for each `write_part`; a folder appends to a hidden file.
    """

    async def write_part(self, buffers: Sequence[Buffer]) -> None:
        """One part: all parts but the last are at least `OriginStore.min_part_bytes` long, and at most
        `max_part_bytes`. The buffers are not used any more when it returns, which may be before the part has arrived:
        a few are on their way at a time, and `commit` waits for all.
        """

    async def commit(self, condition: WriteCondition = NO_CONDITION) -> OriginObject:
        """Makes it the object, durable. Raises PreconditionFailed; on UnderStoreFailed it may or may not be there."""

    async def abort(self) -> None:
        """Removes what was sent. Never raises; does nothing after `commit`."""


class OriginStore(Protocol):
    """One mount's origin. Methods may be called concurrently; the number of requests in flight is bounded within."""

    @property
    def min_part_bytes(self) -> int: ...

    @property
    def max_part_bytes(self) -> int: ...

    @property
    def max_parts(self) -> int:
        """Of one staged object: whoever stages a large one makes its parts long enough."""

    @property
    def checks_conditions(self) -> bool:
        """Whether writes look at the ETag of a `WriteCondition`: atomically where the store can."""

    async def check(self) -> None:
        """Opens it and lists a page; for a writable mount of a folder, also whether it can be written to."""

    async def head(self, key: str, unless: Validator | None = None) -> OriginObject | None:
        """The object; None when it is still what `unless` says, and nothing that is stored with it can have changed
        either. Where a validator covers the bytes alone, the object is answered anyway. Raises KeyNotFound.
        """

    async def part(self, key: str, number: int, match: Validator) -> PartSpan | None:
        """Where part `number` (from 1) of the object lies; None where the store does not tell. Raises KeyNotFound,
        InvalidPart (there is none of that number), OriginChanged unless the object is `match`.
        """

    async def open(
        self, key: str, offset: int, length: int | None, match: Validator | None = None
    ) -> OpenedRead:
        """Begins to read `length` bytes (None: to the end) from `offset`, or with a negative offset the last
        `-offset`; one request. A range that reaches beyond the end is cut to it. Raises KeyNotFound, InvalidRequest
        (`offset` at or beyond the end; but an empty object opens at 0, with no bytes), OriginChanged unless the
        object is `match`.
        """

    async def list(self, prefix: str, delimiter: str, after: str, limit: int) -> OriginPage:
        """At most `limit` names beyond `after` (exclusive; an `after` that is itself a common prefix skips its group).
        Costs the page.
        """

    async def check_write(self, key: str, attributes: Attributes) -> None:
        """Raises InvalidRequest or KeyTooLong for a key that the store cannot hold as things are, and NotSupported for
        attributes, as a write of bytes would.
        """

    async def put(
        self,
        key: str,
        body: Sequence[Buffer],
        attributes: Attributes,
        condition: WriteCondition = NO_CONDITION,
    ) -> OriginObject:
        """A small object (at most 16 MiB) in one request. Raises PreconditionFailed, InvalidRequest for a key that
        the store cannot hold, with the reason.
        """

    def stage(self, key: str, attributes: Attributes) -> StagedObject:
        """Begins a large one. Raises as `put`, if not here then with the first part."""

    async def delete(self, keys: Sequence[str]) -> dict[str, str]:
        """Deletes at most 1,000 keys; the messages of those that failed, by key. Missing ones are no failure."""

    async def copy(
        self,
        source: str,
        match: Validator,
        key: str,
        attributes: Attributes | None,
        condition: WriteCondition = NO_CONDITION,
    ) -> OriginObject:
        """The store's own copy; `attributes` None: those of the source. Raises KeyNotFound, OriginChanged,
        NeedsBytes (it has none, or not for this size), PreconditionFailed.
        """

    async def tags(self, key: str) -> dict[str, str]:
        """Raises KeyNotFound; NotSupported where there are none, with `tags="unread"` where there may be some."""

    async def set_tags(self, key: str, tags: Mapping[str, str]) -> None:
        """Replaces them. Raises KeyNotFound, NotSupported."""

    async def close(self) -> None:
        """Closes connections."""

"""The ordered transactional key-value store under the namespace.

Everything that the master remembers is rows of this store; the engines know nothing of buckets or objects. The
interface is what SQLite, PostgreSQL and an in-memory table can all do well: point reads, bounded range scans,
a delimiter scan that seeks inside the engine, and a commit that is atomic, conditional and durable on return.

Row versions are numbers of commits in this store. They only grow and are never reused, not even when a key is
deleted and created again, so that "this row still has version n" can never be true by accident (no ABA).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from zerohop.rpc.change_board import Stamps

__all__ = [
    "Commit",
    "Condition",
    "Group",
    "KeyValueStore",
    "KvCounters",
    "Lease",
    "RangeEmpty",
    "Row",
    "RowIs",
    "next_prefix",
]


class Row(msgspec.Struct, frozen=True, gc=False):
    """One row: `key` and `value` are bytes; `version` is the number of the commit that wrote it (> 0).

    A Struct, because a page makes a thousand of them: a frozen dataclass takes eight times as long to construct.
    """

    key: bytes
    value: bytes
    version: int


class Group(msgspec.Struct, frozen=True, gc=False):
    """One result of `skip_scan`: either a row, or a common prefix (`row` is None) that ends in the delimiter.

    `name` is the full key of the row, or the full common prefix.
    """

    name: bytes
    row: Row | None


class RowIs(msgspec.Struct, frozen=True, gc=False):
    """Condition: the row `key` has `version`; version 0 means that it is absent."""

    key: bytes
    version: int


class RangeEmpty(msgspec.Struct, frozen=True, gc=False):
    """Condition: no row lies in [start, end), rows of this commit's own deletes aside."""

    start: bytes
    end: bytes


Condition = RowIs | RangeEmpty


class Commit(msgspec.Struct, frozen=True):
    """What one atomic commit reads, writes and removes. A key stands at most once in puts and deletes together."""

    conditions: Sequence[Condition] = ()
    puts: Sequence[tuple[bytes, bytes]] = ()
    deletes: Sequence[bytes] = ()

    def written_keys(self) -> list[bytes]:
        """The keys of puts and deletes."""
        return [*(key for key, _ in self.puts), *self.deletes]


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that is held: `epoch` grows with each new holder, and fences the ones before.

    Put `RowIs(lease.key, lease.version)` among the conditions of a commit that only the holder may make.
    """

    name: str
    holder: str
    epoch: int
    key: bytes
    version: int


@dataclass(slots=True)
class KvCounters:
    """Work done since the engine was opened; tests bound the cost of a page with it."""

    rows_read: int = 0
    seeks: int = 0
    commits: int = 0
    groups: int = 0
    conflicts: int = 0


class KeyValueStore(Protocol):
    """An engine. All methods are safe to call from many tasks of one event loop."""

    counters: KvCounters

    async def get(self, keys: Sequence[bytes]) -> list[Row | None]:
        """The rows of `keys`, in their order, from one snapshot."""
        ...

    async def scan(
        self,
        start: bytes,
        end: bytes,
        *,
        limit: int,
        reverse: bool = False,
        max_bytes: int = 16 << 20,
    ) -> list[Row]:
        """At most `limit` rows of [start, end) in key order (or reversed), from one snapshot.

        Stops early, after at least one row, once keys and values add up to `max_bytes`.
        """
        ...

    async def skip_scan(
        self,
        prefix: bytes,
        after: bytes,
        *,
        strip: int,
        delimiter: bytes,
        limit: int,
        max_bytes: int = 16 << 20,
    ) -> list[Group]:
        """At most `limit` groups of the keys below `prefix` that are greater than or equal to `after`, in order.

        `strip` is the number of leading bytes of a key that are no part of the caller's name (they are always a
        prefix of `prefix`). A key whose remainder after `prefix` holds `delimiter` is rolled up into the group
        `key[: end of the first delimiter after prefix]`; the engine then seeks beyond that group. So the cost is
        the number of groups, never of keys. To go on after a page, pass `last.name` and a zero byte after a row,
        and `next_prefix(last.name)` after a common prefix.
        """
        ...

    def stamps(self, keys: Sequence[bytes]) -> Stamps:
        """By which a cache on this host sees that the rows of `keys`, read in this turn of the loop, still stand.

        () when it could not: a commit is about to change one of them, or the engine has no change board.
        """
        ...

    async def commit(self, commit: Commit) -> int:
        """Applies `commit` atomically; on return it is durable. Returns the commit's number (the rows' version).

        Raises `Conflict` (a condition does not hold; nothing was written), `TooLarge` (never split silently),
        `StoreFailed` (nothing was written) or `OutcomeUnknown` (it may have been: read again).
        """
        ...

    async def lease(self, name: str, holder: str, ttl_s: float) -> Lease:
        """Takes or renews the lease `name` for `holder`. Raises `LeaseLost` while another one holds it."""
        ...

    def watch(self, prefix: bytes) -> AsyncIterator[None]:
        """Yields after commits that touched keys below `prefix`.

        A hint: several commits may give one; a poll is the truth.
        """
        ...

    async def backup(self, path: str) -> None:
        """Writes a consistent copy of the store to the new file `path` while the store is in use."""
        ...

    async def close(self) -> None:
        """Finishes pending commits and closes. Later calls raise `StoreFailed`."""
        ...


def next_prefix(prefix: bytes) -> bytes:
    """The smallest key greater than every key that starts with `prefix`.

    A prefix of nothing but 0xff bytes has no such key of its own length: it is answered with one more 0xff.
    """
    stripped = prefix.rstrip(b"\xff")
    if not stripped:
        return prefix + b"\xff"
    return stripped[:-1] + bytes([stripped[-1] + 1])

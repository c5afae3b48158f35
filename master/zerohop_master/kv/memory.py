"""The engine that lives in memory: for tests, with fault points where real engines fail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import msgspec
from sortedcontainers import SortedDict

from zerohop.errors import Conflict, StoreFailed
from zerohop.rpc.change_board import Stamps
from zerohop_master.kv.groups import collect_groups
from zerohop_master.kv.interface import Commit, Condition, Group, KvCounters, Lease, Row, RowIs
from zerohop_master.kv.leases import take_lease
from zerohop_master.kv.limits import checked_keys, checked_size
from zerohop_master.kv.watches import WatchHub

__all__ = ["FaultPoint", "MemoryStore"]

FaultPoint = Callable[[Commit], Awaitable[None]]


class MemoryStore:
    """Implements `KeyValueStore`; nothing survives the process.

    Fault points: `before_commit` runs before the conditions are checked (what it raises, `Conflict` or
    `StoreFailed`, leaves nothing written; what it awaits lets other commits pass first), `after_commit` once
    the commit is applied (raising `OutcomeUnknown` there is a connection lost between write and answer).

    Concurrency: reads and the application of a commit contain no await, so each sees and makes one state. A
    commit yields to the loop once, because commits of real engines always do.
    """

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self.counters = KvCounters()
        self.before_commit: FaultPoint | None = None
        self.after_commit: FaultPoint | None = None
        self._now = now
        self._rows = SortedDict()  # bytes -> Row
        self._last_commit = 0
        self._watches = WatchHub()
        self._closed = False

    async def get(self, keys: Sequence[bytes]) -> list[Row | None]:
        """See `KeyValueStore.get`."""
        self._check_open()
        self.counters.seeks += len(keys)
        rows = [self._rows.get(key) for key in keys]
        self.counters.rows_read += sum(row is not None for row in rows)
        return rows

    def stamps(self, keys: Sequence[bytes]) -> Stamps:
        """See `KeyValueStore.stamps`: there is no board."""
        del keys
        return ()

    async def scan(
        self,
        start: bytes,
        end: bytes,
        *,
        limit: int,
        reverse: bool = False,
        max_bytes: int = 16 << 20,
    ) -> list[Row]:
        """See `KeyValueStore.scan`."""
        self._check_open()
        rows: list[Row] = []
        size_bytes = 0
        if limit > 0:
            for row in self._read_range(start, end, reverse=reverse):
                rows.append(row)
                size_bytes += len(row.key) + len(row.value)
                if len(rows) >= limit or size_bytes >= max_bytes:
                    break
        return rows

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
        """See `KeyValueStore.skip_scan`."""
        self._check_open()
        return collect_groups(
            self._read_range,
            prefix,
            after,
            strip=strip,
            delimiter=delimiter,
            limit=limit,
            max_bytes=max_bytes,
        )

    async def commit(self, commit: Commit) -> int:
        """See `KeyValueStore.commit`."""
        self._check_open()
        checked_size(commit)
        checked_keys(commit)
        await asyncio.sleep(0)
        if self.before_commit is not None:
            await self.before_commit(commit)
        self._check_open()
        number = self._apply(commit)
        if self.after_commit is not None:
            await self.after_commit(commit)
        return number

    async def lease(self, name: str, holder: str, ttl_s: float) -> Lease:
        """See `KeyValueStore.lease`."""
        return await take_lease(self, name, holder, ttl_s, self._now())

    def watch(self, prefix: bytes) -> AsyncIterator[None]:
        """See `KeyValueStore.watch`."""
        self._check_open()
        return self._watches.watch(prefix)

    async def backup(self, path: str) -> None:
        """Writes all rows as one msgpack array of (key, value, version), in key order."""
        self._check_open()
        rows = [(row.key, row.value, row.version) for row in self._rows.values()]
        try:
            await asyncio.to_thread(_write_new_file, path, msgspec.msgpack.encode(rows))
        except OSError as error:
            raise StoreFailed(f"cannot write the backup {path}: {error.strerror}") from error

    async def close(self) -> None:
        """See `KeyValueStore.close`."""
        self._closed = True
        self._watches.close()

    def check_invariants(self) -> None:
        """For tests: every row stands under its key, and was written by a commit that took place."""
        assert all(row.key == key and 0 < row.version <= self._last_commit for key, row in self._rows.items())

    def _check_open(self) -> None:
        if self._closed:
            raise StoreFailed("the store is closed")

    def _read_range(self, start: bytes, end: bytes, reverse: bool = False) -> Iterator[Row]:
        self.counters.seeks += 1
        if start >= end:
            return
        for key in self._rows.irange(start, end, inclusive=(True, False), reverse=reverse):
            self.counters.rows_read += 1
            yield self._rows[key]

    def _apply(self, commit: Commit) -> int:
        for condition in commit.conditions:
            if not self._holds(condition, commit):
                self.counters.conflicts += 1
                raise Conflict()
        self._last_commit += 1
        for key, value in commit.puts:
            self._rows[key] = Row(bytes(key), bytes(value), self._last_commit)
        for key in commit.deletes:
            self._rows.pop(key, None)
        self.counters.commits += 1
        self.counters.groups += 1
        self._watches.touched(commit.written_keys())
        return self._last_commit

    def _holds(self, condition: Condition, commit: Commit) -> bool:
        if isinstance(condition, RowIs):
            row = self._rows.get(condition.key)
            return condition.version == (0 if row is None else row.version)
        if condition.start >= condition.end:
            return True
        own = set(commit.deletes)
        return all(key in own for key in self._rows.irange(condition.start, condition.end, (True, False)))


def _write_new_file(path: str, content: bytes) -> None:
    with Path(path).open("xb") as file:
        file.write(content)

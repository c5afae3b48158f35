"""The embedded engine: SQLite with a write-ahead log, one writer thread, and reads in the loop's own thread.

A read takes microseconds, less than handing it to a thread would; so reads are plain calls within one transaction
of the reading connection, and no cursor lives across an await. That is also what lets a checkpoint finish.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from zerohop.errors import Conflict, Overloaded, StoreFailed
from zerohop.rpc.change_board import ChangeBoard, Stamps
from zerohop_master.kv.groups import collect_groups
from zerohop_master.kv.interface import Commit, Group, KvCounters, Lease, Row
from zerohop_master.kv.leases import end_leases, take_lease
from zerohop_master.kv.limits import checked_keys, checked_size
from zerohop_master.kv.row_cache import RowCache
from zerohop_master.kv.sqlite_file import Database, copy_database, open_database
from zerohop_master.kv.sqlite_writer import Outcome, Submission, Writer
from zerohop_master.kv.watches import WatchHub

__all__ = ["SqliteStore"]

_log = logging.getLogger(__name__)
# Commits that wait for the writer. At 4,096 the last one waits for a few groups: beyond that, answering "later" at
# once is kinder than a queue that grows.
_MAX_PENDING_COMMITS = 4096
_MAX_PENDING_BYTES = 64 << 20
# Reached, the log is written back into the database, which holds up writers but not readers.
_WAL_LIMIT_BYTES = 32 << 20
# Rows kept as Python objects: buckets, users and the records and inline data of hot objects.
_CACHE_BYTES = 32 << 20

_GET = "SELECT key, value, version FROM kv WHERE key = ?"
_SCAN = "SELECT key, value, version FROM kv WHERE key >= ? AND key < ? ORDER BY key"
_SCAN_REVERSE = _SCAN + " DESC"


class SqliteStore:
    """Implements `KeyValueStore`; use `SqliteStore.open`. One process at a time has a database open.

    Besides what the interface names, `commit` raises `Overloaded` when too many commits wait; a cancelled commit
    may still happen.
    """

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], float],
        wal_limit_bytes: int,
        board: ChangeBoard | None,
    ) -> None:
        self.counters = KvCounters()
        self.board = board
        self._path = database.path
        self._reader = database.reader
        self._lookups = database.reader.cursor()
        self._lock_fd = database.lock_fd
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._watches = WatchHub()
        self._cache = RowCache(_CACHE_BYTES)
        self._in_snapshot = False
        self._gathered: list[Submission] = []
        self._pending_commits = 0
        self._pending_bytes = 0
        self._closed = False
        self._writer = Writer(
            database.writer,
            database.path.with_name(database.path.name + "-wal"),
            database.used_number,
            wal_limit_bytes,
            self._deliver,
        )

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        now: Callable[[], float] = time.time,
        wal_limit_bytes: int = _WAL_LIMIT_BYTES,
        watched: bytes = b"",
    ) -> SqliteStore:
        """Opens the database file `path` in an existing folder, or creates it.

        `watched`: first bytes of the keys for which `stamps` are given, from a change board beside the database.
        Raises `DataFolderInUse`, `FormatTooNew`, or `StoreFailed` where it is no database of ours or unreadable.
        """
        database = await asyncio.to_thread(open_database, path)
        board = (
            await asyncio.to_thread(_board, path, watched) if watched else None
        )  # the lock on the file is ours
        store = cls(database, now=now, wal_limit_bytes=wal_limit_bytes, board=board)
        try:
            await end_leases(store)  # their holders are gone: the lock on the file is ours
        except StoreFailed as error:
            _log.warning("leases of the process before this one last until their time is over: %s", error)
        return store

    async def get(self, keys: Sequence[bytes]) -> list[Row | None]:
        """See `KeyValueStore.get`."""
        self._check_open()
        self.counters.seeks += len(keys)
        rows = [self._cache.get(key) for key in keys]
        if None in rows:
            try:
                self._open_snapshot()
                for index, row in enumerate(rows):
                    if row is None:
                        found = self._lookups.execute(_GET, (keys[index],)).fetchone()
                        if found is not None:
                            rows[index] = row = Row(*found)
                            self._cache.put(row)
            except sqlite3.Error as error:
                raise _unreadable(error) from error
        self.counters.rows_read += len(rows) - rows.count(None)
        return rows

    def stamps(self, keys: Sequence[bytes]) -> Stamps:
        """See `KeyValueStore.stamps`."""
        if self.board is None or any(map(self._cache.is_changing, keys)):
            return ()
        return self.board.stamps(keys)

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
        self.counters.seeks += 1
        rows: list[Row] = []
        size_bytes = 0
        with self._reading() as cursor:
            sql = (_SCAN_REVERSE if reverse else _SCAN) + " LIMIT ?"
            for found in cursor.execute(sql, (start, end, max(limit, 0))):
                row = Row(*found)
                rows.append(row)
                size_bytes += len(row.key) + len(row.value)
                if size_bytes >= max_bytes:
                    break
        self.counters.rows_read += len(rows)
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
        with self._reading() as cursor:

            def rows_from(start: bytes, end: bytes) -> Iterator[Row]:
                self.counters.seeks += 1
                for row in cursor.execute(_SCAN, (start, end)):
                    self.counters.rows_read += 1
                    yield Row(*row)

            return collect_groups(
                rows_from,
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
        size_bytes, keys = checked_size(commit), checked_keys(commit)
        if self._pending_commits >= _MAX_PENDING_COMMITS or self._pending_bytes >= _MAX_PENDING_BYTES:
            raise Overloaded("too many commits wait for the metadata store")
        submission = Submission(commit, keys, size_bytes, self._loop.create_future())
        self._pending_commits += 1
        self._pending_bytes += size_bytes
        self._cache.begin(keys)
        if self.board is not None:
            self.board.changes(keys)
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append(submission)
        return await submission.future

    def _hand_over(self) -> None:
        """What was committed in this turn of the loop goes to the writer at once: it is woken once, and for a group."""
        gathered, self._gathered = self._gathered, []
        if gathered:
            self._writer.submit(gathered)

    async def lease(self, name: str, holder: str, ttl_s: float) -> Lease:
        """See `KeyValueStore.lease`."""
        return await take_lease(self, name, holder, ttl_s, self._now())

    def watch(self, prefix: bytes) -> AsyncIterator[None]:
        """See `KeyValueStore.watch`."""
        self._check_open()
        return self._watches.watch(prefix)

    async def backup(self, path: str) -> None:
        """See `KeyValueStore.backup`. The copy is a database that `open` opens."""
        self._check_open()
        try:
            await asyncio.to_thread(copy_database, self._path, Path(path))
        except (OSError, sqlite3.Error) as error:
            raise StoreFailed(f"cannot write the backup {path}: {error}") from error

    async def close(self) -> None:
        """See `KeyValueStore.close`. The log is moved into the database, which is then a single file."""
        if self._closed:
            return
        self._end_snapshot()
        self._hand_over()
        self._closed = True
        self._watches.close()
        self._reader.close()
        await asyncio.to_thread(self._writer.close)
        if self.board is not None:
            self.board.close()
        os.close(self._lock_fd)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreFailed("the metadata store is closed")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Cursor]:
        """A cursor on the snapshot of this turn of the loop. The body must not await."""
        self._check_open()
        cursor = self._reader.cursor()
        try:
            self._open_snapshot()
            yield cursor
        except sqlite3.Error as error:
            raise _unreadable(error) from error
        finally:
            cursor.close()

    def _open_snapshot(self) -> None:
        """One for all reads of a turn of the loop."""
        if not self._in_snapshot:
            self._reader.execute("BEGIN")
            self._in_snapshot = True
            self._loop.call_soon(self._end_snapshot)

    def _end_snapshot(self) -> None:
        """At the end of a turn, and before anybody learns of a commit that the snapshot does not have.

        Each commit voids the pages that the reading connection has kept, and beginning and ending a snapshot costs
        more than a lookup in it: looking for a row that is not there fell from 11.5 us to 4 where others do so too.
        """
        if self._in_snapshot:
            self._in_snapshot = False
            if self._reader.in_transaction:  # an error may have ended it already
                self._reader.execute("COMMIT")

    def _deliver(self, group: list[Submission], outcomes: list[Outcome]) -> None:
        """Runs in the writer's thread."""
        with suppress(RuntimeError):  # the loop was closed before the store: nobody waits for the answers
            self._loop.call_soon_threadsafe(self._answer, group, outcomes)

    def _answer(self, group: list[Submission], outcomes: list[Outcome]) -> None:
        """Runs in the loop: tells each caller what became of its commit."""
        self._end_snapshot()
        self.counters.groups += 1
        for submission, outcome in zip(group, outcomes, strict=True):
            self._pending_commits -= 1
            self._pending_bytes -= submission.size_bytes
            future = submission.future
            self._cache.end(submission.keys)
            if self.board is not None:
                self.board.changes(submission.keys)  # before anybody is told
            if isinstance(outcome, int):
                self.counters.commits += 1
                self._watches.touched(submission.keys)
                if not future.done():
                    future.set_result(outcome)
            else:
                self.counters.conflicts += isinstance(outcome, Conflict)
                if not future.done():
                    future.set_exception(outcome)


def _board(path: Path, watched: bytes) -> ChangeBoard | None:
    """The change board beside the database; without one, caches ask at each read."""
    try:
        return ChangeBoard.open(path.absolute().with_suffix(".board"), families=watched)
    except OSError as error:
        _log.warning("no change board, so proxies ask the master at each read: %s", error)
        return None


def _unreadable(error: sqlite3.Error) -> StoreFailed:
    return StoreFailed(f"the metadata store could not read: {error}")

"""The one thread that writes: it takes everything that is pending and commits it as one group with one sync.

No timer decides how large a group grows: while one group syncs, the next one gathers. Each commit's conditions are
checked in the group's transaction, where they see the commits before it; one that fails is left out, the others go on.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from zerohop.errors import Conflict, Internal, OutcomeUnknown, StoreFailed, ZerohopError
from zerohop_master.kv.interface import Commit, Condition, RowIs

__all__ = ["Outcome", "Submission", "Writer"]

_log = logging.getLogger(__name__)

# Bounds of a group: they bound how long its first commit waits for the others to be applied.
_MAX_GROUP_COMMITS = 1024
_MAX_GROUP_BYTES = 16 << 20
# Commit numbers are set aside in blocks of this many, so that a group need not write how far they went. What is
# left of a block is skipped at the next start.
_NUMBERS_SET_ASIDE = 1 << 20

Outcome = int | ZerohopError


@dataclass(slots=True)
class Submission:
    """A commit on its way. The writer only hands `future` back; it belongs to the loop's thread."""

    commit: Commit
    size_bytes: int
    future: asyncio.Future[int]


class Writer:
    """The writer thread. `deliver(submissions, outcomes)` is called in it after each group.

    After an I/O error of COMMIT itself nothing more is written: the kernel may have dropped the pages that it could
    not write, and a later sync would claim that they are safe. A full disk is no such case; writing goes on when
    there is room again.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        wal_path: Path,
        used_number: int,
        wal_limit_bytes: int,
        deliver: Callable[[list[Submission], list[Outcome]], None],
    ) -> None:
        self._connection = connection
        self._wal_path = wal_path
        self._last_number = (
            used_number  # given out last, perhaps to a commit that failed; never given out again
        )
        self._set_aside = used_number  # durable; the numbers of durable commits are not above it
        self._wal_limit_bytes = wal_limit_bytes
        self._checkpoint_at_bytes = wal_limit_bytes
        self._deliver = deliver
        self._queue: SimpleQueue[Submission | None] = SimpleQueue()  # bounded by the store
        self._closing = False
        self._sealed_by: str | None = None
        self._thread = threading.Thread(target=self._run, name="kv-writer", daemon=True)
        self._thread.start()

    def submit(self, submission: Submission) -> None:
        """Hands a commit over; never blocks."""
        self._queue.put(submission)

    def close(self) -> None:
        """Blocks until everything submitted is answered, the log is checkpointed and the connection closed."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while group := self._take_group():
                self._deliver(group, self._commit_group(group))
                self._checkpoint_when_due()
        finally:
            self._connection.close()  # the last connection checkpoints and removes the log

    def _take_group(self) -> list[Submission]:
        """Everything pending, at least one; empty once closed."""
        group: list[Submission] = []
        size_bytes = 0
        while not self._closing and len(group) < _MAX_GROUP_COMMITS and size_bytes < _MAX_GROUP_BYTES:
            try:
                submission = self._queue.get(block=not group)
            except Empty:
                break
            if submission is None:
                self._closing = True
            else:
                group.append(submission)
                size_bytes += submission.size_bytes
        return group

    def _commit_group(self, group: list[Submission]) -> list[Outcome]:
        if self._sealed_by is not None:
            return self._all_failed(group, f"it stopped writing until it is opened anew: {self._sealed_by}")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            outcomes = [self._apply(submission.commit) for submission in group]
            set_aside = self._set_numbers_aside()
        except sqlite3.Error as error:
            self._roll_back()
            _log.warning("the metadata store could not write: %s", error)
            return self._all_failed(group, str(error))
        except Exception:  # noqa: BLE001 - a dead writer would leave every caller waiting for ever
            self._roll_back()
            _log.exception("a defect in the metadata store's writer")
            return [Internal() for _ in group]
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            return self._commit_failed(outcomes, error)
        self._set_aside = set_aside
        return outcomes

    @staticmethod
    def _all_failed(group: list[Submission], cause: str) -> list[Outcome]:
        return [StoreFailed(f"the metadata store could not write: {cause}") for _ in group]

    def _apply(self, commit: Commit) -> Outcome:
        """Checks, then writes: a commit that fails its conditions has written nothing that had to be undone."""
        if not all(self._holds(condition, commit) for condition in commit.conditions):
            return Conflict()
        self._last_number = number = self._last_number + 1
        if commit.puts:
            self._connection.executemany(
                "INSERT OR REPLACE INTO kv(key, version, value) VALUES (?, ?, ?)",
                ((key, number, value) for key, value in commit.puts),
            )
        if commit.deletes:
            self._connection.executemany("DELETE FROM kv WHERE key = ?", ((key,) for key in commit.deletes))
        return number

    def _holds(self, condition: Condition, commit: Commit) -> bool:
        if isinstance(condition, RowIs):
            found = self._connection.execute(
                "SELECT version FROM kv WHERE key = ?", (condition.key,)
            ).fetchone()
            return condition.version == (0 if found is None else found[0])
        own = set(commit.deletes)
        rows = self._connection.execute(
            "SELECT key FROM kv WHERE key >= ? AND key < ? LIMIT ?",
            (condition.start, condition.end, len(own) + 1),
        )
        return all(key in own for (key,) in rows.fetchall())

    def _set_numbers_aside(self) -> int:
        if self._last_number <= self._set_aside:
            return self._set_aside
        set_aside = self._last_number + _NUMBERS_SET_ASIDE
        self._connection.execute("UPDATE numbers SET used = ?", (set_aside,))
        return set_aside

    def _commit_failed(self, outcomes: list[Outcome], error: sqlite3.Error) -> list[Outcome]:
        """The log may hold the whole group, so a start after a crash may bring it back: the outcome is unknown."""
        self._roll_back()
        _log.error("the metadata store could not commit: %s", error)
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_FULL:
            self._sealed_by = str(error)
        message = f"the metadata store could not commit: {error}"
        return [OutcomeUnknown(message) if isinstance(it, int) else StoreFailed(message) for it in outcomes]

    def _roll_back(self) -> None:
        if not self._connection.in_transaction:
            return  # some errors have rolled back already
        try:
            self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            self._sealed_by = f"rollback failed: {error}"

    def _checkpoint_when_due(self) -> None:
        """Moves the log into the database and truncates it; only this thread does, so a checkpoint cannot starve.

        It fails while a backup reads, or when the disk is full: the log then grows by another limit first.
        """
        wal_bytes = 0
        try:
            wal_bytes = self._wal_path.stat().st_size
            if wal_bytes < self._checkpoint_at_bytes:
                return
            (busy, _, _) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except (sqlite3.Error, OSError) as error:
            _log.warning("the metadata store could not checkpoint its log: %s", error)
            busy = 1
        self._checkpoint_at_bytes = (wal_bytes if busy else 0) + self._wal_limit_bytes

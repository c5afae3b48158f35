"""The one thread that writes: it takes everything that is pending and commits it as one group with one sync.

No timer decides how large a group grows: while one group syncs, the next one gathers. Each commit's conditions are
checked in the group's transaction, where they see the commits before it; one that fails is left out, the others go on.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from zerohop.errors import Conflict, Internal, OutcomeUnknown, StoreFailed, ZerohopError
from zerohop_master.kv.interface import Commit
from zerohop_master.kv.sqlite_group import GroupRows, KnownVersions, PresumedAbsent

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
    keys: list[bytes]  # that it writes
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
        self._known = KnownVersions()
        self._wal_limit_bytes = wal_limit_bytes
        self._checkpoint_at_bytes = wal_limit_bytes
        self._deliver = deliver
        self._queue: SimpleQueue[list[Submission] | None] = SimpleQueue()  # bounded by the store
        self._waiting: deque[Submission] = deque()  # taken from the queue, and too many for the last group
        self._closing = False
        self._sealed_by: str | None = None
        self._thread = threading.Thread(target=self._run, name="kv-writer", daemon=True)
        self._thread.start()

    def submit(self, submissions: list[Submission]) -> None:
        """Hands commits over; never blocks."""
        self._queue.put(submissions)

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
        self._take_pending()
        group: list[Submission] = []
        size_bytes = 0
        while self._waiting and len(group) < _MAX_GROUP_COMMITS and size_bytes < _MAX_GROUP_BYTES:
            submission = self._waiting.popleft()
            group.append(submission)
            size_bytes += submission.size_bytes
        return group

    def _take_pending(self) -> None:
        """Waits for something to commit, unless there is some; takes what else there is."""
        while not self._closing:
            try:
                submissions = self._queue.get(block=not self._waiting)
            except Empty:
                return
            if submissions is None:
                self._closing = True
            else:
                self._waiting.extend(submissions)

    def _commit_group(self, group: list[Submission]) -> list[Outcome]:
        if self._sealed_by is not None:
            return self._all_failed(group, f"it stopped writing until it is opened anew: {self._sealed_by}")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            outcomes, rows = self._applied(group)
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
        self._known.learn(rows.versions)
        return outcomes

    @staticmethod
    def _all_failed(group: list[Submission], cause: str) -> list[Outcome]:
        return [StoreFailed(f"the metadata store could not write: {cause}") for _ in group]

    def _applied(self, group: list[Submission]) -> tuple[list[Outcome], GroupRows]:
        try:
            return self._apply(group, presume=True)
        except PresumedAbsent:
            self._connection.execute("ROLLBACK")
            self._connection.execute("BEGIN IMMEDIATE")
            return self._apply(group, presume=False)

    def _apply(self, group: list[Submission], *, presume: bool) -> tuple[list[Outcome], GroupRows]:
        commits = [submission.commit for submission in group]
        rows = GroupRows(self._connection, self._known, commits, presume=presume)
        outcomes: list[Outcome] = []
        for commit in commits:
            number = self._last_number + 1
            if rows.apply(commit, number):
                self._last_number = number
                outcomes.append(number)
            else:
                outcomes.append(Conflict())
        rows.flush()
        return outcomes, rows

    def _set_numbers_aside(self) -> int:
        if self._last_number <= self._set_aside:
            return self._set_aside
        set_aside = self._last_number + _NUMBERS_SET_ASIDE
        self._connection.execute("UPDATE numbers SET used = ?", (set_aside,))
        return set_aside

    def _commit_failed(self, outcomes: list[Outcome], error: sqlite3.Error) -> list[Outcome]:
        """The log may hold the whole group, so a start after a crash may bring it back: the outcome is unknown."""
        self._roll_back()
        self._known.clear()
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

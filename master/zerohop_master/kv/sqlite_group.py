"""The rows of one group of commits: checked against versions in memory, written with few statements.

Each statement costs about as much in itself as the row that it touches, and gives the interpreter to the loop's thread
and takes it back. So what is read and written for a group of some twenty commits goes in a handful of statements.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final, TypeVar

from zerohop_master.kv.interface import Commit, RangeEmpty

__all__ = ["GroupRows", "KnownVersions", "PresumedAbsent"]

# Rows of one statement, the largest first. All are compiled once and kept by the connection.
_ROWS_PER_STATEMENT: Final = (64, 16, 4, 1)
_MAX_KNOWN: Final = 16_384

_Written = tuple[bytes, int, bytes] | None
_T = TypeVar("_T")


class PresumedAbsent(Exception):
    """A row is there that was taken to be absent: the group is undone, and applied anew with a look at each row."""


class KnownVersions(dict[bytes, int]):
    """Versions of rows of the database as it is, 0 for absent ones. Only who alone writes it can know that.

    Without it every commit would read the row of its bucket and of the users anew.
    """

    def learn(self, versions: dict[bytes, int]) -> None:
        """What a group has read and, now that it is durable, written."""
        if len(self) + len(versions) > _MAX_KNOWN:
            self.clear()
        self.update(versions)


class GroupRows:
    """One attempt at one group, within a transaction that the caller begins and ends.

    A commit that creates a row mostly demands that it be absent: the insertion itself finds out (`PresumedAbsent`),
    which saves looking for it. With `presume` false every row is looked for.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        known: KnownVersions,
        commits: Iterable[Commit],
        *,
        presume: bool,
    ) -> None:
        self._connection = connection
        self._known = known
        self._presume = presume
        self.versions: dict[bytes, int] = {}  # read, or as the group leaves them
        self._pending: dict[bytes, _Written] = {}  # not given to the database yet; None: deleted
        self._presumed: set[bytes] = set()  # of the pending ones: rows that must not be there yet
        self._read_versions(commits)

    def _read_versions(self, commits: Iterable[Commit]) -> None:
        known, wanted = self._known, set()
        for commit in commits:
            created = {key for key, _ in commit.puts} if self._presume else ()
            for condition in commit.conditions:
                if isinstance(condition, RangeEmpty) or condition.key in known:
                    continue
                if condition.version or condition.key not in created:
                    wanted.add(condition.key)
        versions = self.versions
        for keys in _portions(sorted(wanted)):
            versions.update(dict.fromkeys(keys, 0))
            versions.update(self._connection.execute(_select(len(keys)), keys).fetchall())

    def apply(self, commit: Commit, number: int) -> bool:
        """Takes in what the commit writes, as `number`, if its conditions hold after the commits before it.

        Raises `PresumedAbsent` and `sqlite3.Error`.
        """
        created: list[bytes] = []
        for condition in commit.conditions:
            if isinstance(condition, RangeEmpty):
                if not self._is_empty(condition, commit.deletes):
                    return False
                continue
            version = self._version(condition.key)
            if version is None:
                created.append(condition.key)
            elif version != condition.version:
                return False
        self._presumed.update(created)
        for key in commit.deletes:
            if key in self._presumed:
                self.flush()
            self._pending[key] = None
            self.versions[key] = 0
        for key, value in commit.puts:
            self._pending[key] = (key, number, value)
            self.versions[key] = number
        return True

    def _version(self, key: bytes) -> int | None:
        """None: not looked for, because a commit demands its absence and creates it."""
        version = self.versions.get(key)
        return self._known.get(key) if version is None else version

    def _is_empty(self, condition: RangeEmpty, deletes: Sequence[bytes]) -> bool:
        self.flush()
        own = set(deletes)
        rows = self._connection.execute(
            "SELECT key FROM kv WHERE key >= ? AND key < ? LIMIT ?",
            (condition.start, condition.end, len(own) + 1),
        )
        return all(key in own for (key,) in rows.fetchall())

    def flush(self) -> None:
        """Gives what was taken in to the database. Raises `PresumedAbsent` and `sqlite3.Error`."""
        pending, presumed = self._pending, self._presumed
        self._pending, self._presumed = {}, set()
        created: list[tuple[bytes, int, bytes]] = []
        replaced: list[tuple[bytes, int, bytes]] = []
        deleted: list[bytes] = []
        for key in sorted(pending):  # neighbours go to one page
            row = pending[key]
            if row is None:
                deleted.append(key)
            else:
                (created if key in presumed else replaced).append(row)
        for rows in _portions(created):
            done = self._connection.execute(_insert(len(rows)), [field for row in rows for field in row])
            if done.rowcount != len(rows):
                raise PresumedAbsent
        for rows in _portions(replaced):
            self._connection.execute(_replace(len(rows)), [field for row in rows for field in row])
        for keys in _portions(deleted):
            self._connection.execute(_delete(len(keys)), keys)


def _portions(items: Sequence[_T]) -> Iterable[Sequence[_T]]:
    """As few portions as can be, of sizes for which there is a statement."""
    start = 0
    for size in _ROWS_PER_STATEMENT:
        while len(items) - start >= size:
            yield items[start : start + size]
            start += size


@cache
def _select(keys: int) -> str:
    return f"SELECT key, version FROM kv WHERE key IN ({','.join('?' * keys)})"  # noqa: S608 - question marks


@cache
def _delete(keys: int) -> str:
    return f"DELETE FROM kv WHERE key IN ({','.join('?' * keys)})"  # noqa: S608 - question marks


@cache
def _insert(rows: int) -> str:
    return f"{_values('INSERT INTO', rows)} ON CONFLICT DO NOTHING"


@cache
def _replace(rows: int) -> str:
    return _values("INSERT OR REPLACE INTO", rows)


def _values(verb: str, rows: int) -> str:
    return f"{verb} kv(key, version, value) VALUES {','.join(['(?,?,?)'] * rows)}"

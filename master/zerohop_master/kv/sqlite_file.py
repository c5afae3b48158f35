"""The SQLite database on disk: who may open it, how it is created, and what is set on each connection.

Format 1: `kv(key, version, value)` holds the rows; `numbers(used)` has one row: no commit number above `used` was
ever given out. The version stands before the value, so that a condition is checked without reading the pages into
which a long value overflows.

A process must never open and close these files besides SQLite: closing any descriptor of a file drops the POSIX
locks that SQLite holds on it.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from zerohop.errors import DataFolderInUse, FormatTooNew, StoreFailed

__all__ = ["Database", "connect", "copy_database", "open_database", "sync_folder"]

_APPLICATION_ID = 0x7A686B76  # "zhkv"
_FORMAT = 1

# Smaller pages write less to the log for each small commit: 64 writers of object rows reached 11,400 commits/s with
# 4 KiB, 8,500 with 8 KiB and 6,200 with 16 KiB. Rows up to about 1,000 bytes stay within their page; from there on
# a value takes whole pages of its own, so a content of 1 KiB costs as much as one of 4 KiB.
_PAGE_BYTES = 4096
_WRITER_CACHE_KIB = 64 << 10
# A commit voids the page cache of the reading connection; mapped pages of the database need none.
_MMAP_BYTES = 1 << 30
# A checkpoint waits this long for readers; they live for one synchronous call, only a backup takes longer.
_BUSY_TIMEOUT_S = 1.0


@dataclass(slots=True)
class Database:
    """An open database: two connections, the lock file's descriptor, and the last commit number that may be used."""

    path: Path
    reader: sqlite3.Connection
    writer: sqlite3.Connection
    lock_fd: int
    used_number: int


def open_database(path: Path) -> Database:
    """Opens `path`, or creates it durably, readable by its owner only.

    Raises `DataFolderInUse`, `FormatTooNew`, or `StoreFailed` where it is no database of ours or cannot be read.
    """
    lock_fd = _lock(path)
    writer: sqlite3.Connection | None = None
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        writer = connect(path)
        _check_format(writer, path)
        _set_up_writer(writer)
        _create_tables(writer)
        sync_folder(path.parent)
        (used_number,) = writer.execute("SELECT used FROM numbers").fetchone()
        reader = connect(path)
        reader.execute(f"PRAGMA mmap_size={_MMAP_BYTES}")
        reader.execute("PRAGMA query_only=ON")
        return Database(path, reader, writer, lock_fd, used_number)
    except BaseException as error:
        if writer is not None:
            writer.close()
        os.close(lock_fd)
        if isinstance(error, sqlite3.Error | OSError):
            raise StoreFailed(f"cannot open the metadata store {path}: {error}") from error
        raise


def connect(path: Path) -> sqlite3.Connection:
    """A connection without implicit transactions; the caller sees to it that one thread at a time uses it."""
    return sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)


def copy_database(source: Path, target: Path) -> None:
    """Writes a consistent, compact copy of the database in use to the new file `target`, durably.

    Raises `sqlite3.Error` or `OSError`. Holds one read transaction: the log cannot be truncated meanwhile.
    """
    if target.exists():
        raise FileExistsError(17, "the file exists", str(target))
    part = target.with_name(target.name + ".part")
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    try:
        connection = connect(source)
        try:
            connection.execute("VACUUM INTO ?", (str(part),))
        finally:
            connection.close()
        _sync_file(part)
        os.link(part, target)  # unlike a rename, never replaces what another has put there
    finally:
        part.unlink()
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Makes the entries of `folder` durable."""
    _sync_file(folder)


def _sync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _lock(path: Path) -> int:
    lock_path = path.with_name(path.name + ".lock")
    try:
        fd = os.open(lock_path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreFailed(f"cannot open the lock file {lock_path}: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise DataFolderInUse(
            f"the metadata store {path} is in use by another process: stop it, or choose another folder",
            path=str(path),
        ) from error
    return fd


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (file_format,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables == 0:
        return  # new, or its creation was cut short: tables and format are written in one transaction
    if application_id != _APPLICATION_ID:
        raise StoreFailed(f"{path} is a database of another program")
    if file_format > _FORMAT:
        raise FormatTooNew(
            f"{path} has format {file_format}, this version of zerohop reads up to {_FORMAT}: "
            "run the version that wrote it, or choose another folder",
            path=str(path),
        )


def _set_up_writer(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA wal_autocheckpoint=0")  # starves under constant readers: the writer does it
    connection.execute(f"PRAGMA cache_size=-{_WRITER_CACHE_KIB}")
    connection.execute("PRAGMA secure_delete=OFF")  # some builds overwrite deleted rows with zeros


def _create_tables(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS kv(key BLOB NOT NULL PRIMARY KEY, version INTEGER NOT NULL, value BLOB NOT NULL)"
        " WITHOUT ROWID"
    )
    connection.execute("CREATE TABLE IF NOT EXISTS numbers(used INTEGER NOT NULL)")
    connection.execute("INSERT INTO numbers SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM numbers)")
    connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={_FORMAT}")
    connection.execute("COMMIT")

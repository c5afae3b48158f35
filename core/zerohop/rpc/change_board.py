"""Counters in shared memory by which caches on the master's host see, without asking, that a row has changed.

A lookup at the master costs two processes some hundred microseconds of work, and comparing three counters less than
one. So whoever keeps the answer of a lookup keeps with it the counters of the rows that it was made of (its stamps),
and serves it for as long as they stand.

Why that is as consistent as asking:

- The master raises the counter of a row when a commit that writes it is handed over, and again when its outcome is
  known, which is before anybody else is told of it. It gives no stamps for rows that a commit in flight writes.
- So while a counter stands, no commit that writes the row has become visible to any reader since the answer was made;
  and once one is acknowledged, every answer made before it is void for everybody on this host.
- The file lives as long as the store that it stands beside. A master that starts raises its first counter, which is
  part of all stamps, before it serves: what was kept under its predecessor is void before its own first commit, whether
  the change of masters was noticed or not. A file that has the right form is never truncated or replaced: mappings of
  it would go stale.

Several rows share a counter, by their hash; that costs a needless lookup, never a wrong answer. Counters are aligned
words, which processors store and load whole.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import xxhash

__all__ = ["BoardReader", "ChangeBoard", "Stamps"]

Stamps = tuple[tuple[int, int], ...]
"""Numbers of counters, each with its value; () for an answer that must not be kept."""

_MAGIC: Final = b"zh-brd1\n"
_TOKEN_BYTES: Final = 24
_HEAD_BYTES: Final = len(_MAGIC) + _TOKEN_BYTES
_MASTERS: Final = 0
"""The counter of the masters that have opened the board; those of rows follow."""
_ROW_COUNTERS: Final = 1 << 18
"""With a thousand writes a second, one in 90 of the answers kept is void within a second for a neighbour's sake."""
_SIZE_BYTES: Final = _HEAD_BYTES + 8 * (1 + _ROW_COUNTERS)

_hash = xxhash.xxh3_64_intdigest


class ChangeBoard:
    """The master's side: the only writer of the file."""

    def __init__(self, path: Path, mapped: mmap.mmap, families: bytes) -> None:
        self.path = path
        self.token = bytes(mapped[len(_MAGIC) : _HEAD_BYTES])
        """Names the file, so that a reader knows that what it finds at the path is this one."""
        self._mapped = mapped
        self._counters = memoryview(mapped)[_HEAD_BYTES:].cast("Q")
        self._families = frozenset(families)

    @classmethod
    def open(cls, path: Path, *, families: bytes) -> ChangeBoard:
        """The board at `path`, made if there is none; whatever was kept by it is void. The caller is its only writer.

        `families`: first bytes of the keys whose rows are watched. Raises OSError.
        """
        mapped = _mapped(path, writable=True)
        if mapped is None:
            _create(path)
            mapped = _mapped(path, writable=True)
            if mapped is None:
                raise OSError(f"{path} cannot be written as a change board")
        board = cls(path, mapped, families)
        board._counters[_MASTERS] += 1
        return board

    def changes(self, keys: Iterable[bytes]) -> None:
        """A commit that writes the rows of these keys begins, or has ended."""
        counters, families = self._counters, self._families
        for key in keys:
            if key[0] in families:
                counters[1 + _hash(key) % _ROW_COUNTERS] += 1

    def stamps(self, keys: Sequence[bytes]) -> Stamps:
        """Of rows that were read in this turn of the loop and that no commit in flight writes."""
        assert all(key[0] in self._families for key in keys), "a row that nobody watches"
        counters = self._counters
        numbers = [_MASTERS, *(1 + _hash(key) % _ROW_COUNTERS for key in keys)]
        return tuple((number, counters[number]) for number in numbers)

    def close(self) -> None:
        """The file stays: what its readers have kept is as true as ever while nobody commits."""
        self._counters.release()
        self._mapped.close()


class BoardReader:
    """A cache's side."""

    def __init__(self, token: bytes, mapped: mmap.mmap) -> None:
        self.token = token
        self._mapped = mapped
        self._counters = memoryview(mapped)[_HEAD_BYTES:].cast("Q")

    @classmethod
    def open(cls, path: str, token: bytes) -> BoardReader | None:
        """The board `token` at `path`; None when it is not there, as on another host or in another container."""
        try:
            mapped = _mapped(Path(path), writable=False)
        except OSError:
            return None
        if mapped is None:
            return None
        if mapped[len(_MAGIC) : _HEAD_BYTES] != token:
            mapped.close()
            return None
        return cls(token, mapped)

    def stands(self, stamps: Stamps) -> bool:
        """Whether nothing has changed since these stamps were given."""
        counters = self._counters
        for number, value in stamps:  # noqa: SIM110 - on the way of every hot read
            if counters[number] != value:
                return False
        return True

    def close(self) -> None:
        """Idempotent."""
        self._counters.release()
        self._mapped.close()


def _mapped(path: Path, *, writable: bool) -> mmap.mmap | None:
    """None where there is no file, or one that is no board. Raises OSError."""
    try:
        fd = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size != _SIZE_BYTES:
            return None
        mapped = mmap.mmap(fd, _SIZE_BYTES, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)
    finally:
        os.close(fd)
    if mapped[: len(_MAGIC)] != _MAGIC:
        mapped.close()
        return None
    return mapped


def _create(path: Path) -> None:
    """A whole board or none: a reader must not map half of one."""
    fresh = path.with_name(f"{path.name}.{os.urandom(4).hex()}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, _MAGIC + os.urandom(_TOKEN_BYTES))
        os.truncate(fd, _SIZE_BYTES)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)

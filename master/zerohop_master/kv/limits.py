"""What a store accepts, the same for every engine, and how far the keys of a prefix reach."""

from __future__ import annotations

from zerohop.errors import TooLarge
from zerohop_master.kv.interface import Commit

__all__ = [
    "MAX_COMMIT_BYTES",
    "MAX_COMMIT_ITEMS",
    "MAX_KEY_BYTES",
    "MAX_VALUE_BYTES",
    "checked_keys",
    "checked_size",
    "prefix_end",
]

# An escaped S3 key has at most 2 * 1024 bytes, and two of them never stand in one row's key.
MAX_KEY_BYTES = 4096
# The largest values are manifest rows (about 1,000 segments) and contents stored inline.
MAX_VALUE_BYTES = 1 << 20
# A commit occupies the single writer while it is applied: these two bound for how long. The completion of a
# 10,000-part upload reads every part (a condition each) and may drop or add a reference for each.
MAX_COMMIT_BYTES = 8 << 20
MAX_COMMIT_ITEMS = 32768

_AFTER_ALL_KEYS = b"\xff" * (MAX_KEY_BYTES + 1)


def checked_size(commit: Commit) -> int:
    """The bytes that `commit` carries. Raises `TooLarge`."""
    items = len(commit.conditions) + len(commit.puts) + len(commit.deletes)
    if items > MAX_COMMIT_ITEMS:
        raise TooLarge(f"a commit has at most {MAX_COMMIT_ITEMS} conditions, puts and deletes, not {items}")
    size_bytes = 0
    for key, value in commit.puts:
        if len(key) > MAX_KEY_BYTES:
            raise TooLarge(f"a key has at most {MAX_KEY_BYTES} bytes, not {len(key)}")
        if len(value) > MAX_VALUE_BYTES:
            raise TooLarge(f"a value has at most {MAX_VALUE_BYTES} bytes, not {len(value)}")
        size_bytes += len(key) + len(value)
    size_bytes += sum(map(len, commit.deletes))
    if size_bytes > MAX_COMMIT_BYTES:
        raise TooLarge(f"a commit has at most {MAX_COMMIT_BYTES} bytes, not {size_bytes}")
    return size_bytes


def prefix_end(prefix: bytes) -> bytes:
    """The end of the range of keys that start with `prefix`, also where `prefix` is empty or all 0xff."""
    stripped = prefix.rstrip(b"\xff")
    if not stripped:
        return _AFTER_ALL_KEYS
    return stripped[:-1] + bytes([stripped[-1] + 1])


def checked_keys(commit: Commit) -> list[bytes]:
    """The keys that `commit` writes. Raises `ValueError` when one is written twice."""
    written = commit.written_keys()
    if len(set(written)) != len(written):
        raise ValueError("a key stands more than once in the puts and deletes of a commit")
    return written

"""The delimiter scan, written once over "rows from here on", so that every engine rolls keys up alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from zerohop_master.kv.interface import Group, Row
from zerohop_master.kv.limits import prefix_end

__all__ = ["RowsFrom", "collect_groups"]

# The rows of [start, end) in key order, read lazily: a row that is not taken must cost nothing. Calling it
# again seeks anew and invalidates the iterator before.
RowsFrom = Callable[[bytes, bytes], Iterator[Row]]


def collect_groups(
    rows_from: RowsFrom,
    prefix: bytes,
    after: bytes,
    *,
    strip: int,
    delimiter: bytes,
    limit: int,
    max_bytes: int,
) -> list[Group]:
    """The groups of `KeyValueStore.skip_scan`. An empty `delimiter` rolls nothing up.

    A run of plain rows is one seek; each common prefix costs one row and the seek beyond it.
    """
    if strip > len(prefix):
        raise ValueError("the bytes to strip are a part of the prefix")
    groups: list[Group] = []
    size_bytes = 0
    start, end = max(prefix, after), prefix_end(prefix)
    while start < end and len(groups) < limit and size_bytes < max_bytes:
        beyond = end
        for row in rows_from(start, end):
            rolled_up = _common_prefix(row.key, len(prefix), delimiter)
            if rolled_up is None:
                groups.append(Group(row.key, row))
                size_bytes += len(row.key) + len(row.value)
            else:
                groups.append(Group(rolled_up, None))
                size_bytes += len(rolled_up)
                beyond = prefix_end(rolled_up)
                break
            if len(groups) >= limit or size_bytes >= max_bytes:
                break
        start = beyond
    return groups


def _common_prefix(key: bytes, prefix_bytes: int, delimiter: bytes) -> bytes | None:
    if not delimiter:
        return None
    found = key.find(delimiter, prefix_bytes)
    return None if found < 0 else key[: found + len(delimiter)]

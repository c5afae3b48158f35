"""What a process and all its descendants use (Linux: proc(5))."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["cpu_s", "io_bytes", "members", "rss_bytes"]

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def members(root: int) -> frozenset[int]:
    """The pids of `root` and its descendants, as far as they live."""
    parents = {
        int(folder.name): int(fields[1])
        for folder in Path("/proc").iterdir()
        if folder.name.isdecimal() and (fields := _stat(int(folder.name)))
    }
    family = {root} & parents.keys()
    while grown := {child for child, parent in parents.items() if parent in family} - family:
        family |= grown
    return frozenset(family)


def cpu_s(roots: Iterable[int]) -> float:
    """User and system seconds that they have used so far."""
    ticks = sum(int(fields[11]) + int(fields[12]) for fields in _stats(roots))
    return ticks / os.sysconf("SC_CLK_TCK")


def rss_bytes(roots: Iterable[int]) -> int:
    """Memory that they have resident; what two of them share counts twice."""
    return sum(int(fields[21]) for fields in _stats(roots)) * _PAGE_BYTES


def io_bytes(roots: Iterable[int]) -> int:
    """Bytes that they have read and written by system calls so far, whether a disk was behind them or not.

    Sockets count, sendfile and copy_file_range count; mapped memory does not.
    """
    total = 0
    for root in roots:
        for pid in members(root):
            try:
                lines = Path(f"/proc/{pid}/io").read_text().splitlines()
            except OSError:  # it has ended
                continue
            total += sum(int(line.split()[1]) for line in lines if line.startswith(("rchar", "wchar")))
    return total


def _stats(roots: Iterable[int]) -> list[list[str]]:
    return [fields for root in roots for pid in members(root) if (fields := _stat(pid))]


def _stat(pid: int) -> list[str]:
    """The fields behind the name, which may hold blanks; none when the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []

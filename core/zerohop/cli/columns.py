"""The lines that `fs ls` prints, as the S3 API page of Alluxio shows them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo

from zerohop.units import format_size

__all__ = ["Row", "cached_percent", "format_row", "format_time"]

_FILE_MODE = "-rw-r--r--"
_FOLDER_MODE = "drwxr-xr-x"


@dataclass(frozen=True, slots=True)
class Row:
    """One line. A folder has no size, state or cached share of its own; `modified_ms` 0 is not known."""

    path: str
    owner: str
    size_bytes: int = 0
    modified_ms: int = 0
    persisted: bool = True
    cached_bytes: int = 0
    is_folder: bool = False


def cached_percent(size_bytes: int, cached_bytes: int) -> int:
    """The cached share in whole percent, rounded down, so that 100 means all of it. Empty objects are all cached."""
    return 100 if size_bytes <= 0 else min(100, cached_bytes * 100 // size_bytes)


def format_time(time_ms: int, zone: tzinfo | None = None) -> str:
    """`06-18-2019 14:26:05:694`, in local time unless `zone` is given."""
    moment = datetime.fromtimestamp(time_ms // 1000, tz=zone).astimezone(zone)
    return f"{moment:%m-%d-%Y %H:%M:%S}:{time_ms % 1000:03}"


def format_row(row: Row, *, human: bool = False, zone: tzinfo | None = None) -> str:
    """The line of one row: mode, owner, group, size, persisted state, time, cached %, path."""
    time = format_time(row.modified_ms, zone) if row.modified_ms else " " * len("06-18-2019 14:26:05:694")
    if row.is_folder:
        mode, size, state, cached = _FOLDER_MODE, "0", "", "DIR"
    else:
        mode, state = _FILE_MODE, "PERSISTED" if row.persisted else "NOT_PERSISTED"
        size = format_size(row.size_bytes) if human else str(row.size_bytes)
        cached = f"{cached_percent(row.size_bytes, row.cached_bytes)}%"
    owner = row.owner
    return f"{mode}  {owner:<14} {owner:<14} {size:>14} {state:>15} {time} {cached:>4} {row.path}"

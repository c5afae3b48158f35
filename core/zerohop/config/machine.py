"""What the machine has: folders and quotas that follow from it where the configuration leaves them open."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from zerohop.config.fields import AUTO
from zerohop.config.processes import WorkerConfig

__all__ = ["derive_worker", "memory_limit_bytes", "resolve"]

_SHM: Final = Path("/dev/shm")  # noqa: S108
_MEM_SHARE_OF_TMPFS: Final = 0.8
"""Other programs use /dev/shm too, and a full tmpfs makes them fail rather than us."""
_MEM_SHARE_OF_MEMORY: Final = 0.25
_DISK_SHARE_OF_SIZE: Final = 0.1
_DISK_SHARE_OF_FREE: Final = 0.5
_CGROUP_LIMITS: Final = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True, slots=True)
class _Derived:
    value: Any
    reason: str


def resolve(config: WorkerConfig) -> WorkerConfig:
    """The configuration with every open folder and quota filled in. Idempotent; creates nothing."""
    changes: dict[str, Any] = {name: item.value for name, item in derive_worker(config).items()}
    return msgspec.structs.replace(config, **changes)


def derive_worker(config: WorkerConfig) -> dict[str, _Derived]:
    """The fields that the configuration leaves open: value and reason by name."""
    found: dict[str, _Derived] = {}
    data_dir = Path(config.data_dir).resolve()
    for name, folder in (("socket_dir", "run"), ("under_store", "store"), ("ssd_dir", "ssd")):
        if not getattr(config, name):
            found[name] = _Derived(str(data_dir / folder), f"{folder} in data_dir")
    mem_dir = config.mem_dir
    if not mem_dir and config.mem_quota != 0:
        mem_dir = _private_shm_folder(data_dir)
        found["mem_dir"] = _Derived(mem_dir, "private folder on tmpfs")
    if config.mem_quota == AUTO:
        found["mem_quota"] = _memory_quota(mem_dir)
    if config.ssd_quota == AUTO:
        found["ssd_quota"] = _disk_quota(config.ssd_dir or str(data_dir / "ssd"))
    if config.hdd_quota == AUTO:
        found["hdd_quota"] = _disk_quota(config.hdd_dir) if config.hdd_dir else _Derived(0, "no hdd_dir")
    return found


def memory_limit_bytes() -> int:
    """The memory that this process may use: the machine's, or the container's limit where that is lower."""
    limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in _CGROUP_LIMITS:
        try:
            text = Path(path).read_text().strip()
        except OSError:
            continue
        if text.isdecimal():
            limit = min(limit, int(text))
    return limit


def _private_shm_folder(data_dir: Path) -> str:
    """A folder of its own for each user and data folder, so that several clusters live side by side."""
    name = hashlib.sha256(str(data_dir).encode()).hexdigest()[:16]
    return str(_SHM / f"zerohop-{os.getuid()}-{name}")


def _memory_quota(folder: str) -> _Derived:
    parent = _existing_parent(Path(folder))
    if not os.access(parent, os.W_OK):
        return _Derived(0, f"{parent} cannot be written")
    by_tmpfs = int(shutil.disk_usage(parent).total * _MEM_SHARE_OF_TMPFS)
    by_memory = int(memory_limit_bytes() * _MEM_SHARE_OF_MEMORY)
    if by_tmpfs < by_memory:
        return _Derived(by_tmpfs, f"{_MEM_SHARE_OF_TMPFS:.0%} of {parent}")
    return _Derived(by_memory, f"{_MEM_SHARE_OF_MEMORY:.0%} of the memory")


def _disk_quota(folder: str) -> _Derived:
    """A tenth of the disk, but never more than half of what is free: the under-store may be on the same disk."""
    parent = _existing_parent(Path(folder))
    usage = shutil.disk_usage(parent)
    by_size, by_free = int(usage.total * _DISK_SHARE_OF_SIZE), int(usage.free * _DISK_SHARE_OF_FREE)
    if by_free < by_size:
        return _Derived(by_free, f"{_DISK_SHARE_OF_FREE:.0%} of the free space")
    return _Derived(by_size, f"{_DISK_SHARE_OF_SIZE:.0%} of the disk")


def _existing_parent(path: Path) -> Path:
    return next((candidate for candidate in (path, *path.parents) if candidate.is_dir()), Path("/"))

"""Files that fail as a full or broken disk does."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from zerohop_worker.files import Buffer, Files


class FaultyFiles(Files):
    """Fails writes below a folder after `budget_bytes` more, as a full disk does; other calls by name."""

    def __init__(self) -> None:
        self.folder = ""
        self.budget_bytes = 0
        self.failing: dict[str, int] = {}  # errno by method name
        self._paths: dict[int, str] = {}

    def create(self, path: Path) -> int:
        self._fail("create", path)
        fd = super().create(path)
        self._paths[fd] = str(path)
        return fd

    def write(self, fd: int, buffers: Sequence[Buffer]) -> None:
        if self.folder and self._paths.get(fd, "").startswith(self.folder):
            self.budget_bytes -= sum(len(buffer) for buffer in buffers)
            if self.budget_bytes < 0:
                super().write(fd, buffers[:1])  # a full disk takes a part before it refuses
                raise OSError(errno.ENOSPC, "No space left on device")
        super().write(fd, buffers)

    def open(self, path: str | Path) -> int:
        self._fail("open", Path(path))
        return super().open(path)

    def sync(self, fd: int) -> None:
        self._fail("sync", Path(self._paths.get(fd, "")))
        super().sync(fd)

    def rename(self, source: Path, target: Path) -> None:
        self._fail("rename", target)
        super().rename(source, target)

    def sync_folder(self, folder: Path) -> None:
        self._fail("sync_folder", folder)
        super().sync_folder(folder)

    def _fail(self, call: str, path: Path) -> None:
        if call in self.failing and str(path).startswith(self.folder):
            raise OSError(self.failing[call], os.strerror(self.failing[call]))

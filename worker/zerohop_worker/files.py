"""The system calls on files that the worker makes, behind one object: tests put faults in their way.

All of them block and may raise OSError. None is called on the event loop, but for those on tmpfs that were measured
to take microseconds (open, unlink).
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Buffer", "Files", "is_full"]

Buffer = bytes | bytearray | memoryview

_MAX_VECTOR = 512
"""Below IOV_MAX (1024) everywhere."""


def is_full(error: OSError) -> bool:
    """Whether a write failed for want of room alone."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


class Files:
    """Direct calls."""

    def create(self, path: Path) -> int:
        """A new file, open for writing. Its mode allows nobody to open it for writing again."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o400)

    def open(self, path: str | Path) -> int:
        """The file, open for reading."""
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def write(self, fd: int, buffers: Sequence[Buffer]) -> None:
        """Appends all of it, however many calls that takes."""
        views = [memoryview(buffer) for buffer in buffers if len(buffer)]
        while views:
            written = os.writev(fd, views[:_MAX_VECTOR])
            while views and written >= len(views[0]):
                written -= len(views.pop(0))
            if written:
                views[0] = views[0][written:]

    def read(self, fd: int, size_bytes: int, offset: int) -> bytes:
        """Like pread(2): may be short, and is at the end."""
        return os.pread(fd, size_bytes, offset)

    def sync(self, fd: int) -> None:
        """Data and size are on disk when it returns."""
        os.fsync(fd)

    def let_go(self, fd: int, offset: int, size_bytes: int) -> None:
        """These bytes are not read soon: those that the disk has leave memory, the others are on their way to it.

        Does not wait. A `size_bytes` of 0 means up to the end.
        """
        with contextlib.suppress(OSError):  # advice that a file system does not know
            os.posix_fadvise(fd, offset, size_bytes, os.POSIX_FADV_DONTNEED)

    def sync_folder(self, folder: Path) -> None:
        """The folder's entries are on disk when it returns."""
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def rename(self, source: Path, target: Path) -> None:
        """Atomic; replaces."""
        os.rename(source, target)  # noqa: PTH104 - one layer for all calls

    def unlink(self, path: Path) -> None:
        """Removes the name; no error if there is none."""
        path.unlink(missing_ok=True)

    def make_folder(self, folder: Path) -> None:
        """Creates the folder and the parents that are missing, and makes all their entries durable."""
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for new in reversed(missing):
            new.mkdir(mode=0o700, exist_ok=True)
            self.sync_folder(new.parent)

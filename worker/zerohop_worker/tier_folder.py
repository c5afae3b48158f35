"""One tier on a file system: where its block files are, and how they come to be and go.

`<root>/blocks/<2 hex>/<content hex>.<index>.<xxh3 hex>` are complete blocks, never written again. `<root>/staging/`
holds those being written; a block is renamed out of it after its only writable descriptor is closed.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import xxhash

from zerohop.errors import DataFolderInUse
from zerohop_worker.cache_copy import BlockId, Copy
from zerohop_worker.files import Files

__all__ = ["BlockFile", "TierFolder"]

_NAME = re.compile(r"([0-9a-f]{32})\.([0-9]{1,10})\.([0-9a-f]{16})\Z")
_READ_BYTES = 1 << 20
_FOLDERS = 256


class BlockFile(NamedTuple):
    """A complete block file, as its name tells."""

    block: BlockId
    checksum: int
    size_bytes: int


class TierFolder:
    """Blocking calls; raise OSError. `volatile`: the folder is memory, gone with the machine, so nothing is synced."""

    def __init__(self, name: str, root: Path, *, volatile: bool, files: Files | None = None) -> None:
        self.name = name
        self.root = root
        self.volatile = volatile
        self.files = files or Files()
        self._blocks = root / "blocks"
        self._staging = root / "staging"
        self._numbers = itertools.count()
        self._lock_fd = -1

    def prepare(self, *, wipe: bool) -> None:
        """Creates the folders, private to the user; removes what was never finished, or with `wipe` everything.

        Raises DataFolderInUse for a folder that another tier or worker uses: each would take the other's blocks for
        its own, and evict what is not persisted. `close` lets go of it.
        """
        if wipe:
            self.remove()
        if not self.root.parent.exists():
            self.root.parent.mkdir(mode=0o700, parents=True)
        _check_owner(
            self.root.parent, os.getuid(), 0
        )  # whoever owns it could put another folder in our place
        self.root.mkdir(mode=0o700, exist_ok=True)
        _check_owner(self.root, os.getuid())
        self.root.chmod(0o700)
        self._lock()
        shutil.rmtree(self._staging, ignore_errors=True)
        self._make_folders()

    def _lock(self) -> None:
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise DataFolderInUse(
                f"the folder {self.root} holds another cache: give tier {self.name} its own"
            ) from None
        except OSError:  # a file system without locks
            os.close(fd)
        else:
            self._lock_fd = fd

    def close(self) -> None:
        """Another process may have the folder now."""
        if self._lock_fd >= 0:
            fd, self._lock_fd = self._lock_fd, -1
            os.close(fd)

    def _make_folders(self) -> None:
        self._staging.mkdir(mode=0o700, exist_ok=True)
        self._blocks.mkdir(mode=0o700, exist_ok=True)
        for number in range(_FOLDERS):  # all at once, so that no later block has to make one durable
            (self._blocks / f"{number:02x}").mkdir(mode=0o700, exist_ok=True)
        if not self.volatile:
            for folder in (self._blocks, self.root, self.root.parent):
                self.files.sync_folder(folder)

    def remove(self) -> None:
        """Removes the tier with everything in it. A link in its place is removed, not followed."""
        if self.root.is_symlink():
            self.root.unlink()
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.root)
        if self.volatile:
            with contextlib.suppress(OSError):  # others may have theirs in it
                self.root.parent.rmdir()

    def scan(self) -> Iterator[BlockFile]:
        """The complete blocks; files whose names are no blocks are left alone and not counted."""
        for folder in sorted(self._blocks.iterdir()):
            if not folder.is_dir():
                continue
            with os.scandir(folder) as entries:
                for entry in entries:
                    if match := _NAME.match(entry.name):
                        block = (bytes.fromhex(match[1]), int(match[2]))
                        yield BlockFile(block, int(match[3], 16), entry.stat(follow_symlinks=False).st_size)

    def path(self, block: BlockId, checksum: int) -> Path:
        """Where a complete block is."""
        return Path(self._name(block, checksum))

    def _name(self, block: BlockId, checksum: int) -> str:
        content, index = block
        folder = (content[14] + index) % _FOLDERS
        return f"{self._blocks}/{folder:02x}/{content.hex()}.{index}.{checksum:016x}"

    def stage(self) -> tuple[Path, int]:
        """A new unfinished file: its path and a descriptor to write to."""
        path = self._staging / str(next(self._numbers))
        try:
            return path, self.files.create(path)
        except FileNotFoundError:
            self._restore()
            return path, self.files.create(path)

    def _restore(self) -> None:
        """Somebody has emptied the cache by hand: its folders are made anew. The parent is not: it may be a mount."""
        self.root.mkdir(mode=0o700, exist_ok=True)
        _check_owner(self.root, os.getuid())
        self._make_folders()

    def seal(self, staged: Path, block: BlockId, checksum: int, *, durable: bool) -> None:
        """Gives a finished file, closed by its writer, its name. `durable`: and makes the name durable."""
        target = self.path(block, checksum)
        try:
            self.files.rename(staged, target)
        except FileNotFoundError:
            self._restore()
            self.files.rename(staged, target)
        if durable:
            try:
                self.files.sync_folder(target.parent)
            except OSError:
                self.files.rename(target, staged)  # unfinished again: its writer goes on elsewhere from there
                raise

    def open(self, copy: Copy) -> int:
        """A read-only descriptor of a complete block. Raises OSError, also when the file's size is another one."""
        name = self._name(copy.block, copy.checksum)
        fd = self.files.open(name)
        if os.fstat(fd).st_size != copy.size_bytes:
            os.close(fd)
            raise OSError(f"{name} has another size than the block")
        return fd

    def unlink(self, copy: Copy) -> None:
        """Removes the file; who has it open keeps it."""
        self.files.unlink(self.path(copy.block, copy.checksum))

    def unlink_block(self, block: BlockId, checksum: int) -> None:
        """Removes a file that the index does not know."""
        self.files.unlink(self.path(block, checksum))

    def is_intact(self, copy: Copy) -> bool:
        """Reads the whole file: whether its bytes match the checksum. Raises OSError."""
        fd = self.open(copy)
        try:
            digest = xxhash.xxh3_64()
            offset = 0
            while data := self.files.read(fd, _READ_BYTES, offset):
                digest.update(data)
                offset += len(data)
            return offset == copy.size_bytes and digest.intdigest() == copy.checksum
        finally:
            os.close(fd)


def _check_owner(folder: Path, *owners: int) -> None:
    info = folder.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid not in owners:
        raise PermissionError(f"{folder} is not a folder of this user: choose another one")

"""Under-store in a local folder (or one that NFS and its kin make look local).

    <root>/store-id                                        32 hex digits, created once
    <root>/contents/<session hex>/<counter >> 12 as 11 hex digits>/<content id hex>
    <root>/staging/<worker id>/<content id hex>            being written; renamed from there when synced

Names in hex of a fixed width sort as the ids do, so listing walks folders in order and reads only what it returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import shutil
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path

from zerohop.errors import ContentNotFound, OutOfSpace, UnderStoreFailed, ZerohopError
from zerohop_worker.files import Buffer, Files
from zerohop_worker.pool import ThreadPool
from zerohop_worker.understore.interface import StoredContent

__all__ = ["FolderStore"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_BYTES = 1 << 20
_THREADS = 8
_WRITE_BACK_BYTES = 1 << 20
"""So much is handed to the disk at a time, while more comes. Left to the sync at the end, 64 MiB took 30 ms there, and
3 with this. It is also the least for which pages are given up: of a few that were just written the kernel has to
ask every core.
"""
_COUNTERS_PER_FOLDER_BITS = 12
_EMPTY_FOLDER_S = 3600.0


def _translated(error: OSError, what: str) -> ZerohopError:
    if error.errno in _FULL:
        return OutOfSpace(f"the under-store is full: {what}: {error.strerror}")
    return UnderStoreFailed(f"the under-store failed: {what}: {error}")


class FolderStore:
    """See the module. `worker_id` names this worker's staging folder, which is emptied at the start."""

    def __init__(self, root: Path, worker_id: str, files: Files | None = None) -> None:
        self._root = root
        self._contents = root / "contents"
        self._staging = root / "staging" / worker_id
        self.files = files or Files()
        self.pool = ThreadPool(_THREADS, "under-store")
        self._durable: set[Path] = set()  # folders whose entries were synced from here; one for 4096 contents

    async def start(self) -> str:
        """See `UnderStore.start`."""
        try:
            return await self.pool.run(self._start)
        except OSError as error:
            raise _translated(error, f"cannot open {self._root}") from error

    def _start(self) -> str:
        self.files.make_folder(self._root)
        self.files.make_folder(self._contents)
        shutil.rmtree(self._staging, ignore_errors=True)
        self.files.make_folder(self._staging)
        stamp = self._root / "store-id"
        with contextlib.suppress(FileNotFoundError):
            known = stamp.read_text().strip()
            self.files.sync_folder(self._root)  # whoever made it may have died before he did
            return known
        draft = self._staging / "store-id"
        fd = self.files.create(draft)
        try:
            self.files.write(fd, [secrets.token_hex(16).encode() + b"\n"])
            self.files.sync(fd)
        finally:
            os.close(fd)
        with contextlib.suppress(FileExistsError):  # another worker was first: its id holds
            os.link(draft, stamp)
        self.files.unlink(draft)
        self.files.sync_folder(self._root)
        return stamp.read_text().strip()

    def path(self, content: bytes) -> Path:
        """Where a content is."""
        folder = int.from_bytes(content[8:15], "big") >> _COUNTERS_PER_FOLDER_BITS
        return self._contents / content[:8].hex() / f"{folder:011x}" / content.hex()

    def stage(self, content: bytes) -> StagedFile:
        """See `UnderStore.stage`."""
        return StagedFile(self, self._staging / content.hex(), self.path(content))

    def make_durable(self, group: Path) -> None:
        """Creates a folder of contents. Blocking; raises OSError.

        That it exists does not mean that its entry is on disk: another thread may have made it a moment ago. So only
        what was synced from here counts.
        """
        for folder in (group.parent, group):
            if folder not in self._durable:
                folder.mkdir(mode=0o700, exist_ok=True)
                self.files.sync_folder(folder.parent)
                self._durable.add(folder)

    def forget_folders(self) -> None:
        """Folders may have gone: look again."""
        self._durable.clear()

    async def read(self, content: bytes, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        """See `UnderStore.read`."""
        end = offset + length
        fd = await self._open(content)
        try:
            while offset < end:
                size_bytes = min(_READ_BYTES, end - offset)
                try:
                    data = await self.pool.run(self.files.read, fd, size_bytes, offset)
                except OSError as error:
                    raise _translated(error, f"cannot read {content.hex()}") from error
                if not data:
                    raise UnderStoreFailed(
                        f"content {content.hex()} ends at {offset}, {end} bytes were expected"
                    )
                offset += len(data)
                yield data
        finally:
            os.close(fd)

    async def _open(self, content: bytes) -> int:
        opening = asyncio.ensure_future(self.pool.run(self.files.open, self.path(content)))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_result)
            raise
        except FileNotFoundError:
            raise await self._missing(content) from None
        except OSError as error:
            raise _translated(error, f"cannot open {content.hex()}") from error

    async def _missing(self, content: bytes) -> ZerohopError:
        """A content is gone only if the store is there: one that is not mounted at the moment has lost nothing."""
        if await self.pool.run((self._root / "store-id").exists):
            return ContentNotFound(f"content {content.hex()} is not in the under-store")
        return UnderStoreFailed(f"the under-store is not at {self._root} any more")

    async def stat(self, content: bytes) -> StoredContent:
        """See `UnderStore.stat`."""
        try:
            info = await self.pool.run(self._settled, self.path(content))
        except FileNotFoundError:
            raise await self._missing(content) from None
        except OSError as error:
            raise _translated(error, f"cannot stat {content.hex()}") from error
        return StoredContent(content, info.st_size, info.st_mtime)

    def _settled(self, path: Path) -> os.stat_result:
        """The name is given after the data was synced, but before the name itself is."""
        info = path.stat()
        self.make_durable(path.parent)
        self.files.sync_folder(path.parent)
        return info

    async def delete(self, content: bytes) -> None:
        """See `UnderStore.delete`."""
        try:
            await self.pool.run(self.files.unlink, self.path(content))
        except OSError as error:
            raise _translated(error, f"cannot delete {content.hex()}") from error

    async def list_contents(self, after: bytes, limit: int) -> list[StoredContent]:
        """See `UnderStore.list_contents`."""
        try:
            return await self.pool.run(self._list, after.hex(), limit)
        except OSError as error:
            raise _translated(error, "cannot list contents") from error

    def _list(self, after: str, limit: int) -> list[StoredContent]:
        found: list[StoredContent] = []
        for path in self._walk(after):
            if len(found) >= limit:
                break
            with contextlib.suppress(FileNotFoundError):  # deleted since the folder was read
                info = path.stat()
                found.append(StoredContent(bytes.fromhex(path.name), info.st_size, info.st_mtime))
        return found

    def _walk(self, after: str) -> Iterator[Path]:
        """Content files beyond `after`, in order; folders that lie wholly before it are not read."""
        removable_before_s = time.time() - _EMPTY_FOLDER_S
        after_group = f"{int(after[16:30] or '0', 16) >> _COUNTERS_PER_FOLDER_BITS:011x}"
        for session in _sorted_folder(self._contents):
            if session.name < after[:16]:
                continue
            for group in _sorted_folder(session):
                if session.name == after[:16] and group.name < after_group:
                    continue
                paths = _sorted_folder(group)
                if not paths:
                    _remove_empty(group, removable_before_s)
                yield from (path for path in paths if path.name > after)
            _remove_empty(session, removable_before_s)

    async def close(self) -> None:
        """Waits for calls in flight."""
        self.pool.close()


def _sorted_folder(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _remove_empty(folder: Path, before_s: float) -> None:
    """Removes a folder that lost its last entry long ago, so that listings do not pass it for ever."""
    with contextlib.suppress(OSError):
        if folder.stat().st_mtime < before_s:
            folder.rmdir()


def _close_result(opening: asyncio.Future[int]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        os.close(opening.result())


class StagedFile:
    """A staged content of a `FolderStore`."""

    def __init__(self, store: FolderStore, path: Path, target: Path) -> None:
        self._store = store
        self._files = store.files
        self._path, self._target = path, target
        self._fd = -1
        self._made = False  # the staging file exists
        self._written_bytes = 0
        self._begun_bytes = 0  # of those the disk was told

    async def write(self, buffers: Sequence[Buffer]) -> None:
        """See `StagedContent.write`."""
        try:
            await self._store.pool.run(self._write, buffers)
        except OSError as error:
            raise _translated(error, "cannot write a content") from error

    def _write(self, buffers: Sequence[Buffer]) -> None:
        if not self._made:
            self._fd = self._files.create(self._path)
            self._made = True
        self._files.write(self._fd, buffers)
        self._written_bytes += sum(len(buffer) for buffer in buffers)
        if (new_bytes := self._written_bytes - self._begun_bytes) >= _WRITE_BACK_BYTES:
            self._files.let_go(self._fd, self._begun_bytes, new_bytes)
            self._begun_bytes = self._written_bytes

    async def commit(self, tail: Sequence[Buffer] = (), *, cached: bool = False) -> None:
        """See `StagedContent.commit`.

        The tiers are the cache: a second copy in the system's would only push out what is read. And where a machine
        has to get its memory from a hypervisor, a PUT of 64 MiB that left its pages behind took twice the time of one
        that found those of the last.
        """
        try:
            await self._store.pool.run(self._commit, tail, cached)
        except OSError as error:
            raise _translated(error, "cannot complete a content") from error

    def _commit(self, tail: Sequence[Buffer], cached: bool) -> None:
        self._write(tail)
        self._files.sync(self._fd)
        if cached and self._begun_bytes:
            self._files.let_go(self._fd, 0, 0)
        self._close()
        self._store.make_durable(self._target.parent)
        try:
            self._files.rename(self._path, self._target)
        except FileNotFoundError:  # a listing removed the folder, which had been empty for long
            self._store.forget_folders()
            self._store.make_durable(self._target.parent)
            self._files.rename(self._path, self._target)
        self._made = False
        try:
            self._files.sync_folder(self._target.parent)
        except OSError:
            self._files.unlink(self._target)
            raise

    async def abort(self) -> None:
        """See `StagedContent.abort`."""
        await self._store.pool.run(self._abort)

    def _abort(self) -> None:
        self._close()
        if self._made:
            self._made = False
            with contextlib.suppress(OSError):  # the next start empties the staging folder
                self._files.unlink(self._path)

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

"""Changes of names in a mounted folder, one at a time in this process; others may change them all the while."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import threading
import time
from collections.abc import Sequence
from typing import Final

from zerohop.errors import InvalidRequest, PreconditionFailed, ZerohopError
from zerohop_worker.origins.folder_files import MARKER, folder_object, has_marker, validator_of
from zerohop_worker.origins.folder_paths import OWN_FOLDER, Root, folder_error, key_parts
from zerohop_worker.origins.interface import OriginObject, WriteCondition

__all__ = ["Changes"]

_TRIES: Final = 5
"""Another process may remove a folder, which it finds empty, as often as we make it; not so often in a row."""

_ABANDONED_S: Final = 7 * 86_400
_NO_LINKS: Final = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class Changes:
    """All methods block, and raise OSError besides what they name."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._lock = threading.Lock()

    def check_writable(self) -> None:
        """Writes and removes a file, and removes what crashed writers left a week ago."""
        with self._root.folder([OWN_FOLDER], make=True) as folder:
            name = secrets.token_hex(16)
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder))
            os.unlink(name, dir_fd=folder)
            with os.scandir(folder) as entries:
                old = [entry.name for entry in entries if _is_abandoned(entry)]
            for name in old:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)

    def check_place(self, parts: list[str], is_folder: bool) -> None:
        """Raises OSError where a file (or with `is_folder` a folder) of that name cannot be."""
        with contextlib.suppress(FileNotFoundError), self._root.folder(parts[:-1]) as folder:
            found = os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode) != is_folder:
                code = errno.EEXIST if is_folder else errno.EISDIR
                raise OSError(code, os.strerror(code))

    def publish(self, staged: str, parts: list[str], condition: WriteCondition) -> None:
        """Gives a staged file its name, durably. Raises PreconditionFailed."""
        for tries in range(1, _TRIES + 1):
            try:
                with (
                    self._lock,
                    self._root.folder([OWN_FOLDER]) as own,
                    self._root.folder(parts[:-1], make=True) as folder,
                ):
                    self._check(folder, parts[-1], condition)
                    _give_name(own, staged, folder, parts[-1], condition.only_if_absent)
                    os.fsync(folder)
                return
            except FileNotFoundError:
                if tries == _TRIES:
                    raise

    def _check(self, folder: int, name: str, condition: WriteCondition) -> None:
        try:
            info = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            if condition.only_if_etag:
                raise PreconditionFailed("the origin has no such object", condition="If-Match") from None
            return
        if stat.S_ISDIR(info.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if condition.only_if_absent:
            raise PreconditionFailed("the origin has such an object", condition="If-None-Match")
        if condition.only_if_etag and validator_of(info).etag != condition.only_if_etag:
            raise PreconditionFailed("the object at the origin is another one", condition="If-Match")

    def discard(self, staged: str) -> None:
        """Removes a staged file, if it is still there; what cannot be removed now is in a week."""
        with contextlib.suppress(OSError, ZerohopError), self._root.folder([OWN_FOLDER]) as own:
            os.unlink(staged, dir_fd=own)

    def make_marker(self, parts: list[str], key: str, condition: WriteCondition) -> OriginObject:
        """A folder that stays when it is empty, where the file system can note that."""
        if condition.only_if_etag:
            raise InvalidRequest("the marker of a folder has no ETag to compare")
        with self._lock, self._root.folder(parts, make=True) as fd:
            if condition.only_if_absent and has_marker(fd):
                raise PreconditionFailed("the origin has such an object", condition="If-None-Match")
            with contextlib.suppress(OSError):  # no extended attributes: then it lasts while it is empty
                os.setxattr(fd, MARKER, b"1")
            os.fsync(fd)
            return folder_object(key, os.fstat(fd))

    def delete(self, keys: Sequence[str]) -> dict[str, str]:
        """The messages of those that failed, by key."""
        failed: dict[str, str] = {}
        changed: set[tuple[str, ...]] = set()
        for key in keys:
            try:
                with self._lock:
                    changed.add(self._delete(key))
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError, InvalidRequest):
                continue  # nothing can be there
            except OSError as error:
                failed[key] = folder_error(error, f"delete {key}").message
        for parts in changed:
            with contextlib.suppress(FileNotFoundError), self._root.folder(list(parts)) as fd:
                os.fsync(fd)
        return failed

    def _delete(self, key: str) -> tuple[str, ...]:
        """Returns the folder whose entries were changed."""
        parts = key_parts(key)
        if key.endswith("/"):
            with self._root.folder(parts) as fd:
                if has_marker(fd):
                    os.removexattr(fd, MARKER)
            return self._remove_empty(parts)
        with self._root.folder(parts[:-1]) as folder:
            info = os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISREG(info.st_mode):
                raise FileNotFoundError
            os.unlink(parts[-1], dir_fd=folder)
        return self._remove_empty(parts[:-1])

    def _remove_empty(self, parts: list[str]) -> tuple[str, ...]:
        """Removes the folder and its parents as far as they are empty and nobody wrote their keys."""
        while parts:
            with self._root.folder(parts) as fd:
                if has_marker(fd):
                    break
            with self._root.folder(parts[:-1]) as parent:
                try:
                    os.rmdir(parts[-1], dir_fd=parent)
                except OSError as error:
                    if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY, errno.EACCES, errno.EPERM):
                        break
                    raise
            parts = parts[:-1]
        return tuple(parts)


def _give_name(own: int, staged: str, folder: int, name: str, only_if_absent: bool) -> None:
    if only_if_absent:
        try:
            os.link(staged, name, src_dir_fd=own, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError:
            raise PreconditionFailed("the origin has such an object", condition="If-None-Match") from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        else:
            os.unlink(staged, dir_fd=own)
            return
    os.rename(staged, name, src_dir_fd=own, dst_dir_fd=folder)


def _is_abandoned(entry: os.DirEntry[str]) -> bool:
    return (
        entry.is_file(follow_symlinks=False)
        and entry.stat(follow_symlinks=False).st_mtime < time.time() - _ABANDONED_S
    )

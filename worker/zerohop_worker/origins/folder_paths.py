"""Keys as paths below one folder, and walks there that follow no symbolic link.

A key's components are the names on the way; a key that ends in "/" means the folder itself. A name that begins with
the mark of our own folder is hidden.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from zerohop.errors import InvalidRequest, OriginRefused, OutOfSpace, UnderStoreFailed, ZerohopError

__all__ = ["OWN_FOLDER", "Root", "folder_error", "is_hidden", "key_parts"]

OWN_FOLDER: Final = ".zerohop-staging"
_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NAME_BYTES: Final = 255
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED: Final = {errno.EACCES, errno.EPERM, errno.EROFS}
_SHAPE: Final = {
    errno.ENOTDIR: "a part of its path is a file, not a folder",
    errno.EISDIR: "there is a folder of that name",
    errno.ENOTEMPTY: "there is a folder of that name",
    errno.ENAMETOOLONG: "the name is too long for its file system",
    errno.ELOOP: "a part of its path is a symbolic link, which is not followed",
    errno.EXDEV: "it is on another file system than the mounted folder: mount that one by itself",
    errno.EILSEQ: "its file system does not accept the characters of the name",
    errno.EINVAL: "its file system does not accept the name",
    errno.EEXIST: "there is something else of that name",
}


def is_hidden(name: str) -> bool:
    """Whether an entry is ours."""
    return name == OWN_FOLDER


def key_parts(key: str) -> list[str]:
    """The names on the way to a key, the file's own last; raises InvalidRequest for a key that no path stands for."""
    parts = key.removesuffix("/").split("/")
    reason = ""
    if not key or key == "/" or "" in parts:
        reason = "it has an empty part (a leading, trailing or double '/')"
    elif "." in parts or ".." in parts:
        reason = "'.' and '..' are no names"
    elif "\0" in key:
        reason = "it has a NUL in it"
    elif any(len(part.encode(errors="replace")) > _NAME_BYTES for part in parts):
        reason = f"a part of it is longer than {_NAME_BYTES} bytes"
    elif any(map(is_hidden, parts)):
        reason = f"{OWN_FOLDER} is where unfinished files are kept"
    elif not _encodable(key):
        reason = "it is no valid Unicode"
    if reason:
        raise InvalidRequest(f"a folder cannot hold the key {key!r}: {reason}")
    return parts


def _encodable(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


def folder_error(error: OSError, what: str) -> ZerohopError:
    """`what` was tried, as in "write a/b"."""
    told = error.strerror or str(error)
    if error.errno in _FULL:
        return OutOfSpace(f"cannot {what}: {told}")
    if error.errno in _DENIED:
        return OriginRefused(f"cannot {what}: {told}", reason=errno.errorcode[error.errno or 0])
    if error.errno in _SHAPE:
        return InvalidRequest(f"cannot {what}: {_SHAPE[error.errno]}")
    return UnderStoreFailed(f"cannot {what}: {told}")


class Root:
    """The mounted folder. It is opened anew for each operation, and has to be the same one each time: where a network
    file system was unmounted, there is an empty folder, and nothing in it has been deleted.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._known: tuple[int, int] | None = None

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor of the folder. Raises OriginRefused (there is none), UnderStoreFailed (another one)."""
        try:
            # The path of the mount itself may lead over links: whoever mounted it chose it.
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise OriginRefused(
                f"this worker cannot open the folder {self.path}: {error.strerror}",
                reason=errno.errorcode.get(error.errno or 0, ""),
            ) from error
        try:
            info = os.fstat(fd)
            self._known = self._known or (info.st_dev, info.st_ino)
            if self._known != (info.st_dev, info.st_ino):
                raise UnderStoreFailed(
                    f"{self.path} is not the folder any more that it was: was it unmounted?"
                )
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def folder(self, parts: list[str], make: bool = False) -> Iterator[int]:
        """A descriptor of the folder below; missing ones are made durably with `make`. Raises OSError besides."""
        with self.opened() as root:
            fd = os.dup(root)
            try:
                for part in parts:
                    below = _step(fd, part, make)
                    os.close(fd)
                    fd = below
                yield fd
            finally:
                os.close(fd)


def _step(fd: int, name: str, make: bool) -> int:
    try:
        return os.open(name, _FOLDER_FLAGS, dir_fd=fd)
    except FileNotFoundError:
        if not make:
            raise
    try:
        os.mkdir(name, 0o777, dir_fd=fd)
    except FileExistsError:
        pass  # another writer was first
    else:
        os.fsync(fd)
    return os.open(name, _FOLDER_FLAGS, dir_fd=fd)

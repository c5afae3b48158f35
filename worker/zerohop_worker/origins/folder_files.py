"""Files of a mounted folder as objects: what their bytes are bound to, and what is stored with them.

Headers, user metadata, storage class and tags stand in one extended attribute, and so does the MD5 of what was
written in one piece, with the time and size that it is good for. A file system that has none keeps the bytes alone.
"""

from __future__ import annotations

import errno
import hashlib
import mimetypes
import os
from typing import Final

import msgspec

from zerohop.errors import InvalidRequest
from zerohop_worker.origins.interface import Attributes, OriginObject, Validator

__all__ = [
    "MARKER",
    "file_object",
    "folder_object",
    "has_marker",
    "is_young",
    "read_attributes",
    "validator_of",
    "write_attributes",
    "write_digest",
]


MARKER: Final = "user.zerohop.marker"
_ATTRIBUTES: Final = "user.zerohop.attributes"
_DIGEST: Final = "user.zerohop.md5"
_NO_ATTRIBUTES: Final = {
    errno.ENODATA,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.EACCES,
    errno.ENOSYS,
}
_TOO_LARGE: Final = {errno.E2BIG, errno.ERANGE, errno.ENOSPC}
_DEFAULT_TYPE: Final = "binary/octet-stream"  # that of S3

_FINE_NS: Final = 20_000_000
"""Local file systems take times from the kernel's tick: 1 to 10 ms."""
_COARSE_NS: Final = 2_000_000_000
"""FAT; others that know whole seconds alone have 1 s."""
_SECOND_NS: Final = 1_000_000_000


class _Stored(msgspec.Struct):
    headers: dict[str, str] = {}
    metadata: dict[str, str] = {}
    storage_class: str = ""
    tags: dict[str, str] = {}


def validator_of(info: os.stat_result) -> Validator:
    """The "ETag" of a file: time of modification and of change, inode and size. The time of change tells a file that
    was written in place and had its time set back, as some tools do.
    """
    etag = f"{info.st_mtime_ns:x}-{info.st_ctime_ns:x}-{info.st_ino:x}-{info.st_size:x}"
    return Validator(etag, info.st_size, info.st_mtime_ns // 1_000_000)


def is_young(info: os.stat_result, now_ns: int) -> int:
    """For how many ns yet the file might be written to without its validator telling; 0 once it is settled."""
    whole = info.st_mtime_ns % _SECOND_NS == 0 and info.st_ctime_ns % _SECOND_NS == 0
    age_ns = now_ns - max(info.st_mtime_ns, info.st_ctime_ns)
    granularity_ns = _COARSE_NS if whole else _FINE_NS
    # A time in the future is that of another machine's clock, and tells nothing about age.
    return granularity_ns - age_ns if 0 <= age_ns < granularity_ns else 0


def file_object(key: str, info: os.stat_result, file: int | str) -> OriginObject:
    """The object: of an open file with what is stored with it, of a path (in listings) without."""
    validator = validator_of(info)
    attributes = read_attributes(file, key) if isinstance(file, int) else Attributes({}, {})
    return OriginObject(
        key=key,
        validator=validator,
        client_etag=_digest(file, info) or _made_up(validator),
        attributes=attributes,
        tag_count=len(attributes.tags),
    )


def folder_object(key: str, info: os.stat_result) -> OriginObject:
    """The marker of a folder. It is bound to the folder, not to what happens in it."""
    validator = Validator(f"folder-{info.st_dev:x}-{info.st_ino:x}", 0, info.st_mtime_ns // 1_000_000)
    empty = hashlib.md5(b"", usedforsecurity=False).hexdigest()
    attributes = Attributes({"content-type": "application/x-directory"}, {})
    return OriginObject(key=key, validator=validator, client_etag=empty, attributes=attributes)


def _made_up(validator: Validator) -> str:
    return hashlib.md5(validator.etag.encode(), usedforsecurity=False).hexdigest() + "-1"


def _digest(file: int | str, info: os.stat_result) -> str:
    known = _get(file, _DIGEST).decode(errors="replace").split()
    good_for = [str(info.st_mtime_ns), str(info.st_size)]
    return known[0] if known[1:] == good_for and len(known[0]) == 32 else ""


def write_digest(fd: int, digest: str) -> None:
    """Notes the MD5 (hex) of the whole file, as it is now."""
    info = os.fstat(fd)
    _set(fd, _DIGEST, f"{digest} {info.st_mtime_ns} {info.st_size}".encode())


def read_attributes(fd: int, key: str) -> Attributes:
    """What is stored with a file, with a content type guessed by its name where none is."""
    try:
        stored = msgspec.json.decode(_get(fd, _ATTRIBUTES) or b"{}", type=_Stored)
    except msgspec.DecodeError:
        stored = _Stored()  # somebody else wrote it: the bytes are what counts
    headers = dict(stored.headers)
    headers.setdefault("content-type", mimetypes.guess_type(key, strict=False)[0] or _DEFAULT_TYPE)
    return Attributes(headers, stored.metadata, stored.storage_class, stored.tags)


def write_attributes(fd: int, attributes: Attributes, key: str) -> bool:
    """Stores them with the file; False where the file system cannot. Raises InvalidRequest when they are too large."""
    stored = _Stored(
        dict(attributes.headers), dict(attributes.metadata), attributes.storage_class, dict(attributes.tags)
    )
    try:
        return _set(fd, _ATTRIBUTES, msgspec.json.encode(stored))
    except OSError as error:
        if error.errno in _TOO_LARGE:
            raise InvalidRequest(
                f"the metadata of {key} is too large for the extended attributes of its file system"
            ) from error
        raise


def has_marker(fd: int) -> bool:
    """Whether somebody wrote the key of this folder, with "/" at its end."""
    return bool(_get(fd, MARKER))


def _get(file: int | str, name: str) -> bytes:
    try:
        return os.getxattr(file, name)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES:
            return b""
        raise


def _set(fd: int, name: str, value: bytes) -> bool:
    try:
        os.setxattr(fd, name, value)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES:
            return False
        raise
    return True

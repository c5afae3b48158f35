"""Keys as paths of HDFS, and its files as objects.

HDFS has no ETag, and its client library shows neither the number of a file nor its extended attributes: bytes are
bound to time of modification (in ms, the NameNode's clock) and size, and the content type is guessed by the name.
"""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Mapping
from typing import Final

from hdfs_native import FileStatus

from zerohop.errors import InvalidRequest, NotSupported
from zerohop_worker.origins.interface import Attributes, OriginObject, Validator

__all__ = [
    "STAGING",
    "HdfsPaths",
    "file_object",
    "folder_object",
    "is_hidden",
    "key_parts",
    "refuse_tags",
    "validator_of",
]

STAGING: Final = ".zerohop-staging"
_SNAPSHOTS: Final = ".snapshot"
_RESERVED: Final = ".reserved"
_NAME_BYTES: Final = 255  # the default of dfs.namenode.fs-limits.max-component-length
_DEFAULT_TYPE: Final = "binary/octet-stream"  # that of S3


def is_hidden(name: str) -> bool:
    """Whether an entry is ours, or one of HDFS's own."""
    return name in (STAGING, _SNAPSHOTS)


def key_parts(key: str) -> list[str]:
    """The names on the way to a key, the file's own last; raises InvalidRequest for a key that no path stands for."""
    parts = key.removesuffix("/").split("/")
    reason = ""
    if not key or key == "/" or "" in parts:
        reason = "it has an empty part (a leading, trailing or double '/')"
    elif "." in parts or ".." in parts:
        reason = "'.' and '..' are no names"
    elif ":" in key:
        reason = "it has a ':' in it"
    elif "\0" in key:
        reason = "it has a NUL in it"
    elif not _encodable(key):
        reason = "it is no valid Unicode"
    elif any(len(part.encode()) > _NAME_BYTES for part in parts):
        reason = f"a part of it is longer than {_NAME_BYTES} bytes"
    elif STAGING in parts:
        reason = f"{STAGING} is where unfinished files are kept"
    elif _SNAPSHOTS in parts or parts[0] == _RESERVED:
        reason = f"{_SNAPSHOTS} and {_RESERVED} are names of HDFS itself"
    if reason:
        raise InvalidRequest(f"HDFS cannot hold the key {key!r}: {reason}")
    return parts


def _encodable(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


class HdfsPaths:
    """Paths below the mounted folder."""

    def __init__(self, folder: str) -> None:
        self.root = folder
        self._base = folder.rstrip("/")
        self.staging = f"{self._base}/{STAGING}"

    def of(self, key: str) -> str:
        """Of a file, or with "/" at the end of the key a folder. Raises InvalidRequest."""
        return self.below(key_parts(key))

    def below(self, parts: list[str]) -> str:
        """The mounted folder itself for no parts."""
        return "/".join((self._base, *parts)) if parts else self.root


def validator_of(status: FileStatus) -> Validator:
    """Time and size stand for an ETag."""
    etag = f"{status.modification_time:x}-{status.length:x}"
    return Validator(etag, status.length, status.modification_time)


def file_object(key: str, status: FileStatus, listed: bool = False) -> OriginObject:
    """Of a file; those of listings leave attributes empty."""
    validator = validator_of(status)
    kind = mimetypes.guess_type(key, strict=False)[0] or _DEFAULT_TYPE
    made_up = hashlib.md5(validator.etag.encode(), usedforsecurity=False).hexdigest() + "-1"
    return OriginObject(
        key=key,
        validator=validator,
        client_etag=made_up,
        attributes=Attributes({} if listed else {"content-type": kind}, {}),
    )


def folder_object(key: str, status: FileStatus) -> OriginObject:
    """The marker of an empty folder. It is bound to its being one."""
    empty = hashlib.md5(b"", usedforsecurity=False).hexdigest()
    attributes = Attributes({"content-type": "application/x-directory"}, {})
    return OriginObject(key, Validator("folder", 0, status.modification_time), empty, attributes)


def refuse_tags(key: str, tags: Mapping[str, str]) -> None:
    """Raises NotSupported where there are any."""
    if tags:
        raise NotSupported(f"cannot keep {len(tags)} tags of {key}: HDFS has no place for them")

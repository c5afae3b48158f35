"""Paths on the command line: `/bucket/key` in the cluster, `./file` or `file:/any/path` on this machine.

A cluster path always begins with `/`; what follows the bucket is the key as it stands, so `/b/x//y` is the key
`x//y`. A local path always says that it is one, because `/tmp/x` would be bucket `tmp` otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from zerohop.errors import InvalidRequest

__all__ = ["STANDARD_STREAM", "ClusterPath", "parse", "parse_cluster"]

STANDARD_STREAM = Path("-")
"""Standard input as a source, standard output as a target."""

_MAX_KEY_BYTES = 1024
"""S3 user guide, "Naming Amazon S3 objects"."""

_LOCAL_PREFIXES = ("./", "../", "~/")


class ClusterPath(NamedTuple):
    """A bucket and a key. Both empty: the root. An empty key: the bucket itself."""

    bucket: str
    key: str = ""

    def __str__(self) -> str:
        return f"/{self.bucket}/{self.key}" if self.key else f"/{self.bucket}"

    @property
    def is_root(self) -> bool:
        """The list of buckets."""
        return not self.bucket

    @property
    def is_bucket(self) -> bool:
        """A bucket, not something in it."""
        return bool(self.bucket) and not self.key

    @property
    def folder_prefix(self) -> str:
        """The prefix of the keys in this folder: "" for a bucket, else the key with exactly its own or one `/`."""
        return self.key if not self.key or self.key.endswith("/") else self.key + "/"

    @property
    def name(self) -> str:
        """The last component, as a file name."""
        return (self.key or self.bucket).rstrip("/").rpartition("/")[2]

    def child(self, relative: str) -> ClusterPath:
        """What is called `relative` in this folder."""
        return ClusterPath(self.bucket, self.folder_prefix + relative)


def parse(text: str) -> ClusterPath | Path:
    """A cluster path, a local path, or `STANDARD_STREAM` for `-`. Raises InvalidRequest for what could be either."""
    if text == "-":
        return STANDARD_STREAM
    if text.startswith("/"):
        return parse_cluster(text)
    if text.startswith("file:"):
        # `file:///x`, as URLs write it, is `/x`; so is `file:/x`.
        rest = text.removeprefix("file:")
        return Path(rest[2:] if rest.startswith("///") else rest)
    if text in (".", "..", "~") or text.startswith(_LOCAL_PREFIXES):
        return Path(text).expanduser()
    raise InvalidRequest(
        f"{text!r} could be here or in the cluster: write ./{text} (or file:{text}) for a local file, "
        f"/{text} for bucket and key"
    )


def parse_cluster(text: str) -> ClusterPath:
    """A cluster path. Raises InvalidRequest for anything else."""
    if not text.startswith("/"):
        raise InvalidRequest(f"{text!r} is no path of the cluster: write /BUCKET or /BUCKET/KEY")
    bucket, _, key = text[1:].partition("/")
    if not bucket and key:
        raise InvalidRequest(f"{text!r} names no bucket: write /BUCKET/KEY")
    _check_key(key)
    return ClusterPath(bucket, key)


def _check_key(key: str) -> None:
    try:
        size_bytes = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidRequest(f"the key {key!a} is no UTF-8, as S3 keys are") from None
    if size_bytes > _MAX_KEY_BYTES:
        raise InvalidRequest(f"the key has {size_bytes} bytes of UTF-8; S3 allows {_MAX_KEY_BYTES}")

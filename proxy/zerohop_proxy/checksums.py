"""Checksums that S3 keeps and checks: `x-amz-checksum-*`, Content-MD5 and ETags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["ALGORITHMS", "Checksum", "DeclaredChecksum"]


class Checksum(Protocol):
    """An incremental checksum."""

    algorithm: str  # CRC32, CRC32C, CRC64NVME, SHA1, SHA256: the name of S3's `ChecksumAlgorithm`

    def update(self, data: bytes | memoryview) -> None: ...

    def digest(self) -> bytes: ...

    def base64(self) -> str: ...


ALGORITHMS: tuple[str, ...] = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")


@dataclass(frozen=True, slots=True)
class DeclaredChecksum:
    """What a request says of its body: `value` is base64, or None when it comes in a trailer."""

    algorithm: str
    value: str | None
    trailer_name: str | None = None


def new_checksum(algorithm: str) -> Checksum:
    """A fresh checksum of `algorithm` (upper case)."""
    raise NotImplementedError


def header_name(algorithm: str) -> str:
    """`x-amz-checksum-crc32` for `CRC32`."""
    return f"x-amz-checksum-{algorithm.lower()}"


def element_name(algorithm: str) -> str:
    """`ChecksumCRC32` for `CRC32`."""
    return f"Checksum{algorithm}"


def declared_checksum(headers: Mapping[str, str], trailer_names: Sequence[str] = ()) -> DeclaredChecksum | None:
    """The checksum that a request declares for its body; raises InvalidRequest for contradictions."""
    raise NotImplementedError


def declared_md5(headers: Mapping[str, str]) -> bytes | None:
    """The 16 bytes of Content-MD5; raises InvalidDigest."""
    raise NotImplementedError


def check(declared: DeclaredChecksum, computed: Checksum, trailers: Mapping[str, str]) -> str:
    """Compare; gives the base64 value. Raises BadDigest, InvalidRequest (malformed or missing)."""
    raise NotImplementedError


def composite_checksum(algorithm: str, parts: Sequence[str]) -> str:
    """Checksum of the parts' checksums (base64), with its `-N`."""
    raise NotImplementedError


def full_object_checksum(algorithm: str, parts: Sequence[tuple[str, int]]) -> str:
    """Checksum of the concatenation from the parts' (base64, size_bytes); CRCs only."""
    raise NotImplementedError


def multipart_etag(part_etags: Sequence[str]) -> str:
    """`md5-of-md5s-N`, without quotes, from the parts' hex MD5s."""
    raise NotImplementedError

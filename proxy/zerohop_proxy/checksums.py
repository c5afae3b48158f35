"""Checksums that S3 keeps and checks: `x-amz-checksum-*`, Content-MD5 and ETags.

Source: S3 user guide, "Checking object integrity". Values are base64 of the big-endian digest.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import xxhash
from awscrt import checksums as crt

from zerohop_proxy.s3_errors import S3Error

__all__ = [
    "ALGORITHMS",
    "DEFAULT_ALGORITHM",
    "Checksum",
    "DeclaredChecksum",
    "check",
    "composite_checksum",
    "declared_checksum",
    "declared_md5",
    "element_name",
    "full_object_checksum",
    "header_name",
    "multipart_etag",
    "new_checksum",
]


class Checksum(Protocol):
    """An incremental checksum. `update` releases the GIL for long data: run it in a thread for those."""

    algorithm: str  # one of ALGORITHMS

    def update(self, data: bytes | bytearray | memoryview) -> None: ...

    def digest(self) -> bytes: ...

    def base64(self) -> str: ...


class _Crc:
    def __init__(self, algorithm: str) -> None:
        self.algorithm = algorithm
        self._function, self._size, _ = _CRCS[algorithm]
        self._value = 0

    def update(self, data: bytes | bytearray | memoryview) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")

    def base64(self) -> str:
        return base64.b64encode(self.digest()).decode()


class _Digest(Protocol):
    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


class _Hash:
    def __init__(self, algorithm: str) -> None:
        self.algorithm = algorithm
        self._hash = _HASHES[algorithm]()

    def update(self, data: bytes | bytearray | memoryview) -> None:
        self._hash.update(data)

    def digest(self) -> bytes:
        return self._hash.digest()

    def base64(self) -> str:
        return base64.b64encode(self.digest()).decode()


_Crc_function = Callable[..., int]
_CRCS: dict[str, tuple[_Crc_function, int, _Crc_function]] = {
    "CRC32": (crt.crc32, 4, crt.combine_crc32),
    "CRC32C": (crt.crc32c, 4, crt.combine_crc32c),
    "CRC64NVME": (crt.crc64nvme, 8, crt.combine_crc64nvme),
}
_HASHES: dict[str, Callable[[], _Digest]] = {
    "MD5": partial(hashlib.md5, usedforsecurity=False),
    "SHA1": partial(hashlib.sha1, usedforsecurity=False),
    "SHA256": hashlib.sha256,
    "SHA512": hashlib.sha512,
    "XXHASH64": xxhash.xxh64,
    "XXHASH3": xxhash.xxh3_64,
    "XXHASH128": xxhash.xxh3_128,
}
_DIGEST_BYTES = {name: size for name, (_, size, _) in _CRCS.items()} | {
    name: len(make().digest()) for name, make in _HASHES.items()
}

ALGORITHMS: tuple[str, ...] = tuple(_DIGEST_BYTES)
"""As S3's `ChecksumAlgorithm` names them."""
DEFAULT_ALGORITHM = "CRC64NVME"
"""What S3 computes, of the full object, where a client declares nothing."""

_PREFIX = "x-amz-checksum-"
_BY_HEADER = {f"{_PREFIX}{name.lower()}": name for name in ALGORITHMS}
_NOT_A_VALUE = frozenset({"x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"})


@dataclass(frozen=True, slots=True)
class DeclaredChecksum:
    """What a request says of its body: `value` is base64, or None when it comes in a trailer."""

    algorithm: str
    value: str | None
    trailer_name: str | None = None


def new_checksum(algorithm: str) -> Checksum:
    """A fresh checksum of `algorithm` (one of `ALGORITHMS`)."""
    return _Crc(algorithm) if algorithm in _CRCS else _Hash(algorithm)


def header_name(algorithm: str) -> str:
    """`x-amz-checksum-crc32` for `CRC32`."""
    return f"{_PREFIX}{algorithm.lower()}"


def element_name(algorithm: str) -> str:
    """`ChecksumCRC32` for `CRC32`."""
    return f"Checksum{algorithm}"


def declared_checksum(
    headers: Mapping[str, str], trailer_names: Sequence[str] = ()
) -> DeclaredChecksum | None:
    """The checksum that a request declares for its body, None when it declares none.

    Raises `S3Error` InvalidRequest for several at once, a malformed value, an unknown algorithm, or an
    x-amz-sdk-checksum-algorithm that is not the one sent.
    """
    in_headers = [name for name in headers if name.startswith(_PREFIX) and name not in _NOT_A_VALUE]
    in_trailers = [name for name in trailer_names if name.startswith(_PREFIX)]
    names = in_headers + in_trailers
    if len(in_trailers) < len(trailer_names):
        raise S3Error("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
    sdk = headers.get("x-amz-sdk-checksum-algorithm", "").upper()
    if sdk and sdk not in ALGORITHMS:
        raise S3Error("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
    if not names:
        if headers.get("x-amz-sdk-checksum-algorithm"):
            raise S3Error(
                "InvalidRequest",
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer "
                "headers were found.",
            )
        return None
    if len(names) > 1:
        raise S3Error(
            "InvalidRequest",
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        )
    algorithm = _BY_HEADER.get(names[0])
    if algorithm is None:
        raise S3Error("InvalidRequest", f"The checksum algorithm of {names[0]} is not supported.")
    if sdk and sdk != algorithm:
        raise S3Error("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
    if in_trailers:
        return DeclaredChecksum(algorithm, None, names[0])
    _require_form(algorithm, names[0], headers[names[0]])
    return DeclaredChecksum(algorithm, headers[names[0]])


def declared_md5(headers: Mapping[str, str]) -> bytes | None:
    """The 16 bytes of Content-MD5, None when there is none; raises InvalidDigest."""
    value = headers.get("content-md5")
    if value is None:
        return None
    digest = _decoded(value.strip())
    if digest is None or len(digest) != 16:
        raise S3Error("InvalidDigest", elements={"Content-MD5": value})
    return digest


def check(declared: DeclaredChecksum, computed: Checksum, trailers: Mapping[str, str] | None = None) -> str:
    """Compare; gives the base64 value. Raises BadDigest, InvalidRequest (malformed or missing in the trailer)."""
    expected = declared.value
    if expected is None:
        name = declared.trailer_name or header_name(declared.algorithm)
        expected = (trailers or {}).get(name)
        if expected is None:
            raise S3Error("InvalidRequest", f"The trailer {name} is missing.")
        _require_form(declared.algorithm, name, expected)
    value = computed.base64()
    if value != expected:
        raise S3Error(
            "BadDigest",
            f"The {declared.algorithm} you specified did not match the calculated checksum.",
        )
    return value


def composite_checksum(algorithm: str, parts: Sequence[str]) -> str:
    """Checksum of the parts' digests (given in base64), with its `-N`."""
    whole = new_checksum(algorithm)
    for part in parts:
        whole.update(base64.b64decode(part))
    return f"{whole.base64()}-{len(parts)}"


def full_object_checksum(algorithm: str, parts: Sequence[tuple[str, int]]) -> str:
    """Checksum of the concatenation, from the parts' (base64, size_bytes); the CRCs alone can be combined."""
    _, size, combine = _CRCS[algorithm]
    whole = 0
    for value, size_bytes in parts:
        whole = combine(whole, int.from_bytes(base64.b64decode(value), "big"), size_bytes)
    return base64.b64encode(whole.to_bytes(size, "big")).decode()


def multipart_etag(part_etags: Sequence[str]) -> str:
    """`md5-of-md5s-N`, without quotes, from the parts' hex MD5s."""
    whole = hashlib.md5(usedforsecurity=False)
    for etag in part_etags:
        whole.update(bytes.fromhex(etag))
    return f"{whole.hexdigest()}-{len(part_etags)}"


def _require_form(algorithm: str, name: str, value: str) -> None:
    digest = _decoded(value)
    if digest is None or len(digest) != _DIGEST_BYTES[algorithm]:
        raise S3Error("InvalidRequest", f"Value for {name} header is invalid.")


def _decoded(value: str) -> bytes | None:
    """Strict, canonical base64, else None: of two spellings of one digest only one compares equal."""
    try:
        digest = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest if base64.b64encode(digest).decode() == value else None

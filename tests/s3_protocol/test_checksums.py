"""Checksums against known values, zlib and botocore, in pieces and in parts."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

import pytest
from botocore import httpchecksum
from hypothesis import given
from hypothesis import strategies as st

from zerohop_proxy.checksums import (
    ALGORITHMS,
    DeclaredChecksum,
    check,
    composite_checksum,
    declared_checksum,
    declared_md5,
    full_object_checksum,
    header_name,
    multipart_etag,
    new_checksum,
)
from zerohop_proxy.s3_errors import S3Error

CRCS = ["CRC32", "CRC32C", "CRC64NVME"]


def of(algorithm: str, *pieces: bytes) -> str:
    checksum = new_checksum(algorithm)
    for piece in pieces:
        checksum.update(memoryview(piece))
    assert checksum.algorithm == algorithm
    return checksum.base64()


def code_of_headers(headers: dict[str, str], trailers: tuple[str, ...] = ()) -> str:
    with pytest.raises(S3Error) as caught:
        declared_checksum(headers, trailers)
    return caught.value.code


@given(st.sampled_from(ALGORITHMS), st.lists(st.binary(max_size=60), max_size=5))
def test_in_pieces_as_botocore_has_it(algorithm: str, pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    classes: Any = vars(httpchecksum)["_CHECKSUM_CLS"]
    if algorithm.lower() not in classes:  # botocore checks these, but does not compute them
        return
    reference = classes[algorithm.lower()]()
    assert of(algorithm, *pieces) == reference.handle(whole)


def test_known_values() -> None:
    assert of("CRC32", b"hello") == base64.b64encode(zlib.crc32(b"hello").to_bytes(4, "big")).decode()
    assert of("CRC32C", b"123456789") == base64.b64encode(bytes.fromhex("e3069283")).decode()
    assert of("CRC64NVME", b"123456789") == base64.b64encode(bytes.fromhex("ae8b14860a799888")).decode()
    assert of("MD5", b"") == "1B2M2Y8AsgTpgAmY7PhCfg=="
    assert of("SHA512", b"a") == base64.b64encode(hashlib.sha512(b"a").digest()).decode()
    # The canonical values of the empty string, as the xxHash project gives them.
    assert of("XXHASH64") == base64.b64encode(bytes.fromhex("ef46db3751d8e999")).decode()
    assert of("XXHASH3") == base64.b64encode(bytes.fromhex("2d06800538d394c2")).decode()
    assert of("XXHASH128") == base64.b64encode(bytes.fromhex("99aa06d3014798d86001c324468d497f")).decode()
    assert of("SHA1", b"a") == base64.b64encode(hashlib.sha1(b"a").digest()).decode()


@given(st.sampled_from(CRCS), st.lists(st.binary(max_size=60), min_size=1, max_size=5))
def test_full_object_from_parts(algorithm: str, parts: list[bytes]) -> None:
    of_parts = [(of(algorithm, part), len(part)) for part in parts]
    assert full_object_checksum(algorithm, of_parts) == of(algorithm, b"".join(parts))


def test_composite_and_etag() -> None:
    parts = [b"a" * 10, b"b" * 5]
    digests = b"".join(hashlib.sha256(part).digest() for part in parts)
    expected = base64.b64encode(hashlib.sha256(digests).digest()).decode() + "-2"
    assert composite_checksum("SHA256", [of("SHA256", part) for part in parts]) == expected
    md5s = [hashlib.md5(part) for part in parts]
    whole = hashlib.md5(b"".join(md5.digest() for md5 in md5s)).hexdigest()
    assert multipart_etag([md5.hexdigest() for md5 in md5s]) == f"{whole}-2"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_declared_in_a_header_or_a_trailer(algorithm: str) -> None:
    name, value = header_name(algorithm), of(algorithm, b"abc")
    computed = new_checksum(algorithm)
    computed.update(b"abc")
    in_header = declared_checksum({name: value, "x-amz-sdk-checksum-algorithm": algorithm})
    assert in_header == DeclaredChecksum(algorithm, value)
    assert check(in_header, computed) == value
    in_trailer = declared_checksum({"x-amz-trailer": name}, (name,))
    assert in_trailer == DeclaredChecksum(algorithm, None, name)
    assert check(in_trailer, computed, {name: value}) == value
    with pytest.raises(S3Error) as caught:
        check(in_trailer, computed, {name: of(algorithm, b"abd")})
    assert caught.value.code == "BadDigest"
    with pytest.raises(S3Error) as caught:
        check(in_trailer, computed, {})
    assert caught.value.code == "InvalidRequest"


def test_none_declared() -> None:
    assert declared_checksum({"x-amz-checksum-mode": "ENABLED", "x-amz-checksum-algorithm": "CRC32"}) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-sha1": "x"},
        {"x-amz-checksum-crc32": "AAAA"},
        {"x-amz-sdk-checksum-algorithm": "CRC32"},
        {"x-amz-checksum-crc32": "AAAAAB=="},  # not the canonical spelling
        {"x-amz-checksum-crc32": "not base64!"},
        {"x-amz-checksum-crc32": "ÿ"},
        {"x-amz-checksum-md4": "AAAAAA=="},
        {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-sdk-checksum-algorithm": "SHA1"},
    ],
)
def test_contradictions(headers: dict[str, str]) -> None:
    assert code_of_headers(headers) == "InvalidRequest"


def test_content_md5() -> None:
    digest = hashlib.md5(b"abc").digest()
    assert declared_md5({"content-md5": base64.b64encode(digest).decode()}) == digest
    assert declared_md5({}) is None
    for bad in ("", "abc", base64.b64encode(b"short").decode(), hashlib.md5(b"abc").hexdigest(), "ÿ" * 24):
        with pytest.raises(S3Error) as caught:
            declared_md5({"content-md5": bad})
        assert caught.value.code == "InvalidDigest"

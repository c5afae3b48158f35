"""Bodies in every mode over a real socket: what is good is stored as it was, what is not leaves nothing behind."""

from __future__ import annotations

import itertools
import os

import pytest
from tests.auth.signer import (
    CHUNKED,
    MODES,
    SHA256,
    SIGNED,
    SIGNED_TRAILER,
    UNSIGNED_TRAILER,
    Signer,
)
from tests.proxy.raw_http import RawConnection

_SIZES = [1, 5_000, 70_000, 1_000_000]  # within a chunk and inline, then several chunks, then streamed

_FAULTS = [
    (SHA256, "body", "XAmzContentSHA256Mismatch", 400),
    (SIGNED, "chunk", "SignatureDoesNotMatch", 403),
    (SIGNED, "signature", "SignatureDoesNotMatch", 403),
    (SIGNED_TRAILER, "chunk", "SignatureDoesNotMatch", 403),
    (SIGNED_TRAILER, "signature", "SignatureDoesNotMatch", 403),
    (SIGNED_TRAILER, "trailer", "BadDigest", 400),
    (SIGNED_TRAILER, "trailer-signature", "SignatureDoesNotMatch", 403),
    (UNSIGNED_TRAILER, "chunk", "BadDigest", 400),
    (UNSIGNED_TRAILER, "trailer", "BadDigest", 400),
]


@pytest.mark.parametrize("mode", MODES)
async def test_a_good_body_is_stored_without_its_framing(
    raw: RawConnection, signer: Signer, mode: str
) -> None:
    for size in (0, *_SIZES):
        body = os.urandom(size)
        put = await signer.send(raw, "PUT", "/bucket/key", body, mode=mode)
        assert put.status == 200, put.body
        got = await signer.send(raw, "GET", "/bucket/key")
        assert got.body == body
        assert "content-encoding" not in got.headers


@pytest.mark.parametrize(("mode", "spoil", "code", "status"), _FAULTS)
async def test_a_tampered_body_is_refused_and_stores_nothing(
    raw: RawConnection, signer: Signer, mode: str, spoil: str, code: str, status: int
) -> None:
    await signer.send(raw, "PUT", "/bucket/old", b"as it was")
    for size, key in itertools.product(_SIZES, ("new", "old")):
        async with RawConnection(raw.port) as connection:
            put = await signer.send(
                connection, "PUT", f"/bucket/{key}", os.urandom(size), mode=mode, spoil=spoil
            )
            assert (put.status, put.code) == (status, code)
    assert (await signer.send(raw, "GET", "/bucket/new")).code == "NoSuchKey"
    assert (await signer.send(raw, "GET", "/bucket/old")).body == b"as it was"


@pytest.mark.parametrize("mode", MODES)
async def test_a_body_that_ends_early_stores_nothing(raw: RawConnection, signer: Signer, mode: str) -> None:
    async with RawConnection(raw.port) as connection:
        await signer.send(connection, "PUT", "/bucket/key", os.urandom(300_000), mode=mode, spoil="cut")
        await connection.reader.read()  # until the proxy has seen the end
    assert (await signer.send(raw, "GET", "/bucket/key")).code == "NoSuchKey"


@pytest.mark.parametrize("mode", CHUNKED)
async def test_parts_are_verified_too(raw: RawConnection, signer: Signer, mode: str) -> None:
    made = await signer.send(raw, "POST", "/bucket/key", query="uploads=")
    upload = made.body.partition(b"<UploadId>")[2].partition(b"</UploadId>")[0].decode()
    for spoil, status in (("", 200), ("chunk", 403 if mode != UNSIGNED_TRAILER else 400)):
        async with RawConnection(raw.port) as connection:
            part = await signer.send(
                connection,
                "PUT",
                "/bucket/key",
                b"x" * 100_000,
                mode=mode,
                query=f"partNumber=1&uploadId={upload}",
                spoil=spoil,
            )
            assert part.status == status, part.body
    listed = await signer.send(raw, "GET", "/bucket/key", query=f"uploadId={upload}")
    assert listed.body.count(b"<Part>") == 1


async def test_signed_chunks_need_a_v4_signature(raw: RawConnection, signer: Signer) -> None:
    headers = signer.header_v2("PUT", "/bucket/key", amz=f"x-amz-content-sha256:{SIGNED}\n")
    answer = await raw.request(
        "PUT /bucket/key HTTP/1.1", *headers, f"x-amz-content-sha256: {SIGNED}", body=b"0\r\n\r\n"
    )
    assert (answer.status, answer.code) == (400, "InvalidRequest")

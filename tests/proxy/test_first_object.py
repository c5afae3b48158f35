"""One object through all parts: put, get, head, list, delete, in every size class of the data path."""

from __future__ import annotations

import hashlib
import os

import pytest
from tests.inprocess import InProcessCluster
from tests.proxy.raw_http import RawConnection

_SIZES = [0, 1, 8192, 8193, 65536, 131072, 131073, 4 << 20, (4 << 20) + 1, 11_000_001]


@pytest.mark.parametrize("size", _SIZES)
async def test_an_object_comes_back_as_it_went(raw: RawConnection, size: int) -> None:
    body = os.urandom(size)
    etag = f'"{hashlib.md5(body).hexdigest()}"'

    put = await raw.request(
        "PUT /bucket/key HTTP/1.1", *(["Content-Length: 0"] if not size else []), body=body
    )
    assert (put.status, put.headers["etag"]) == (200, etag)

    for _ in range(2):  # the second time from cached descriptors
        got = await raw.request("GET /bucket/key HTTP/1.1")
        assert got.status == 200
        assert got.body == body
        assert got.headers["etag"] == etag
        assert got.headers["content-length"] == str(size)

    head = await raw.request("HEAD /bucket/key HTTP/1.1")
    assert (head.status, head.headers["content-length"], head.headers["etag"]) == (200, str(size), etag)

    listed = await raw.request("GET /bucket?list-type=2 HTTP/1.1")
    assert b"<Key>key</Key>" in listed.body
    assert f"<Size>{size}</Size>".encode() in listed.body

    assert (await raw.request("DELETE /bucket/key HTTP/1.1")).status == 204
    gone = await raw.request("GET /bucket/key HTTP/1.1")
    assert (gone.status, gone.code) == (404, "NoSuchKey")


@pytest.mark.parametrize("size", [100, 20_000, 5_000_000])
@pytest.mark.parametrize("given", ["0-0", "7-49", "-10", "50-"])
async def test_a_range_is_that_part(raw: RawConnection, size: int, given: str) -> None:
    body = os.urandom(size)
    await raw.request("PUT /bucket/key HTTP/1.1", body=body)

    got = await raw.request("GET /bucket/key HTTP/1.1", f"Range: bytes={given}")

    first, _, last = given.partition("-")
    start = int(first) if first else size - int(last)
    stop = int(last) + 1 if first and last else size
    assert got.status == 206
    assert got.body == body[start:stop]
    assert got.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"


async def test_common_headers_are_on_every_answer(raw: RawConnection) -> None:
    for line in ("GET /bucket HTTP/1.1", "GET /bucket/nothing HTTP/1.1", "PATCH / HTTP/1.1"):
        answer = await raw.request(line)
        assert answer.headers["server"] == "zerohop"
        assert len(answer.headers["x-amz-request-id"]) == 16
        assert answer.headers["x-amz-id-2"]
        assert answer.headers["date"].endswith("GMT")
        assert answer.headers["content-type"] == "application/xml"
        assert len(answer.body) == int(answer.headers["content-length"])


async def test_two_proxies_serve_one_namespace(cluster: InProcessCluster, raw: RawConnection) -> None:
    await raw.request("PUT /bucket/key HTTP/1.1", body=b"x" * 100_000)
    async with RawConnection(await cluster.add_proxy()) as other:
        assert (await other.request("GET /bucket/key HTTP/1.1")).body == b"x" * 100_000

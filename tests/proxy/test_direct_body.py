"""Bodies that are long enough to be read past the HTTP parser: the connection goes on as if they had not been."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os

import pytest
from tests.inprocess import InProcessCluster, in_process_cluster
from tests.proxy.raw_http import RawConnection

from zerohop_proxy.direct_body import DIRECT_BYTES

_BODY = os.urandom(5 * DIRECT_BYTES + 12_345)
_PUT = f"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(_BODY)}\r\n"
_GET = b"GET /bucket/key HTTP/1.1\r\nHost: localhost\r\n\r\n"
_HEAD = b"HEAD /bucket HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("with_head", [0, 1, 100_000, DIRECT_BYTES, len(_BODY) - 1, len(_BODY)])
async def test_the_parser_may_have_any_part_of_it(raw: RawConnection, with_head: int) -> None:
    await raw.send(_PUT.encode() + b"\r\n" + _BODY[:with_head])
    await raw.send(_BODY[with_head:])
    assert (await raw.response("PUT")).headers["etag"] == f'"{hashlib.md5(_BODY).hexdigest()}"'
    await raw.send(_GET)
    assert (await raw.response()).body == _BODY


async def test_it_may_come_in_small_pieces(raw: RawConnection) -> None:
    body = _BODY[: DIRECT_BYTES + 1]
    await raw.send(f"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n")
    for start in range(0, len(body), 1_448):
        await raw.send(body[start : start + 1_448])
        await asyncio.sleep(0)  # the proxy runs on this loop
    assert (await raw.response("PUT")).status == 200
    await raw.send(_GET)
    assert (await raw.response()).body == body


async def test_requests_right_behind_it_are_answered_in_order(raw: RawConnection) -> None:
    put = _PUT.encode() + b"\r\n" + _BODY
    sending = asyncio.create_task(raw.send(put + _GET + put + _HEAD + _GET))
    assert (await raw.response("PUT")).status == 200
    assert (await raw.response()).body == _BODY
    assert (await raw.response("PUT")).status == 200
    assert (await raw.response("HEAD")).status == 200
    assert (await raw.response()).body == _BODY
    await sending


async def test_it_is_sent_after_a_continue(raw: RawConnection) -> None:
    await raw.send(f"{_PUT}Expect: 100-continue\r\n\r\n")
    assert (await raw.response("PUT")).status == 100
    await raw.send(_BODY + _GET)
    assert (await raw.response("PUT")).status == 200
    assert (await raw.response()).body == _BODY


async def test_its_framing_is_taken_off(raw: RawConnection) -> None:
    pieces = [_BODY[:3_000_000], _BODY[3_000_000:]]
    framed = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"
    answer = await raw.request(
        "PUT /bucket/key HTTP/1.1",
        "Content-Encoding: aws-chunked",
        "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        f"x-amz-decoded-content-length: {len(_BODY)}",
        body=framed,
    )
    assert answer.status == 200
    await raw.send(_GET)
    assert (await raw.response()).body == _BODY


async def test_one_that_is_not_what_it_should_be_keeps_the_connection(raw: RawConnection) -> None:
    wrong = base64.b64encode(hashlib.md5(b"something else").digest()).decode()
    answer = await raw.request("PUT /bucket/key HTTP/1.1", f"Content-MD5: {wrong}", body=_BODY)
    assert (answer.status, answer.code) == (400, "BadDigest")
    await raw.send(_GET)
    assert (await raw.response()).status == 404


async def test_broken_framing_is_answered(cluster: InProcessCluster, raw: RawConnection) -> None:
    async with RawConnection(cluster.port) as broken:
        answer = await broken.request(
            "PUT /bucket/key HTTP/1.1",
            "Content-Encoding: aws-chunked",
            "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            f"x-amz-decoded-content-length: {len(_BODY)}",
            body=b"nonsense\r\n" + _BODY,
        )
        assert (answer.status, answer.headers["connection"]) == (400, "close")
    await raw.send(_GET)
    assert (await raw.response()).status == 404


async def test_one_that_stalls_is_cut_and_stores_nothing() -> None:
    async with in_process_cluster(proxy={"min_progress_timeout_s": 0.2}) as cluster:
        async with RawConnection(cluster.port) as stalling:
            await stalling.request("PUT /bucket HTTP/1.1", "Content-Length: 0")
            await stalling.send(_PUT.encode() + b"\r\n" + _BODY[:-1])
            assert await stalling.is_closed()
        async with RawConnection(cluster.port) as other:
            assert (await other.request("HEAD /bucket/key HTTP/1.1")).status == 404


async def test_a_trickle_is_no_progress() -> None:
    pace = {"min_progress_timeout_s": 0.3, "min_progress_bytes": 1000}
    async with in_process_cluster(proxy=pace) as cluster, RawConnection(cluster.port) as raw:
        await raw.request("PUT /bucket HTTP/1.1", "Content-Length: 0")
        await raw.send(_PUT.encode() + b"\r\n" + _BODY[:DIRECT_BYTES])
        cut = asyncio.create_task(raw.is_closed())
        async with asyncio.timeout(20):
            while not cut.done():
                raw.writer.write(b"x")
                await asyncio.wait((cut,), timeout=0.02)
        assert cut.result()


async def test_a_drain_does_not_wait_for_the_rest_for_ever() -> None:
    async with in_process_cluster(proxy={"drain_s": 0.1}) as cluster, RawConnection(cluster.port) as hanging:
        await hanging.request("PUT /bucket HTTP/1.1", "Content-Length: 0")
        await hanging.send(_PUT.encode() + b"\r\n" + _BODY[:-1])
        await cluster.stop("proxy-0")
        assert await hanging.is_closed()


async def test_a_stopping_proxy_takes_the_rest(raw: RawConnection, cluster: InProcessCluster) -> None:
    await raw.send(_PUT.encode() + b"\r\n" + _BODY[: DIRECT_BYTES * 2])
    port = await cluster.add_proxy()
    async with RawConnection(port) as idle:
        assert (await idle.request("HEAD /bucket HTTP/1.1")).status == 200
        stopping = asyncio.create_task(cluster.stop("proxy-0"))
        await raw.send(_BODY[DIRECT_BYTES * 2 :])
        answer = await raw.response("PUT")
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        await stopping
        assert (await idle.request("GET /bucket/key HTTP/1.1")).body == _BODY

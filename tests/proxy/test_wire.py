"""What goes over the connection besides whole, well-behaved requests."""

from __future__ import annotations

import asyncio

import pytest
from tests.inprocess import InProcessCluster
from tests.proxy.raw_http import RawConnection


async def test_continue_comes_when_the_request_will_be_accepted(raw: RawConnection) -> None:
    await raw.send(
        "PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    )
    assert (await raw.response("PUT")).status == 100
    await raw.send("hello")
    assert (await raw.response("PUT")).status == 200
    assert (await raw.request("GET /bucket/key HTTP/1.1")).body == b"hello"


@pytest.mark.parametrize(
    "line, status",
    [
        ("PUT /no-such-bucket/key HTTP/1.1", 404),
        ("PUT /bucket/key?partNumber=1&uploadId=none HTTP/1.1", 404),
        ("PUT /Bad_Bucket/key HTTP/1.1", 400),
    ],
)
async def test_a_refused_request_gets_no_continue(raw: RawConnection, line: str, status: int) -> None:
    await raw.send(
        f"{line}\r\nHost: localhost\r\nContent-Length: 100000000000\r\nExpect: 100-continue\r\n\r\n".replace(
            "100000000000", "1000000"
        )
    )
    answer = await raw.response("PUT")
    assert answer.status == status
    assert answer.headers["connection"] == "close"
    assert await raw.is_closed()


async def test_a_refused_body_is_not_read_to_its_end(raw: RawConnection) -> None:
    await raw.send(
        "PUT /no-such-bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000000\r\n\r\n"
    )
    answer = await raw.response("PUT")
    assert (answer.status, answer.headers["connection"]) == (404, "close")
    with pytest.raises(ConnectionError):
        await raw.send(bytes(1_000_000_000))


async def test_a_small_refused_body_keeps_the_connection(raw: RawConnection) -> None:
    assert (await raw.request("PUT /no-such-bucket/key HTTP/1.1", body=b"x" * 20_000)).status == 404
    assert (await raw.request("HEAD /bucket HTTP/1.1")).status == 200


async def test_http_1_0_closes_unless_asked(raw: RawConnection) -> None:
    kept = await raw.request("GET /bucket HTTP/1.0", "Connection: keep-alive")
    assert (kept.status, kept.headers["connection"]) == (200, "keep-alive")
    closed = await raw.request("GET /bucket HTTP/1.0")
    assert (closed.status, closed.headers["connection"]) == (200, "close")
    assert await raw.is_closed()


async def test_http_1_0_gets_no_continue(raw: RawConnection) -> None:
    answer = await raw.request("PUT /bucket/key HTTP/1.0", "Expect: 100-continue", body=b"hello")
    assert answer.status == 200


async def test_pipelined_requests_are_answered_in_order(raw: RawConnection) -> None:
    sizes = [10, 300_000, 0, 5_000_000, 20]
    for number, size in enumerate(sizes):
        put = f"PUT /bucket/{number} HTTP/1.1"
        await raw.request(put, *([] if size else ["Content-Length: 0"]), body=bytes([number]) * size)
    await raw.send(
        "".join(f"GET /bucket/{number} HTTP/1.1\r\nHost: localhost\r\n\r\n" for number in range(len(sizes)))
    )
    for number, size in enumerate(sizes):
        assert (await raw.response()).body == bytes([number]) * size


async def test_an_absolute_target_means_its_path(raw: RawConnection) -> None:
    await raw.request("PUT http://localhost/bucket/key HTTP/1.1", body=b"x")
    assert (await raw.request("GET /bucket/key HTTP/1.1")).body == b"x"


async def test_the_raw_path_names_the_key(raw: RawConnection) -> None:
    keys = ["a//b", "a%2Fb", "a/../b", "a/./b", "a%00b", "%2F", "a+b", "a%20b", "%E2%82%AC"]
    for key in keys:
        assert (await raw.request(f"PUT /bucket/{key} HTTP/1.1", body=key.encode())).status == 200
    same = {"a%2Fb": "a/b"}
    for key in keys:
        got = await raw.request(f"GET /bucket/{same.get(key, key)} HTTP/1.1")
        assert got.body == key.encode()


@pytest.mark.parametrize(
    "lines",
    [
        "GET /bucket HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "GET /bucket HTTP/1.1\r\n\r\n",
        "NONSENSE\r\n\r\n",
    ],
    ids=["two hosts", "two lengths", "no host", "no request line"],
)
async def test_what_cannot_be_parsed_is_a_bad_request(raw: RawConnection, lines: str) -> None:
    await raw.send(lines)
    answer = await raw.response()
    assert answer.status == 400
    assert answer.code == "BadRequest"
    assert len(answer.headers["x-amz-request-id"]) == 16
    assert answer.headers["x-amz-request-id"].encode() in answer.body
    assert answer.headers["x-amz-id-2"].encode() in answer.body
    assert await raw.is_closed()


@pytest.mark.parametrize(
    "lines",
    [
        "GET /" + "x" * 40_000 + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /bucket HTTP/1.1\r\nHost: localhost\r\nX-Long: " + "x" * 20_000 + "\r\n\r\n",
        "GET /bucket HTTP/1.1\r\nHost: localhost\r\n" + "x" * 20_000 + ": x\r\n\r\n",
    ],
    ids=["target", "value", "name"],
)
async def test_a_line_of_the_head_that_is_too_long(raw: RawConnection, lines: str) -> None:
    await raw.send(lines)
    answer = await raw.response()
    assert (answer.status, answer.code) == (400, "RequestHeaderSectionTooLarge")
    assert await raw.is_closed()


async def test_a_broken_chunked_body_stores_nothing(cluster: InProcessCluster, raw: RawConnection) -> None:
    async with RawConnection(cluster.port) as other:
        await other.send("PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        await other.send("5\r\nhello\r\nnonsense\r\n")
        assert (await other.response("PUT")).status == 400
    assert (await raw.request("GET /bucket/key HTTP/1.1")).status == 404


@pytest.mark.parametrize("size", [5_000, 5_000_000])
async def test_a_cut_body_stores_nothing(cluster: InProcessCluster, raw: RawConnection, size: int) -> None:
    async with RawConnection(cluster.port) as cut:
        head = f"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
        await cut.send(head.encode() + bytes(size - 1))
    assert (await raw.request("GET /bucket/key HTTP/1.1")).status == 404


async def test_a_chunked_body_is_stored(raw: RawConnection) -> None:
    for size in (0, 10, 8192, 8193, 3_000_000):
        body = bytes(range(256)) * (size // 256 + 1)
        body = body[:size]
        await raw.send("PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, size, 70_000):
            piece = body[start : start + 70_000]
            await raw.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        await raw.send(b"0\r\n\r\n")
        assert (await raw.response("PUT")).status == 200
        assert (await raw.request("GET /bucket/key HTTP/1.1")).body == body


async def test_a_gzip_body_is_stored_as_it_comes(raw: RawConnection) -> None:
    await raw.request("PUT /bucket/key HTTP/1.1", "Content-Encoding: gzip", body=b"not gzip at all")
    got = await raw.request("GET /bucket/key HTTP/1.1")
    assert (got.body, got.headers["content-encoding"]) == (b"not gzip at all", "gzip")


async def test_a_client_that_leaves_does_not_hurt(cluster: InProcessCluster, raw: RawConnection) -> None:
    await raw.request("PUT /bucket/key HTTP/1.1", body=bytes(20_000_000))
    for _ in range(3):
        async with RawConnection(cluster.port) as leaving:
            await leaving.send("GET /bucket/key HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await leaving.reader.readexactly(1_000_000)
    assert len((await raw.request("GET /bucket/key HTTP/1.1")).body) == 20_000_000


async def test_head_and_no_content_have_no_body(raw: RawConnection) -> None:
    await raw.send(
        "HEAD /bucket/none HTTP/1.1\r\nHost: localhost\r\n\r\nDELETE /bucket/none HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    assert (await raw.response("HEAD")).status == 404
    deleted = await raw.response("DELETE")
    assert deleted.status == 204
    assert "content-length" not in deleted.headers
    assert (await raw.request("HEAD /bucket HTTP/1.1")).status == 200


async def test_a_header_cannot_be_smuggled_by_an_override(raw: RawConnection) -> None:
    await raw.request("PUT /bucket/key HTTP/1.1", body=b"x")
    answer = await raw.request("GET /bucket/key?response-content-type=a%0D%0AX-Evil:%20b HTTP/1.1")
    assert answer.status >= 400
    assert "x-evil" not in answer.headers


async def test_a_stopping_proxy_lets_a_request_finish(cluster: InProcessCluster, raw: RawConnection) -> None:
    await raw.send(
        "PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000\r\n\r\n" + "x" * 10_000
    )
    port = await cluster.add_proxy()
    async with RawConnection(port) as idle:
        assert (await idle.request("HEAD /bucket HTTP/1.1")).status == 200
        stopping = asyncio.create_task(cluster.stop("proxy-0"))
        await raw.send("x" * 10_000)
        answer = await raw.response("PUT")
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        await stopping
        assert (await idle.request("GET /bucket/key HTTP/1.1")).body == b"x" * 20_000

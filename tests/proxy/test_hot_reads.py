"""Reads that are answered as they come: the same answers as the long way gives, and never one that is out of date."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from tests.inprocess import InProcessCluster, in_process_cluster
from tests.proxy.raw_http import RawConnection, RawResponse
from tests.proxy.users import add_user, remove_user, s3_client

from zerohop.model import UserRecord

KEY = "/bucket/hot"
VARYING = ("date", "x-amz-request-id")


@pytest.fixture
async def cluster() -> AsyncIterator[InProcessCluster]:
    async with in_process_cluster(master={"kv_engine": "sqlite"}) as running:
        yield running


async def get(raw: RawConnection, path: str = KEY, *headers: str, method: str = "GET") -> RawResponse:
    return await raw.request(f"{method} {path} HTTP/1.1", *headers)


async def put(raw: RawConnection, body: bytes, path: str = KEY, *headers: str) -> None:
    length = () if body else ("Content-Length: 0",)
    assert (await raw.request(f"PUT {path} HTTP/1.1", *headers, *length, body=body)).status == 200


def same(answer: RawResponse) -> tuple[int, dict[str, str], bytes]:
    """The answer without what differs from one request to the next."""
    return (
        answer.status,
        {name: value for name, value in answer.headers.items() if name not in VARYING},
        answer.body,
    )


@pytest.mark.parametrize("size", [0, 5, 4096, 16 << 10, 64 << 10, 128 << 10])
async def test_nobody_is_asked(cluster: InProcessCluster, raw: RawConnection, size: int) -> None:
    await put(raw, b"x" * size, KEY, "x-amz-meta-colour: blue", "Content-Type: text/plain")
    first, head = await get(raw), await get(raw, method="HEAD")
    async with cluster.without("master"):
        for _ in range(3):  # parsed, and as a head that came before
            again = await get(raw)
            assert same(again) == same(first)
            assert again.body == b"x" * size
            assert again.headers["x-amz-request-id"] != first.headers["x-amz-request-id"]
            assert same(await get(raw, method="HEAD")) == same(head)
        async with RawConnection(cluster.port) as other:
            assert same(await get(other)) == same(first)
    assert same(await get(raw)) == same(first)


async def test_ranges_and_conditions_go_the_long_way_with_the_same_knowledge(
    cluster: InProcessCluster, raw: RawConnection
) -> None:
    await put(raw, b"0123456789")
    etag = (await get(raw)).headers["etag"]
    async with cluster.without("master"):
        for _ in range(2):
            assert (await get(raw, KEY, "Range: bytes=2-4")).body == b"234"
            assert (await get(raw, KEY, f"If-None-Match: {etag}")).status == 304
            assert (await get(raw, KEY, 'If-Match: "other"')).status == 412
            assert (await get(raw)).body == b"0123456789"


async def test_a_change_by_another_proxy_is_seen_at_once(
    cluster: InProcessCluster, raw: RawConnection
) -> None:
    port = await cluster.add_proxy()
    async with RawConnection(port) as other:
        for number in range(50):
            body = b"%d" % number
            await put(other if number % 2 else raw, body)
            for reader in (raw, other, raw):
                assert (await get(reader)).body == body
        assert (await other.request(f"DELETE {KEY} HTTP/1.1")).status == 204
        assert (await get(raw)).code == "NoSuchKey"
        await put(other, b"again")
        assert (await get(raw)).body == b"again"


async def test_a_bucket_that_was_made_anew_shows_nothing_of_the_old_one(
    cluster: InProcessCluster, raw: RawConnection
) -> None:
    port = await cluster.add_proxy()
    await put(raw, b"old")
    assert (await get(raw)).body == b"old"
    assert (await get(raw)).body == b"old"
    async with RawConnection(port) as other:
        await other.request(f"DELETE {KEY} HTTP/1.1")
        assert (await other.request("DELETE /bucket HTTP/1.1")).status == 204
        assert (await get(raw)).code == "NoSuchBucket"
        assert (await other.request("PUT /bucket HTTP/1.1", "Content-Length: 0")).status == 200
        assert (await get(raw)).code == "NoSuchKey"


async def test_tags_are_counted_in_the_next_answer(cluster: InProcessCluster, raw: RawConnection) -> None:
    await put(raw, b"tagged")
    assert "x-amz-tagging-count" not in (await get(raw)).headers
    assert "x-amz-tagging-count" not in (await get(raw)).headers
    tags = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
    await put(raw, tags, f"{KEY}?tagging")
    assert (await get(raw)).headers["x-amz-tagging-count"] == "1"


async def test_a_presigned_url_ends_with_its_user(cluster: InProcessCluster, user: UserRecord) -> None:
    s3 = s3_client(cluster, user)

    def prepare() -> str:
        s3.create_bucket(Bucket="alices")
        s3.put_object(Bucket="alices", Key="k", Body=b"hello")
        url = s3.generate_presigned_url("get_object", Params={"Bucket": "alices", "Key": "k"})
        return re.sub(r"^http://[^/]+", "", url)

    target = await asyncio.to_thread(prepare)
    async with RawConnection(cluster.port) as raw:

        async def fetch(path: str) -> RawResponse:
            return await raw.request(f"GET {path} HTTP/1.1", host=f"127.0.0.1:{cluster.port}")

        for _ in range(3):
            assert (await fetch(target)).body == b"hello"
        forged = target[:-1] + ("0" if target[-1] != "0" else "1")
        assert (await fetch(forged)).code == "SignatureDoesNotMatch"
        await remove_user(cluster, "alice")
        for _ in range(2):
            assert (await fetch(target)).code == "InvalidAccessKeyId"


async def test_who_may_not_read_gets_nothing_of_what_others_read(
    cluster: InProcessCluster, user: UserRecord
) -> None:
    alice, bob = s3_client(cluster, user), s3_client(cluster, await add_user(cluster, "bob"))

    def work() -> None:
        alice.create_bucket(Bucket="alices")
        alice.put_object(Bucket="alices", Key="k", Body=b"secret")
        for _ in range(3):
            assert alice.get_object(Bucket="alices", Key="k")["Body"].read() == b"secret"
            with pytest.raises(ClientError) as error:
                bob.get_object(Bucket="alices", Key="k")
            assert error.value.response["Error"]["Code"] == "AccessDenied"

    await asyncio.to_thread(work)


async def test_requests_in_one_piece_in_halves_and_in_a_row(
    cluster: InProcessCluster, raw: RawConnection
) -> None:
    await put(raw, b"body")
    head = f"GET {KEY} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    await get(raw)
    for _ in range(3):
        await raw.send(head)
        assert (await raw.response()).body == b"body"
        for cut in (1, len(head) // 2, len(head) - 1):
            await raw.send(head[:cut])
            await get_elsewhere(cluster)  # so that the halves come apart
            await raw.send(head[cut:])
            assert (await raw.response()).body == b"body"
        await raw.send(head * 3)
        for _ in range(3):
            assert (await raw.response()).body == b"body"
    await raw.send(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    answer = await raw.response()
    assert (answer.body, answer.headers["connection"]) == (b"body", "close")
    assert await raw.is_closed()


async def get_elsewhere(cluster: InProcessCluster) -> None:
    async with RawConnection(cluster.port) as other:
        assert (await get(other)).status == 200


async def test_an_old_client_is_answered_in_its_way(cluster: InProcessCluster, raw: RawConnection) -> None:
    await put(raw, b"body")
    await get(raw)
    for _ in range(2):
        answer = await raw.request(f"GET {KEY} HTTP/1.0", "Connection: keep-alive")
        assert (answer.body, answer.headers["connection"]) == (b"body", "keep-alive")


async def test_what_only_another_handler_may_decide_is_left_to_it(
    cluster: InProcessCluster, raw: RawConnection
) -> None:
    await put(raw, b"body")
    for _ in range(2):
        assert (await get(raw)).status == 200
        assert (await get(raw, KEY, "x-amz-expected-bucket-owner: 1")).code == "AccessDenied"
        refused = await get(raw, KEY, "x-amz-server-side-encryption-customer-algorithm: AES256")
        assert refused.code == "InvalidRequest"
        assert (await get(raw, KEY, "Origin: http://evil.example")).code == "AccessDenied"
        assert (await raw.request(f"GET {KEY} HTTP/1.1", host="evil.example")).code == "AccessDenied"


async def test_a_client_that_takes_nothing_is_cut_off() -> None:
    proxy = {"min_progress_timeout_s": 0.2}
    async with in_process_cluster(master={"kv_engine": "sqlite"}, proxy=proxy) as cluster:
        async with RawConnection(cluster.port) as raw:
            await raw.request("PUT /bucket HTTP/1.1", "Content-Length: 0")
            await put(raw, b"x" * (128 << 10))
            for _ in range(2):
                assert len((await get(raw)).body) == 128 << 10
        stalled = socket.socket()
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(stalled, ("127.0.0.1", cluster.port))
        head = f"GET {KEY} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

        async def ask_and_never_read() -> None:
            while True:
                await loop.sock_sendall(stalled, head)
                await asyncio.sleep(0)

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(ask_and_never_read(), 20)
        stalled.close()


async def test_a_proxy_that_drains_closes_after_its_answer(
    cluster: InProcessCluster, raw: RawConnection
) -> None:
    await put(raw, b"body")
    for _ in range(2):
        await get(raw)
    await cluster.stop("proxy-0")
    assert await raw.is_closed()


async def test_each_has_its_line_in_the_access_log(tmp_path: Path) -> None:
    log = tmp_path / "access"
    proxy = {"access_log": True, "access_log_file": str(log)}
    async with (
        in_process_cluster(master={"kv_engine": "sqlite"}, proxy=proxy) as cluster,
        RawConnection(cluster.port) as raw,
    ):
        await raw.request("PUT /bucket HTTP/1.1", "Content-Length: 0")
        await put(raw, b"body")
        for _ in range(3):
            await get(raw)
    reads = [line for line in log.read_text().splitlines() if "operation=GetObject" in line]
    assert len(reads) == 3
    facts = [dict(pair.split("=", 1) for pair in line.split()[1:]) for line in reads]
    assert len({fact.pop("request") for fact in facts}) == 3
    for fact in facts:
        del fact["first_byte_ms"], fact["total_ms"]
    assert facts[0] == facts[1] == facts[2]
    assert (facts[0]["bytes_out"], facts[0]["source"], facts[0]["key"]) == ("4", "INLINE", "hot")


async def test_without_room_for_answers_every_read_asks() -> None:
    async with (
        in_process_cluster(master={"kv_engine": "sqlite"}, proxy={"known_objects_bytes": 0}) as cluster,
        RawConnection(cluster.port) as raw,
    ):
        await raw.request("PUT /bucket HTTP/1.1", "Content-Length: 0")
        await put(raw, b"body")
        for _ in range(3):
            assert (await get(raw)).body == b"body"

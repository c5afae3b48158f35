"""What a proxy does to clients that stall, flood or hog, and how it sends what it cannot pass as a descriptor."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest
from tests.inprocess import InProcessCluster, in_process_cluster
from tests.proxy.raw_http import RawConnection

from zerohop_proxy.sendfile import TransportSender

_PUT = "PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n"


async def _make_bucket(cluster: InProcessCluster) -> None:
    async with RawConnection(cluster.port) as connection:
        assert (await connection.request("PUT /bucket HTTP/1.1", "Content-Length: 0")).status == 200


async def test_a_body_that_stalls_is_cut_and_stores_nothing() -> None:
    async with in_process_cluster(proxy={"min_progress_timeout_s": 0.1}) as cluster:
        await _make_bucket(cluster)
        async with RawConnection(cluster.port) as stalling:
            await stalling.send(_PUT.format(100_000) + "x" * 50_000)
            assert await stalling.is_closed()
        async with RawConnection(cluster.port) as other:
            assert (await other.request("HEAD /bucket/key HTTP/1.1")).status == 404


async def test_a_reader_that_stalls_is_cut() -> None:
    size = 60_000_000
    async with in_process_cluster(proxy={"min_progress_timeout_s": 0.2}) as cluster:
        await _make_bucket(cluster)
        async with RawConnection(cluster.port) as writer:
            await writer.request("PUT /bucket/key HTTP/1.1", body=bytes(size))
            await writer.request("GET /bucket/key HTTP/1.1")  # opens the links to the worker
        before = _open_descriptors()
        with socket.create_connection(("127.0.0.1", cluster.port)) as stalling:
            stalling.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(stalling, b"GET /bucket/key HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await loop.sock_recv(stalling, 1000)
            async with asyncio.timeout(10):
                # The duplicate of the socket is closed: the end of the stream can be seen behind what was sent.
                while _open_descriptors() > before + 1:
                    await asyncio.sleep(0)
            received = 1000
            async with asyncio.timeout(10):
                while data := await _received(stalling):
                    received += len(data)
            assert received < size


async def _received(sock: socket.socket) -> bytes:
    try:
        return await asyncio.get_running_loop().sock_recv(sock, 1 << 20)
    except ConnectionError:
        return b""


def _open_descriptors() -> int:
    """Sockets of this process."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
        except OSError:
            continue
    return count


async def test_too_many_requests_are_told_to_slow_down() -> None:
    async with in_process_cluster(proxy={"max_inflight_requests": 1}) as cluster:
        await _make_bucket(cluster)
        async with RawConnection(cluster.port) as slow, RawConnection(cluster.port) as other:
            await slow.send(_PUT.format(20_000) + "x" * 10_000)
            refused = await _eventually(other, 503)
            assert refused == "SlowDown"
            await slow.send("x" * 10_000)
            assert (await slow.response("PUT")).status == 200
            assert (await other.request("HEAD /bucket/key HTTP/1.1")).status == 200


async def _eventually(connection: RawConnection, status: int) -> str:
    async with asyncio.timeout(10):
        while True:
            answer = await connection.request("GET /bucket HTTP/1.1")
            if answer.status == status:
                return answer.code


async def test_too_many_connections_are_turned_away() -> None:
    async with (
        in_process_cluster(proxy={"max_connections": 1}) as cluster,
        RawConnection(cluster.port) as first,
    ):
        assert (await first.request("GET / HTTP/1.1")).status == 200
        async with RawConnection(cluster.port) as second:
            answer = await second.response()
            assert (answer.status, answer.code) == (503, "SlowDown")
            assert await second.is_closed()
        assert (await first.request("GET / HTTP/1.1")).status == 200


async def test_idle_and_silent_connections_are_closed() -> None:
    async with in_process_cluster(proxy={"header_timeout_s": 0.1, "idle_timeout_s": 0.2}) as cluster:
        async with RawConnection(cluster.port) as silent:
            await silent.send("GET / HTTP/1.1\r\nHost: local")
            assert await silent.is_closed()
        async with RawConnection(cluster.port) as idle:
            assert (await idle.request("GET / HTTP/1.1")).status == 200
            assert await idle.is_closed()


async def test_a_drain_has_an_end() -> None:
    async with in_process_cluster(proxy={"drain_s": 0.1}) as cluster:
        await _make_bucket(cluster)
        async with RawConnection(cluster.port) as hanging:
            await hanging.send(_PUT.format(20_000) + "x" * 10_000)
            await cluster.stop("proxy-0")
            assert await hanging.is_closed()


@pytest.mark.parametrize("size", [20_000, 5_000_001, 13_000_000])
async def test_without_descriptors_the_bytes_are_relayed(
    cluster: InProcessCluster, raw: RawConnection, size: int
) -> None:
    (cluster.folder / "blocks.sock").unlink()
    body = os.urandom(size)
    await raw.request("PUT /bucket/key HTTP/1.1", body=body)
    assert (await raw.request("GET /bucket/key HTTP/1.1")).body == body
    some = await raw.request("GET /bucket/key HTTP/1.1", "Range: bytes=10000-19999")
    assert some.body == body[10000:20000]


async def test_from_a_disk_tier_too(tmp_path: Path) -> None:
    async with in_process_cluster(worker={"mem_quota": 0}) as cluster:
        await _make_bucket(cluster)
        async with RawConnection(cluster.port) as raw:
            for size in (20_000, 200_000, 9_000_000):
                body = os.urandom(size)
                await raw.request("PUT /bucket/key HTTP/1.1", body=body)
                for _ in range(2):
                    assert (await raw.request("GET /bucket/key HTTP/1.1")).body == body


@pytest.mark.parametrize("has_descriptors", [True, False])
async def test_through_the_transport_as_under_tls(
    cluster: InProcessCluster, raw: RawConnection, monkeypatch: pytest.MonkeyPatch, has_descriptors: bool
) -> None:
    monkeypatch.setattr("zerohop_proxy.body_out.SocketSender", TransportSender)
    if not has_descriptors:
        (cluster.folder / "blocks.sock").unlink()
    body = os.urandom(9_000_001)
    await raw.request("PUT /bucket/key HTTP/1.1", body=body)
    assert (await raw.request("GET /bucket/key HTTP/1.1")).body == body


async def test_an_expected_empty_body(raw: RawConnection) -> None:
    await raw.send(
        "PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n"
    )
    statuses = [(await raw.response("PUT")).status]
    if statuses == [100]:
        statuses.append((await raw.response("PUT")).status)
    assert statuses[-1] == 200

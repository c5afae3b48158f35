"""Any number of readers of a cold object: each byte is asked of the origin once."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from tests.mounts.mounted import BLOCK_BYTES, Mounted, Site, noise
from tests.mounts.remote import ACCESS_KEY, SECRET_KEY, Remote, eventually
from tests.support.real_cluster import RealCluster

from zerohop.model import WritePolicy

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_OBJECT_BYTES = 8 << 20
_OPEN_AT_ONCE = 250
"""Connections, of each of which a test has two ends."""


async def _read(url: str, body: bytes, start: int, stop: int, slots: asyncio.Semaphore) -> None:
    """A GET of bytes [start, stop) by hand, since a thousand clients of an SDK cost more than what is tested."""
    parts = urlsplit(url)
    async with slots:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            head = f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            head += f"Range: bytes={start}-{stop - 1}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 206"), answer
            position = start
            while data := await reader.read(1 << 18):
                assert data == body[position : position + len(data)]
                position += len(data)
            assert position == stop
        finally:
            writer.close()
            await writer.wait_closed()


async def _read_all(urls: list[str], body: bytes, spans: list[tuple[int, int]]) -> None:
    slots = asyncio.Semaphore(_OPEN_AT_ONCE)
    async with asyncio.TaskGroup() as group:
        for number, (start, stop) in enumerate(spans):
            group.create_task(_read(urls[number % len(urls)], body, start, stop, slots))


def _urls(mounted: Mounted, key: str) -> list[str]:
    clients: list[S3Client] = [
        mounted.site.client(endpoint=endpoint) for endpoint in mounted.site.cluster.endpoints
    ]
    params: dict[str, Any] = {"Bucket": mounted.name, "Key": key}
    return [client.generate_presigned_url("get_object", Params=params) for client in clients]


@pytest.mark.parametrize(
    "readers",
    [200, pytest.param(1000, marks=pytest.mark.soak(cost_s=60))],
)
def test_one_fetch_of_each_byte(mounted: Mounted, remote: Remote, readers: int) -> None:
    body = mounted.place("file", noise(_OBJECT_BYTES))
    spans = [(0, len(body))] * readers
    asyncio.run(_read_all(_urls(mounted, "file"), body, spans))
    assert remote.fetched("file") == len(body)
    # The object was not known: one request tells of it and brings all its bytes.
    assert len(remote.exchanges("file")) == 1


def test_readers_who_start_elsewhere(mounted: Mounted, remote: Remote) -> None:
    body = mounted.place("file", noise(_OBJECT_BYTES))
    spans = [(start, len(body)) for start in range(0, len(body), 300_000)]
    asyncio.run(_read_all(_urls(mounted, "file"), body, spans))
    eventually(lambda: remote.fetched("file") >= len(body), "the front is fetched as well")
    assert remote.fetched("file") == len(body)


def test_adjacent_blocks_are_one_request(mounted: Mounted, remote: Remote) -> None:
    body = mounted.place("file", noise(_OBJECT_BYTES))
    middle = 3 * BLOCK_BYTES
    assert (
        mounted.read("file", Range=f"bytes={middle}-{middle + BLOCK_BYTES - 1}")
        == body[middle:][:BLOCK_BYTES]
    )
    remote.forget()
    assert mounted.read("file") == body
    behind = middle + BLOCK_BYTES
    assert [(one.range, one.body_bytes) for one in remote.exchanges("file", "GET")] == [
        (f"0-{middle - 1}", middle),
        (f"{behind}-{len(body) - 1}", len(body) - behind),
    ]


def test_a_small_range_does_not_wait_for_its_block(mounted: Mounted, remote: Remote) -> None:
    body = mounted.place("file", noise(2 * BLOCK_BYTES))
    remote.do(remote.proxy.only, "GET")
    remote.do(remote.proxy.stall_after, 3000)
    start = BLOCK_BYTES // 2
    assert mounted.read("file", Range=f"bytes={start}-{start + 999}") == body[start : start + 1000]
    assert remote.fetched("file") <= 3000
    remote.do(remote.proxy.release)
    assert mounted.read("file") == body
    assert remote.fetched("file") == len(body)


@pytest.mark.parametrize(
    ("size_bytes", "start", "come_bytes"),
    [
        (_OBJECT_BYTES, 0, 400_000),
        (_OBJECT_BYTES, 1_500_000, 400_000),
        (_OBJECT_BYTES, 0, 50),
        (60_000, 0, 1000),
    ],
)
def test_the_first_byte_does_not_wait_for_the_last(
    mounted: Mounted, remote: Remote, size_bytes: int, start: int, come_bytes: int
) -> None:
    body = mounted.place("file", noise(size_bytes))
    remote.do(remote.proxy.only, "GET")
    remote.do(remote.proxy.stall_after, come_bytes)
    asked: dict[str, Any] = {"Range": f"bytes={start}-"} if start else {}
    stream: Any = mounted.s3.get_object(Bucket=mounted.name, Key="file", **asked)["Body"]
    first = stream.read(come_bytes)
    assert first == body[start : start + come_bytes]
    eventually(lambda: remote.fetched("file") == come_bytes, "the proxy counts what it has sent")
    remote.do(remote.proxy.release)
    assert first + stream.read() == body[start:]
    assert mounted.read("file") == body
    assert remote.fetched("file") == size_bytes


def test_readers_of_more_objects_than_connections(site: Site, remote: Remote) -> None:
    """In the middle of a block each needs two requests: none may wait for the second with the first in its hand."""
    few = site.mount_remote(remote)
    info = site.mount(
        few.info.uri,
        options={**few.info.options, "max_connections": "2"},
        secrets={"access_key": ACCESS_KEY, "secret_key": SECRET_KEY},
    )
    mounted = dataclasses.replace(few, info=info)
    bodies = {
        f"file-{number}": mounted.place(f"file-{number}", noise(3 * BLOCK_BYTES)) for number in range(8)
    }
    for key in list(bodies)[:4]:  # of the others nothing is known
        site.s3.head_object(Bucket=mounted.name, Key=key)

    async def read_all() -> None:
        slots = asyncio.Semaphore(_OPEN_AT_ONCE)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for key, body in bodies.items():
                (url,) = _urls(mounted, key)[:1]
                for size in (1000, 2 * BLOCK_BYTES):
                    start = BLOCK_BYTES // 2
                    group.create_task(_read(url, body, start, start + size, slots))

    asyncio.run(read_all())


@pytest.fixture(scope="module")
def several_workers() -> Iterator[RealCluster]:
    with RealCluster(one_port=False, lost_after_s=10.0) as cluster:
        yield cluster


def test_one_fetch_over_all_proxies_and_workers(several_workers: RealCluster, remote: Remote) -> None:
    site = Site(several_workers)
    mounted = site.mount_remote(remote)
    body = mounted.place("file", noise(24 * BLOCK_BYTES))
    starts = [0, 5 * BLOCK_BYTES, 17 * BLOCK_BYTES, 20 * BLOCK_BYTES]
    spans = [(start, len(body)) for start in starts] * 10
    asyncio.run(_read_all(_urls(mounted, "file"), body, spans))
    assert remote.fetched("file") == len(body)
    for client in (site.client(endpoint=endpoint) for endpoint in several_workers.endpoints):
        assert client.get_object(Bucket=mounted.name, Key="file")["Body"].read() == body
    assert remote.fetched("file") == len(body)


def test_write_at_one_proxy_and_read_at_the_other(several_workers: RealCluster, remote: Remote) -> None:
    site = Site(several_workers)
    mounted = site.mount_remote(remote)
    for policy in WritePolicy:
        one, other = (
            site.client(endpoint=endpoint, headers={"x-zerohop-write-policy": policy})
            for endpoint in several_workers.endpoints
        )
        for number in range(3):
            key, body = f"{policy}/file", noise(100_000 + number)
            one.put_object(Bucket=mounted.name, Key=key, Body=body)
            assert other.get_object(Bucket=mounted.name, Key=key)["Body"].read() == body
            listed = other.list_objects_v2(Bucket=mounted.name, Prefix=policy)["Contents"]
            assert [(entry["Key"], entry["Size"]) for entry in listed] == [(key, len(body))]
            one, other = other, one
        one.delete_object(Bucket=mounted.name, Key=key)
        assert "Contents" not in other.list_objects_v2(Bucket=mounted.name)

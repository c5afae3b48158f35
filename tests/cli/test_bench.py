"""`zerohop bench hop`, small."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.cluster import Cluster

from zerohop_bench.http_reader import HttpReader


def test_hop_on_a_running_cluster(cluster: Cluster, tmp_path: Path) -> None:
    plot = tmp_path / "hop.png"
    small = ("--sizes=1KiB,3MiB", "--connections=1,2", "--seconds=0.05")
    done = cluster.cli("bench", "hop", *small, f"--data={cluster.data}", "--json", f"--plot={plot}")
    cells = json.loads(done.stdout)["cells"]
    assert [(cell["size_bytes"], cell["connections"]) for cell in cells] == [
        (size, count) for size in (1024, 3 << 20) for count in (1, 2)
    ]
    for cell in cells:
        for way in (cell["proxy"], cell["direct"]):
            assert 0 < way["p50_us"] <= way["p99_us"]
            assert way["bytes_per_s"] > 0
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert "zerohop-bench" not in cluster.cli("fs", "ls", "/").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("--sizes=0",),
        ("--sizes=many",),
        ("--connections=0",),
        ("--connections=x",),
        ("--endpoint=http://127.0.0.1:1",),
    ],
)
def test_hop_refuses_what_it_cannot_do(cluster: Cluster, arguments: tuple[str, ...]) -> None:
    done = cluster.cli("bench", "hop", *arguments, check=False)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.fixture
async def endpoint() -> AsyncIterator[str]:
    """Answers each request with the next of a few prepared answers, in two pieces."""
    answers = [
        b"HTTP/1.1 200 OK\r\nContent-Le|ngth: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n|hello",
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n|",
    ]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            for piece in answer.split(b"|"):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await server.wait_closed()


async def test_reader_takes_whole_bodies_and_nothing_else(endpoint: str) -> None:
    reader = await HttpReader.connect(endpoint)
    await reader.get("/b/k", 5)
    await reader.get("/b/k", 5)
    with pytest.raises(ConnectionError, match="403"):
        await reader.get("/b/k", 5)
    reader.close()
    with pytest.raises(ConnectionError, match="no http"):
        await HttpReader.connect("ftp://127.0.0.1")

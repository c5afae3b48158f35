"""The parts of `zerohop bench cache`: the way that is made longer, the reads, the lines and the page."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.bench.made_runs import MACHINE

from zerohop.cli.bench import bench
from zerohop.errors import InvalidRequest
from zerohop_bench.cache_cells import COLD, DIRECT, FULL, MEM, QUICK, SSD, Cell, results
from zerohop_bench.cache_delay import DelayProxy
from zerohop_bench.cache_places import given_origin
from zerohop_bench.cache_plot import plot_cache
from zerohop_bench.cache_reads import Get, Reading, read_all
from zerohop_bench.http_load import LoadFailed
from zerohop_bench.results import Run
from zerohop_bench.sigv4 import Keys

_BODY = os.urandom(3 << 20)


@asynccontextmanager
async def _server(answer: bytes) -> AsyncIterator[int]:
    """Answers each request with those bytes; its port."""

    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
                await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*connections)


def _answer(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@asynccontextmanager
async def _delayed(port: int, round_trip_s: float, bytes_per_s: float = 0.0) -> AsyncIterator[int]:
    server = await DelayProxy("127.0.0.1", port, round_trip_s, bytes_per_s).listen()
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_bytes_pass_unchanged_and_not_sooner_than_the_delay() -> None:
    async with _server(_answer(_BODY)) as origin, _delayed(origin, 0.05) as port:
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        took_s: list[float] = []
        for _ in range(2):
            started_s = loop.time()
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == _answer(_BODY)[: -len(_BODY)]
            took_s.append(loop.time() - started_s)
            assert await reader.readexactly(len(_BODY)) == _BODY
        writer.close()
        await writer.wait_closed()
    assert took_s[0] >= 0.095  # a new connection takes a round trip more
    assert took_s[1] >= 0.045


async def test_all_connections_share_what_the_way_carries() -> None:
    rate = 20e6
    async with _server(_answer(_BODY)) as origin, _delayed(origin, 0.01, rate) as port:
        get = Get("/object", len(_BODY))
        reading = await asyncio.to_thread(read_all, ("127.0.0.1", port), get, [[get], [get]])
    assert reading.bytes_per_s < rate * 1.1


async def test_a_side_that_ends_ends_the_other_after_what_it_has_said() -> None:
    async def say_and_leave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        writer.close()

    server = await asyncio.start_server(say_and_leave, "127.0.0.1", 0)
    async with server, _delayed(server.sockets[0].getsockname()[1], 0.01) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b"bye"
        writer.close()
        await writer.wait_closed()


async def test_a_connection_to_a_server_that_is_not_there_is_closed() -> None:
    async with _server(b"") as gone:
        pass
    async with _delayed(gone, 0.01) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_readers_take_whole_bodies() -> None:
    async with _server(_answer(_BODY)) as port:
        get = Get("/object", len(_BODY))
        reading = await asyncio.to_thread(read_all, ("127.0.0.1", port), get, [[get, get], [get]])
    assert reading.bytes_per_s > 0
    assert reading.first_byte_s > 0


@pytest.mark.parametrize("answer", [_answer(b"no", "404 Not Found"), _answer(b"short")])
async def test_any_other_answer_fails_the_turn(answer: bytes) -> None:
    async with _server(answer) as port:
        get = Get("/object", 100)
        with pytest.raises(LoadFailed, match="answered"):
            await asyncio.to_thread(read_all, ("127.0.0.1", port), get, [[get]])


def test_readers_have_objects_of_their_own_unless_they_share_one() -> None:
    apart, shared = Cell(1 << 20, 2, times=2), Cell(1 << 20, 2, shared=True)
    assert not set(apart.keys(0)) & set(apart.keys(1))
    assert shared.keys(0) == shared.keys(1)
    for plan in (FULL, QUICK):
        assert len({cell.name for cell in plan.cells}) == len(plan.cells)


def _made(first_byte_s: float, cold_rate: float, warm_rate: float) -> Run:
    readings = {
        COLD: [Reading(first_byte_s, cold_rate)],
        DIRECT: [Reading(0.050, 100e6)],
        MEM: [Reading(0.001, warm_rate)],
        SSD: [Reading(0.001, warm_rate / 2)],
    }
    found = results(Cell(64 << 20, 1), readings, {COLD: (900.0,), MEM: (100.0,), SSD: (150.0,)})
    return Run("quick", MACHINE, 60.0, {"origin": "origin: some store"}, {}, found)


@pytest.mark.parametrize(
    ("first_byte_s", "cold_rate", "warm_rate", "met"),
    [(0.059, 95e6, 1.1e9, [True, True, True]), (0.061, 89e6, 0.9e9, [False, False, False])],
)
def test_targets_compare_with_the_origin(
    first_byte_s: float, cold_rate: float, warm_rate: float, met: list[bool]
) -> None:
    run = _made(first_byte_s, cold_rate, warm_rate)
    assert [verdict.met for result in run.results for verdict in result.verdicts()] == met


def test_the_picture_is_small(tmp_path: Path) -> None:
    picture = plot_cache(_made(0.06, 90e6, 1e9), tmp_path)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 100_000


@pytest.mark.parametrize("endpoint", ["https://s3.example", "s3.example", "http://s3.example/path"])
def test_only_plain_http_endpoints_can_be_moved_farther_away(endpoint: str) -> None:
    with pytest.raises(InvalidRequest, match="http://host:port"):
        given_origin(endpoint, "bucket", "", Keys("a", "b"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--endpoint=http://127.0.0.1:1"], "--bucket"),
        (
            [
                "--endpoint=http://127.0.0.1:1",
                "--bucket=b",
                "--access-key=a",
                "--secret-key=b",
                "--latency=x",
            ],
            "--latency",
        ),
        (
            [
                "--endpoint=http://127.0.0.1:1",
                "--bucket=b",
                "--access-key=a",
                "--secret-key=b",
                "--latency=1m",
            ],
            "0 to 10s",
        ),
        (
            [
                "--endpoint=http://127.0.0.1:1",
                "--bucket=b",
                "--access-key=a",
                "--secret-key=b",
                "--bandwidth=1kB",
            ],
            "--bandwidth",
        ),
    ],
)
def test_what_cannot_be_measured_is_said_at_once(flags: list[str], message: str) -> None:
    done = CliRunner().invoke(bench, ["cache", *flags])
    assert isinstance(done.exception, InvalidRequest)
    assert message in str(done.exception)

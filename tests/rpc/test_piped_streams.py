"""Streams whose bytes do not come into memory: files sent as they are, and bodies that go on through a pipe."""

# ruff: noqa: PT012 - a stream is opened, used and left within what raises

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator

import pytest
from tests.rpc.conftest import open_descriptors
from tests.rpc.messages import Answer, Download, fill

from zerohop.errors import BucketNotFound, DeadlineExceeded, OutcomeUnknown
from zerohop.rpc.call import StreamOutCall
from zerohop.rpc.client import RpcClient
from zerohop.rpc.server import RpcServer
from zerohop.rpc.splicing import PipedBytes
from zerohop.rpc.streams import StreamSource

Make = Callable[..., RpcServer]
MakeClient = Callable[..., RpcClient]
Eventually = Callable[[Callable[[], bool]], Awaitable[None]]

DATA = os.urandom(6_000_001)


@pytest.fixture(params=["unix", "tcp"])
def place(request: pytest.FixtureRequest, folder: object) -> str:
    return f"unix:{folder}/s" if request.param == "unix" else "tcp://127.0.0.1:0"


@pytest.fixture
def file() -> Iterator[int]:
    """A descriptor of a file with DATA."""
    with tempfile.TemporaryFile() as opened:
        opened.write(DATA)
        opened.flush()
        yield opened.fileno()


def _sender(server: RpcServer, fd: int, *, in_thread: bool = False) -> RpcServer:
    """`Download` gives the file in two parts with bytes between them; `size` more than it has makes it break off."""

    async def run(call: Callable[..., int], *args: int) -> int:
        return await asyncio.to_thread(call, *args)

    async def send(request: Download, call: StreamOutCall) -> None:
        call.respond(Answer("file", request.size))
        how = run if in_thread else None
        try:
            await call.write_file(fd, 0, 5_000_000, how)
            await call.write(DATA[5_000_000:5_000_100])
            await call.write_file(fd, 5_000_100, request.size - 5_000_100, how)
        except EOFError as error:
            raise OutcomeUnknown("the file ended early") from error

    server.register_stream_out(Download, send)
    return server


async def taken(source: StreamSource[Answer]) -> bytes:
    data = bytearray()
    while piece := await source.next_piece():
        data += bytes(piece)
    return bytes(data)


@pytest.mark.parametrize("in_thread", [False, True])
@pytest.mark.parametrize("piped", [False, True])
async def test_files_arrive_as_they_are(
    servers: Make, clients: MakeClient, place: str, file: int, *, in_thread: bool, piped: bool
) -> None:
    server = _sender(servers(), file, in_thread=in_thread)
    client = clients(await server.listen(place))
    before = open_descriptors()
    for _ in range(3):
        async with client.open_stream_out(Download(len(DATA)), piped=piped) as source:
            assert await taken(source) == DATA
    assert len(server._sessions) == 1  # the connection is used again
    assert open_descriptors() <= before + 2  # both ends of it


@pytest.mark.parametrize("size", [0, 1, 255, 1 << 20, 5_000_001])
async def test_a_piped_body_of_bytes(servers: Make, clients: MakeClient, place: str, size: int) -> None:
    client = clients(await fill(servers()).listen(place))
    for piped in (True, False, True):
        async with client.open_stream_out(Download(size), piped=piped) as source:
            assert source.response == Answer("head", size)
            assert await taken(source) == (bytes(range(256)) * (size // 256 + 1))[:size]


async def test_a_piped_body_may_be_read_into_memory(servers: Make, clients: MakeClient, place: str) -> None:
    client = clients(await fill(servers()).listen(place))
    async with client.open_stream_out(Download(1 << 20), piped=True) as source:
        assert sum([len(chunk) async for chunk in source]) == 1 << 20


async def test_an_error_after_bytes(
    servers: Make, clients: MakeClient, place: str, eventually: Eventually
) -> None:
    server = fill(servers())
    client = clients(await server.listen(place))
    with pytest.raises(BucketNotFound, match="gone while reading"):
        async with client.open_stream_out(Download(1 << 20, fail=True), piped=True) as source:
            await taken(source)
    with pytest.raises(DeadlineExceeded):
        async with client.open_stream_out(Download(10, hang=True), timeout_s=0.1, piped=True) as source:
            await taken(source)
    await eventually(lambda: server._calls == 0)


@pytest.mark.parametrize("piped", [False, True])
async def test_a_file_that_ends_early_cuts_the_stream_after_its_bytes(
    servers: Make, clients: MakeClient, place: str, file: int, eventually: Eventually, *, piped: bool
) -> None:
    server = _sender(servers(), file)
    client = clients(await server.listen(place))
    before = open_descriptors()
    received = 0
    with pytest.raises(OutcomeUnknown):
        async with client.open_stream_out(Download(len(DATA) + 1), piped=piped) as source:
            while piece := await source.next_piece():
                received += len(piece)
                bytes(piece)
    assert received == len(DATA)
    await eventually(lambda: server._calls == 0 and not server._sessions)
    await eventually(lambda: open_descriptors() <= before)


@pytest.mark.parametrize("piped", [False, True])
async def test_a_reader_that_leaves_ends_the_sender(
    servers: Make, clients: MakeClient, place: str, file: int, eventually: Eventually, *, piped: bool
) -> None:
    server = _sender(servers(), file)
    client = clients(await server.listen(place))
    before = open_descriptors()
    async with client.open_stream_out(Download(len(DATA)), piped=piped) as source:
        first = await source.next_piece()
        assert len(first) < len(DATA)
        assert isinstance(first, PipedBytes) is piped
    await eventually(lambda: server._calls == 0 and not server._sessions)
    await eventually(lambda: open_descriptors() <= before)


async def test_a_client_that_closes_ends_its_streams(
    servers: Make, clients: MakeClient, place: str, file: int, eventually: Eventually
) -> None:
    server = _sender(servers(), file)
    client = clients(await server.listen(place))
    async with client.open_stream_out(Download(len(DATA)), piped=True) as source:
        bytes(await source.next_piece())
        await client.close()
        with pytest.raises(OutcomeUnknown):
            await taken(source)
    await eventually(lambda: server._calls == 0)


async def test_a_reader_that_takes_nothing_is_given_up(
    servers: Make, clients: MakeClient, place: str, eventually: Eventually
) -> None:
    with tempfile.TemporaryFile() as sparse:
        sparse.truncate(200 << 20)  # more than the buffers of both sockets take in

        async def send(_request: Download, call: StreamOutCall) -> None:
            call.respond(Answer("file"))
            await call.write_file(sparse.fileno(), 0, 200 << 20, None)

        server = servers()
        server.register_stream_out(Download, send)
        client = clients(await server.listen(place))
        async with client.open_stream_out(Download(0), timeout_s=0.2, piped=True) as source:
            bytes(await source.next_piece())
            await eventually(lambda: server._calls == 0)
            with pytest.raises(OutcomeUnknown):
                await taken(source)

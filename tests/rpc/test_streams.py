"""Streams: whole or an error, back-pressure both ways, connections reused and bounded."""

# ruff: noqa: PT012 - a stream is opened, used and left within what raises

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.rpc.messages import Answer, Download, Echo, Hang, Unheard, Upload, fill

from zerohop.errors import (
    BucketNotFound,
    DeadlineExceeded,
    InvalidRequest,
    OutcomeUnknown,
    Overloaded,
    UnknownOperation,
)
from zerohop.rpc.body import BodyReader
from zerohop.rpc.call import StreamInCall, StreamOutCall
from zerohop.rpc.client import RpcClient
from zerohop.rpc.server import RpcServer
from zerohop.rpc.streams import StreamPool

Make = Callable[..., RpcServer]
MakeClient = Callable[..., RpcClient]
Eventually = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture(params=["unix", "tcp"])
def place(request: pytest.FixtureRequest, folder: Path) -> str:
    return f"unix:{folder}/s" if request.param == "unix" else "tcp://127.0.0.1:0"


@pytest.mark.parametrize("size", [0, 1, 255, 1 << 20, 20_000_001])
async def test_bytes_arrive_as_they_were_sent(
    servers: Make, clients: MakeClient, place: str, size: int
) -> None:
    client = clients(await fill(servers()).listen(place))
    digest, received = hashlib.sha256(), 0
    async with client.open_stream_out(Download(size)) as source:
        assert source.response == Answer("head", size)
        async for chunk in source:
            digest.update(chunk)
            received += len(chunk)
    assert received == size
    assert digest.digest() == hashlib.sha256((bytes(range(256)) * (size // 256 + 1))[:size]).digest()
    async with client.open_stream_in(Upload()) as sink:
        await sink.write(bytes(size))
        assert await sink.finish() == Answer("stored", size)


async def test_writable_buffers_may_be_used_again(servers: Make, clients: MakeClient, place: str) -> None:
    digest = hashlib.sha256()

    async def take(_request: Upload, call: StreamInCall) -> Answer:
        buffer = bytearray(100_000)
        total = 0
        while count := await call.readinto(buffer):
            digest.update(memoryview(buffer)[:count])
            total += count
        return Answer("", total)

    server = servers()
    server.register_stream_in(Upload, take)
    client = clients(await server.listen(place))
    expected = hashlib.sha256()
    buffer = bytearray(1 << 20)
    async with client.open_stream_in(Upload()) as sink:
        for number in range(8):
            buffer[:] = bytes([number]) * len(buffer)
            expected.update(buffer)
            await sink.write(buffer)
        assert (await sink.finish()).number == 8 << 20
    assert digest.digest() == expected.digest()


async def test_connections_are_used_again(servers: Make, clients: MakeClient, place: str) -> None:
    server = fill(servers())
    client = clients(await server.listen(place))
    for _ in range(5):
        async with client.open_stream_out(Download(1000)) as source:
            assert len(await source.read()) == 1000
            assert not await source.read()
        async with client.open_stream_in(Upload()) as sink:
            await sink.finish()
    assert len(server._sessions) == 1


async def test_a_handler_may_fail_while_the_body_comes(
    servers: Make, clients: MakeClient, place: str
) -> None:
    client = clients(await fill(servers()).listen(place))
    with pytest.raises(BucketNotFound, match="gone while writing"):
        async with client.open_stream_in(Upload(fail_after=1000)) as sink:
            for _ in range(10_000):
                await sink.write(bytes(100_000))
    with pytest.raises(BucketNotFound, match="gone while reading"):
        async with client.open_stream_out(Download(1 << 20, fail=True)) as source:
            async for _ in source:
                pass
    with pytest.raises(UnknownOperation):
        async with client.open_stream_out(Unheard()) as _:
            pass


async def test_a_body_that_is_left_unfinished_is_cut_at_the_server(
    servers: Make, clients: MakeClient, place: str, eventually: Eventually
) -> None:
    outcomes: list[BaseException | str] = []

    async def take(_request: Upload, call: StreamInCall) -> Answer:
        try:
            async for _ in call:
                pass
        except BaseException as error:
            outcomes.append(error)
            raise
        outcomes.append("complete")
        return Answer("stored")

    server = servers()
    server.register_stream_in(Upload, take)
    client = clients(await server.listen(place))
    with pytest.raises(ZeroDivisionError):
        async with client.open_stream_in(Upload()) as sink:
            await sink.write(bytes(100))
            raise ZeroDivisionError
    await eventually(lambda: bool(outcomes))
    assert isinstance(outcomes[0], OutcomeUnknown | asyncio.CancelledError)


async def test_a_body_longer_than_the_handler_took_is_an_error(
    servers: Make, clients: MakeClient, place: str
) -> None:
    async def take_little(_request: Upload, call: StreamInCall) -> Answer:
        await call.read(10)
        return Answer("stored", 10)

    server = servers()
    server.register_stream_in(Upload, take_little)
    client = clients(await server.listen(place))
    with pytest.raises(InvalidRequest):
        async with client.open_stream_in(Upload()) as sink:
            await sink.write(bytes(100))
            await sink.finish()


async def test_a_slow_reader_holds_the_writer_back(
    servers: Make, clients: MakeClient, place: str, eventually: Eventually
) -> None:
    written = 0

    async def gush(_request: Download, call: StreamOutCall) -> None:
        nonlocal written
        call.respond(Answer("head"))
        while True:
            await call.write(bytes(1 << 20))
            written += 1 << 20

    server = servers()
    server.register_stream_out(Download, gush)
    client = clients(await server.listen(place))
    async with client.open_stream_out(Download(0)) as source:
        await source.read()
        await eventually(lambda: any(session.write_paused for session in server._sessions))
        for _ in range(200):
            await asyncio.sleep(0)
        assert written < 24 << 20  # both buffers and the sockets' own
        body = source._body
        assert isinstance(body, BodyReader)
        assert body._size_bytes < 4 << 20
    await eventually(lambda: server._calls == 0)


async def test_a_slow_server_holds_the_client_back(
    servers: Make, clients: MakeClient, place: str, eventually: Eventually
) -> None:
    release = asyncio.Event()

    async def doze(_request: Upload, call: StreamInCall) -> Answer:
        await release.wait()
        total = 0
        async for chunk in call:
            total += len(chunk)
        return Answer("stored", total)

    server = servers()
    server.register_stream_in(Upload, doze)
    client = clients(await server.listen(place))
    sent = 0
    async with client.open_stream_in(Upload()) as sink:

        async def send() -> None:
            nonlocal sent
            for _ in range(64):
                await sink.write(bytes(1 << 20))
                sent += 1 << 20

        sending = asyncio.create_task(send())
        await eventually(lambda: sink._channel.write_paused)
        assert sent < 24 << 20
        release.set()
        await sending
        assert (await sink.finish()).number == 64 << 20


async def test_standing_still_is_an_error(servers: Make, clients: MakeClient, place: str) -> None:
    client = clients(await fill(servers()).listen(place))
    with pytest.raises(DeadlineExceeded):
        async with client.open_stream_out(Download(1000, hang=True), timeout_s=0.1) as source:
            async for _ in source:
                pass

    async def doze(_request: Upload, _call: StreamInCall) -> Answer:
        await asyncio.Event().wait()
        return Answer("")

    server = servers()
    server.register_stream_in(Upload, doze)
    client = clients(await server.listen("tcp://127.0.0.1:0"))
    with pytest.raises(DeadlineExceeded):
        async with client.open_stream_in(Upload(), timeout_s=0.1) as sink:
            while True:
                await sink.write(bytes(1 << 20))
    with pytest.raises(OutcomeUnknown):
        async with client.open_stream_in(Upload(), timeout_s=0.1) as sink:
            await sink.finish()


async def test_streams_are_bounded(servers: Make, clients: MakeClient, place: str) -> None:
    client = clients(await fill(servers()).listen(place))
    client._pool = StreamPool(client._connect_stream, max_streams=1)
    async with client.open_stream_in(Upload()):
        with pytest.raises(Overloaded):
            async with client.open_stream_in(Upload(), timeout_s=0.05):
                pass
    async with client.open_stream_in(Upload()) as sink:
        assert (await sink.finish()).number == 0


async def test_a_restarted_server_is_read_from_without_an_error(
    servers: Make, clients: MakeClient, folder: Path
) -> None:
    first = fill(servers())
    client = clients(await first.listen(f"unix:{folder}/s"))
    async with client.open_stream_out(Download(10)) as source:
        assert [len(chunk) async for chunk in source] == [10]
    await first.close()
    await fill(servers()).listen(f"unix:{folder}/s")
    async with client.open_stream_out(Download(10)) as source:
        assert [len(chunk) async for chunk in source] == [10]


async def test_streams_and_calls_do_not_disturb_each_other(
    servers: Make, clients: MakeClient, place: str
) -> None:
    client = clients(await fill(servers()).listen(place))
    async with client.open_stream_out(Download(50 << 20)) as source:
        await source.read()
        assert (await client.call(Echo("meanwhile"))).text == "meanwhile"
        with pytest.raises(OutcomeUnknown):
            await client.call(Hang(), timeout_s=0.05)

"""Large bodies of an S3 store, received past the HTTP library that read their heads."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from tests.origins.conftest import S3_SECRETS, mount

from zerohop.errors import UnderStoreFailed
from zerohop_worker.origins.interface import OriginStore
from zerohop_worker.origins.opening import open_origin

BODY = random.Random(7).randbytes(6 << 20)
_MOST_ON_THE_WAY_BYTES = 48 << 20


class _Store:
    """Answers each GET with BODY on connections that it keeps: the first `stall_at` bytes, and the others later."""

    def __init__(self) -> None:
        self.connections = 0
        self.sent_bytes = 0
        self.times = 1  # BODY so often in a body
        self.stall_at = -1
        self.go_on = asyncio.Event()
        self.server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        assert self.server is not None
        return f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                length = f"Content-Length: {len(BODY) * self.times}\r\n"
                about = 'ETag: "abc"\r\nLast-Modified: Sun, 01 Nov 2026 10:00:00 GMT\r\n\r\n'
                writer.write(f"HTTP/1.1 200 OK\r\n{length}{about}".encode())
                for _ in range(self.times):
                    body = BODY
                    if self.stall_at >= 0:
                        writer.write(body[: self.stall_at])
                        await self.go_on.wait()
                        body = body[self.stall_at :]
                    writer.write(body)
                    await writer.drain()
                    self.sent_bytes += len(BODY)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()


@pytest.fixture
async def store() -> AsyncIterator[_Store]:
    one = _Store()
    one.server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    yield one
    one.go_on.set()
    one.server.close()
    await one.server.wait_closed()


@pytest.fixture
async def origin(store: _Store) -> AsyncIterator[OriginStore]:
    settings = mount("s3://bucket", endpoint=store.url, read_timeout="500ms", max_attempts="1")
    origin = open_origin(settings, S3_SECRETS)
    yield origin
    await origin.close()


async def _read(origin: OriginStore) -> bytes:
    opened = await origin.open("key", 0, None)
    try:
        return b"".join([bytes(piece) async for piece in opened.pieces()])
    finally:
        await opened.close()


async def test_one_connection_for_one_body_after_the_other(store: _Store, origin: OriginStore) -> None:
    for _ in range(5):
        assert await _read(origin) == BODY
    assert store.connections == 1


async def test_a_connection_that_is_left_in_a_body_is_not_used_again(
    store: _Store, origin: OriginStore
) -> None:
    opened = await origin.open("key", 0, None)
    pieces = opened.pieces()
    got = b""
    while len(got) < len(BODY) // 2:
        got += await anext(pieces)
    await opened.close()
    assert BODY.startswith(got)
    assert await _read(origin) == BODY
    assert store.connections == 2


async def test_pieces_that_are_kept_stay_as_they_are(origin: OriginStore) -> None:
    opened = await origin.open("key", 0, None)
    kept = [piece async for piece in opened.pieces()]
    await opened.close()
    assert await _read(origin) == BODY
    assert b"".join(kept) == BODY


async def test_a_body_that_stands_still_is_given_up(store: _Store, origin: OriginStore) -> None:
    store.stall_at = 3 << 20
    opened = await origin.open("key", 0, None)
    got = bytearray()

    async def take_all() -> None:
        async for piece in opened.pieces():
            got.extend(piece)

    with pytest.raises(UnderStoreFailed, match=r"no byte for 0\.5 s"):
        await take_all()
    await opened.close()
    assert got == BODY[: store.stall_at]


async def test_a_slow_reader_holds_the_store_up(store: _Store, origin: OriginStore) -> None:
    store.times = 32
    opened = await origin.open("key", 0, None)
    pieces = opened.pieces()
    count = len(await anext(pieces))
    pulse = asyncio.get_running_loop().create_future()
    before = -1
    while store.sent_bytes != before:  # until nothing moves any more
        before = store.sent_bytes
        await asyncio.wait((pulse,), timeout=0.1)
    assert store.sent_bytes < _MOST_ON_THE_WAY_BYTES
    async for piece in pieces:
        count += len(piece)
    await opened.close()
    assert count == 32 * len(BODY)

"""Bytes between workers that change on the way: found before they are kept, handed out or acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.worker.test_several_workers import DATA, Workers, until, workers

from zerohop.client.placement import block_key, rank
from zerohop.errors import Corrupt
from zerohop.model import WritePolicy
from zerohop_worker.checked_stream import CheckedStream, PieceHeads

_log = logging.getLogger(__name__)


class Chunks:
    """A stream that gives what it was made of, in chunks of at most `step` bytes."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data = memoryview(data)
        self._step = step

    async def read(self, max_bytes: int = 1 << 20) -> memoryview:
        size_bytes = min(self._step, max_bytes)
        chunk, self._data = self._data[:size_bytes], self._data[size_bytes:]
        return chunk


def sent(pieces: list[bytes]) -> list[bytes]:
    """Each with its head."""
    heads = PieceHeads()
    return [heads.head([piece[:3], piece[3:]]) + piece for piece in pieces]


async def received(data: bytes, step: int, max_bytes: int = 7) -> bytes:
    stream = CheckedStream(Chunks(data, step))
    found = bytearray()
    while chunk := await stream.read(max_bytes):
        assert len(chunk) <= max_bytes
        found += chunk
    return bytes(found)


pieces_of = st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6)


@given(pieces_of, st.integers(1, 60))
async def test_what_was_sent_is_received(pieces: list[bytes], step: int) -> None:
    assert await received(b"".join(sent(pieces)), step) == b"".join(pieces)


@given(pieces_of, st.integers(1, 60), st.data())
async def test_any_changed_bit_is_found(pieces: list[bytes], step: int, data: st.DataObject) -> None:
    stream = bytearray(b"".join(sent(pieces)))
    stream[data.draw(st.integers(0, len(stream) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Corrupt):
        await received(bytes(stream), step)


@given(pieces_of, st.data())
async def test_a_lost_byte_and_a_repeated_piece_are_found(pieces: list[bytes], data: st.DataObject) -> None:
    stream = sent(pieces)
    at = data.draw(st.integers(0, len(stream) - 1))
    with pytest.raises(Corrupt):
        await received(b"".join(stream)[:-1], 5)
    with pytest.raises(Corrupt):
        await received(b"".join([*stream[: at + 1], *stream[at:]]), 5)


class BadCable:
    """A TCP relay to a worker that changes a byte of everything large which passes it, while `bad`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._server: asyncio.Server
        self._tasks: set[asyncio.Task[None]] = set()
        self.address = ""
        self.bad = True
        self.changed = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.address = f"tcp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        await asyncio.sleep(0)  # for the transports, which close in a later turn

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_unix_connection(self._path)
        for one in (self._pass_on(reader, there_writer), self._pass_on(there_reader, writer)):
            task = asyncio.create_task(one)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := bytearray(await reader.read(1 << 16)):
                if self.bad and len(data) > 8192:  # the middle of it is within the bytes of a block
                    data[len(data) // 2] ^= 0x10
                    self.changed += 1
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            _log.info("a connection was cut")
        finally:
            writer.transport.abort()


@asynccontextmanager
async def bad_cables(several: Workers) -> AsyncIterator[list[BadCable]]:
    cables = []
    for name, running in several.all.items():
        cable = BadCable(str(running.client.address).removeprefix("unix:"))
        await cable.start()
        several.addresses[name] = cable.address
        cables.append(cable)
    several.tell()
    try:
        yield cables
    finally:
        for cable in cables:
            await cable.stop()


async def test_a_damaged_block_of_another_worker_is_not_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with workers(tmp_path, 2) as several, bad_cables(several) as cables:
        written = await several[0].write(DATA, WritePolicy.THROUGH)
        homes = [rank(block_key(written.content, index), several.all)[0] for index in range(6)]
        reader = several[0] if "w-1" in homes else several[1]
        with caplog.at_level(logging.WARNING):
            for _ in range(2):
                assert (await reader.read(written.content, written.length))[1] == DATA
        assert sum(cable.changed for cable in cables) > 0
        assert reader.worker.peers.corrupt_streams > 0
        assert "does not match its checksum" in caplog.text
        assert reader.worker.store.corrupt_blocks == 0


async def test_a_good_cable_gives_no_cause(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as several, bad_cables(several) as cables:
        for cable in cables:
            cable.bad = False
        written = await several[0].write(DATA, WritePolicy.THROUGH)
        for running in several.all.values():
            assert (await running.read(written.content, written.length))[1] == DATA
        assert [running.worker.peers.corrupt_streams for running in several.all.values()] == [0, 0]
        assert sum(running.worker.store.hits["PEER"] for running in several.all.values()) > 0


@pytest.mark.parametrize("replicas", [2, 3])
async def test_a_damaged_copy_is_not_acknowledged(tmp_path: Path, replicas: int) -> None:
    async with workers(tmp_path, 3, replicas) as several, bad_cables(several) as cables:
        written = await several[0].write(DATA, WritePolicy.ASYNC_THROUGH)
        assert sum(cable.changed for cable in cables) > 0
        assert (written.policy, written.persisted) == (WritePolicy.THROUGH, True)
        assert sum(running.worker.peers.corrupt_streams for running in several.all.values()) > 0
        await until(lambda: not any(running.worker.contents.writing for running in several.all.values()))
        assert not several.holders(written.content)
        for cable in cables:
            cable.bad = False
        for running in several.all.values():
            assert (await running.read(written.content, written.length))[1] == DATA

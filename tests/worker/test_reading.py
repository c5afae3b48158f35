"""Reads over real sockets: ranges, read-through, damage, and what is answered when bytes are gone."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from tests.worker.cluster_parts import BLOCK, RunningWorker, config, files_under, running_worker

from zerohop.errors import ContentLost, ContentNotFound, InvalidRequest, UnderStoreFailed
from zerohop.model import Segment, WritePolicy, content_id
from zerohop.rpc.worker_api import (
    DeleteContents,
    GetCachedBytes,
    GetWorkerReport,
    PinContents,
    ReadContent,
    WorkerReport,
)

DATA = os.urandom(5 * BLOCK + 17)


async def report_of(running: RunningWorker) -> WorkerReport:
    return await running.client.call(GetWorkerReport())


@pytest.mark.parametrize(
    ("offset", "size"),
    [
        (0, 0),
        (0, 1),
        (5, BLOCK),
        (BLOCK - 1, 2),
        (BLOCK, BLOCK),
        (3, 4 * BLOCK),
        (len(DATA) - 1, 1),
        (len(DATA), 0),
    ],
)
@pytest.mark.parametrize("policy", [WritePolicy.THROUGH, WritePolicy.CACHE_THROUGH])
async def test_ranges(tmp_path: Path, policy: WritePolicy, offset: int, size: int) -> None:
    async with running_worker(tmp_path) as running:
        written = await running.write(DATA, policy)
        for cache in (False, True, True):
            received = (await running.read(written.content, len(DATA), offset, size, cache=cache))[1]
            assert received == DATA[offset : offset + size]


async def test_a_range_outside_the_content_is_refused(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as running:
        written = await running.write(DATA)
        with pytest.raises(InvalidRequest):
            await running.read(written.content, len(DATA), 1, len(DATA))


async def test_many_readers_fetch_each_block_once(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as running:
        written = await running.write(DATA, WritePolicy.THROUGH)
        running.under_store.gate.clear()
        readers = [asyncio.create_task(running.read(written.content, len(DATA))) for _ in range(8)]
        while running.under_store.reads < 2:
            await asyncio.sleep(0)
        readers[0].cancel()
        running.under_store.gate.set()
        for answer in await asyncio.gather(*readers[1:]):
            assert answer == ("UNDER", DATA)
        assert running.under_store.reads == 6
        assert (await running.read(written.content, len(DATA))) == ("MEM", DATA)
        assert running.under_store.reads == 6


async def test_a_fetch_goes_on_when_its_only_reader_leaves(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as running:
        written = await running.write(DATA[:BLOCK], WritePolicy.THROUGH)
        running.under_store.gate.clear()
        reader = asyncio.create_task(running.read(written.content, BLOCK))
        while not running.under_store.reads:
            await asyncio.sleep(0)
        reader.cancel()
        await asyncio.wait((reader,))
        running.under_store.gate.set()
        while not running.worker.store.index.cached_bytes(written.content):
            await asyncio.sleep(0)


async def test_bytes_go_out_before_the_block_is_there(tmp_path: Path) -> None:
    """The first MiB of a block of 4 MiB is read while the rest is held back."""

    async with running_worker(tmp_path, settings=config(tmp_path, mem=64 << 20)) as running:
        running.worker.contents.begin_session(b"session2", 4 << 20)
        data = os.urandom(4 << 20)
        written = await running.write(data, WritePolicy.THROUGH)
        first_out = asyncio.Event()
        files = running.under_store.files
        original = files.read
        released: list[int] = []

        def held_back(fd: int, size_bytes: int, offset: int) -> bytes:
            if offset:
                asyncio.run_coroutine_threadsafe(first_out.wait(), loop).result(30)
                released.append(offset)
            return original(fd, size_bytes, offset)

        loop = asyncio.get_running_loop()
        files.read = held_back  # type: ignore[method-assign]
        request = ReadContent(content=written.content, content_length=len(data), offset=0, length=len(data))
        async with running.client.open_stream_out(request) as source:
            received = bytes(await source.read())
            assert received
            assert not released
            first_out.set()
            async for chunk in source:
                received += chunk
        assert received == data


async def test_without_room_reads_are_served_from_the_store(tmp_path: Path) -> None:
    async with running_worker(tmp_path, settings=config(tmp_path, mem=4096, ssd=0)) as running:
        written = await running.write(DATA)
        assert await running.read(written.content, len(DATA)) == ("UNDER", DATA)
        assert running.worker.store.index.cached_bytes(written.content) <= 17


async def test_no_tier_at_all(tmp_path: Path) -> None:
    async with running_worker(tmp_path, settings=config(tmp_path, mem=0, ssd=0)) as running:
        written = await running.write(DATA, WritePolicy.ASYNC_THROUGH)
        assert written.policy is WritePolicy.THROUGH
        assert await running.read(written.content, len(DATA)) == ("UNDER", DATA)


async def test_unknown_and_deleted_contents(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as running:
        unknown = content_id(b"sessions", 99, BLOCK)
        with pytest.raises(ContentNotFound):
            await running.read(unknown, 10)
        written = await running.write(DATA)
        await running.client.call(DeleteContents(contents=(written.content,), under_store=True))
        with pytest.raises(ContentNotFound):
            await running.read(written.content, len(DATA))
        # The next block was read ahead: that fetch finds out for itself that the content is gone.
        tiers = running.worker.store.index.tiers.values()
        async with asyncio.timeout(30):
            while any(tier.taken_bytes for tier in tiers):
                await asyncio.sleep(0)


async def test_a_content_that_is_shorter_than_recorded_is_an_error(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as running:
        written = await running.write(DATA, WritePolicy.THROUGH)
        path = running.under_store.path(written.content)
        path.chmod(0o600)
        os.truncate(path, BLOCK + 5)
        with pytest.raises(UnderStoreFailed):
            await running.read(written.content, len(DATA))


def damage(running: RunningWorker, content: bytes, index: int, how: str) -> None:
    copy = running.worker.store.index.find((content, index))
    assert copy is not None
    path = running.worker.folders[copy.tier].path(copy.block, copy.checksum)
    path.chmod(0o600)
    if how == "truncated":
        os.truncate(path, 10)
    elif how == "missing":
        path.unlink()
    elif how == "a folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(bytes(copy.size_bytes))


@pytest.mark.parametrize("how", ["truncated", "missing"])
async def test_an_unreadable_block_is_read_from_the_store(tmp_path: Path, how: str) -> None:
    async with running_worker(tmp_path) as running:
        written = await running.write(DATA)
        damage(running, written.content, 2, how)
        assert await running.read(written.content, len(DATA)) == ("MEM", DATA)
        assert (await report_of(running)).corrupt_blocks == 1
        assert running.under_store.reads == 1
        assert await running.read(written.content, len(DATA)) == ("MEM", DATA)
        assert running.under_store.reads == 1


async def test_the_scrub_finds_flipped_bytes(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as running:
        written = await running.write(DATA)
        damage(running, written.content, 1, "flipped")
        assert await running.worker.scrub.run_once() == 1
        assert await running.worker.scrub.run_once() == 0
        assert (await running.read(written.content, len(DATA)))[1] == DATA


async def test_a_damaged_block_that_is_nowhere_else_is_lost(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as running:
        written = await running.write(DATA, WritePolicy.MUST_CACHE)
        damage(running, written.content, 1, "truncated")
        assert (await running.read(written.content, len(DATA), 0, BLOCK))[1] == DATA[:BLOCK]
        with pytest.raises(ContentLost):
            await running.read(written.content, len(DATA), BLOCK, BLOCK)


async def test_use_promotes_and_verifies_on_the_way(tmp_path: Path) -> None:
    settings = config(tmp_path, mem=0)
    async with running_worker(tmp_path, settings=settings) as running:
        written = await running.write(DATA)
    async with running_worker(tmp_path, session=b"session2") as running:
        for _ in range(3):
            assert (await running.read(written.content, len(DATA)))[1] == DATA
        await running.worker.store.quiet()
        while len(running.worker.store.index.tiers["MEM"].copies) < 6:
            running.worker.store.settle()
            await running.worker.store.quiet()
        assert await running.read(written.content, len(DATA)) == ("MEM", DATA)
        assert running.under_store.reads == 0


async def test_cached_bytes_and_pins(tmp_path: Path) -> None:
    async with running_worker(tmp_path, settings=config(tmp_path, mem=16 * BLOCK, ssd=0)) as running:
        pinned = await running.write(DATA)
        segment = Segment(pinned.content, len(DATA))
        await running.client.call(PinContents(contents=(segment,), pinned=True))
        for _ in range(10):
            await running.write(DATA)
        unknown = Segment(content_id(b"sessions", 99, BLOCK), 5)
        answer = await running.client.call(GetCachedBytes(contents=(segment, unknown)))
        assert answer.cached == (len(DATA), 0)
        await running.client.call(PinContents(contents=(segment,), pinned=False))
        for _ in range(10):
            await running.write(DATA)
        assert (await running.client.call(GetCachedBytes(contents=(segment,)))).cached[0] < len(DATA)


async def test_the_report_counts(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as running:
        written = await running.write(DATA)
        await running.read(written.content, len(DATA))
        report = await report_of(running)
        assert report.hits == {"MEM": 6}
        assert report.worker_id == "w-test"
        assert {tier.name: tier.block_count for tier in report.tiers} == {"MEM": 6, "SSD": 0}


async def test_what_was_used_is_demoted_under_pressure(tmp_path: Path) -> None:
    async with running_worker(tmp_path, settings=config(tmp_path, mem=10 * BLOCK)) as running:
        hot = await running.write(DATA)
        await running.write(os.urandom(BLOCK))  # uses of what has only just come in do not count
        for _ in range(2):
            await running.read(hot.content, len(DATA))
        for _ in range(12):
            await running.write(os.urandom(2 * BLOCK))
            await running.worker.store.quiet()
        store = running.worker.store
        assert store.index.cached_bytes(hot.content) == len(DATA)
        assert (await running.read(hot.content, len(DATA)))[1] == DATA
        assert running.under_store.reads == 0
        await store.quiet()
        for name, folder in running.worker.folders.items():
            on_disk = {(item.block, item.size_bytes) for item in folder.scan()}
            assert on_disk == {
                (copy.block, copy.size_bytes) for copy in store.index.tiers[name].copies.values()
            }
            assert files_under(folder.root / "staging") == []

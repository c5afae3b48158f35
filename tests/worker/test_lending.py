"""Descriptors: cached blocks at once, missing ones after one fetch, and whose bytes are charged until when."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.worker.cluster_parts import BLOCK, RunningWorker, config, open_descriptors, running_worker

from zerohop.errors import ContentNotFound, OutOfSpace
from zerohop.model import WritePolicy, content_id
from zerohop.rpc.descriptors import DescriptorClient
from zerohop.rpc.worker_api import BlockUse, DeleteContents, OpenBlocks, ReturnBlocks

DATA = os.urandom(5 * BLOCK + 17)


@asynccontextmanager
async def borrower(running: RunningWorker) -> AsyncIterator[DescriptorClient]:
    client = DescriptorClient(running.descriptor_path, name="test")
    try:
        yield client
    finally:
        await client.close()


def ask(content: bytes, first: int = 0, count: int = 100) -> OpenBlocks:
    return OpenBlocks(content=content, content_length=len(DATA), first_index=first, count=count)


def close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def lent_bytes(running: RunningWorker) -> int:
    return running.worker.store.index.tiers["MEM"].lent_bytes


async def test_cached_blocks_come_at_once_and_read_only(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as running, borrower(running) as client:
        written = await running.write(DATA)
        opened, fds = await client.call(ask(written.content))
        assert [(block.index, block.length, block.source) for block in opened.blocks] == [
            *((index, BLOCK, "MEM") for index in range(5)),
            (5, 17, "MEM"),
        ]
        assert b"".join(os.pread(fd, BLOCK, 0) for fd in fds) == DATA
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(fds[0], b"x")
        close_all(fds)
        opened, fds = await client.call(ask(written.content, 4, 1))
        assert [block.index for block in opened.blocks] == [4]
        close_all(fds)


async def test_the_worker_keeps_no_descriptor(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as running, borrower(running) as client:
        written = await running.write(DATA)
        _, fds = await client.call(ask(written.content))
        close_all(fds)
        before = open_descriptors()
        for _ in range(10):
            _, fds = await client.call(ask(written.content))
            close_all(fds)
        assert open_descriptors() == before


async def test_a_missing_block_is_fetched_once_for_all(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as running, borrower(running) as one, borrower(running) as two:
        written = await running.write(DATA, WritePolicy.THROUGH)
        running.under_store.gate.clear()
        calls = [asyncio.create_task(client.call(ask(written.content, 0, 1))) for client in (one, two, one)]
        while not running.under_store.reads:
            await asyncio.sleep(0)
        running.under_store.gate.set()
        for opened, fds in await asyncio.gather(*calls):
            assert opened.blocks[0].source in ("UNDER", "MEM")
            assert os.pread(fds[0], BLOCK, 0) == DATA[:BLOCK]
            close_all(fds)
        assert running.under_store.reads == 1


async def test_what_cannot_be_had(tmp_path: Path) -> None:
    async with (
        running_worker(tmp_path, settings=config(tmp_path, mem=4096, ssd=0)) as running,
        borrower(running) as client,
    ):
        written = await running.write(DATA)
        with pytest.raises(OutOfSpace):
            await client.call(ask(written.content))
        unknown = OpenBlocks(
            content=content_id(b"sessions", 9, BLOCK), content_length=10, first_index=0, count=1
        )
        await running.client.call(DeleteContents(contents=(written.content,), under_store=True))
        with pytest.raises(ContentNotFound):
            await client.call(unknown)


async def test_bytes_of_a_deleted_block_are_charged_until_it_is_closed(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as running, borrower(running) as client:
        written = await running.write(DATA)
        _, fds = await client.call(ask(written.content))
        await running.client.call(DeleteContents(contents=(written.content,), under_store=True))
        assert lent_bytes(running) == 5 * BLOCK + 4096
        assert b"".join(os.pread(fd, BLOCK, 0) for fd in fds) == DATA
        close_all(fds)
        client.notify(BlockUse(closed=tuple((written.content, index) for index in range(5))))
        while lent_bytes(running) > 4096:
            await asyncio.sleep(0)
        await client.close()
        while lent_bytes(running):
            await asyncio.sleep(0)


async def test_blocks_are_asked_back_when_room_is_wanted(tmp_path: Path) -> None:
    async with (
        running_worker(tmp_path, settings=config(tmp_path, mem=5 * BLOCK + 4096, ssd=0)) as running,
        borrower(running) as client,
    ):
        asked: set[tuple[bytes, int]] = set()
        came = asyncio.Event()

        def wanted(notice: ReturnBlocks) -> None:
            asked.update(notice.blocks)
            came.set()

        client.register_notice(ReturnBlocks, wanted)
        written = await running.write(DATA)
        _, fds = await client.call(ask(written.content))
        running.clock.advance(100)
        other = await running.write(DATA)
        assert other.persisted
        async with asyncio.timeout(20):
            await came.wait()
        assert {content for content, _ in asked} == {written.content}
        assert b"".join(os.pread(fd, BLOCK, 0) for fd in fds) == DATA
        close_all(fds)


async def test_reports_of_use_reach_the_policy(tmp_path: Path) -> None:
    async with (
        running_worker(tmp_path, settings=config(tmp_path, mem=16 * BLOCK, ssd=0)) as running,
        borrower(running) as client,
    ):
        written = await running.write(DATA)
        _, fds = await client.call(ask(written.content, 0, 1))
        hits = running.worker.store.hits
        for _ in range(3):
            client.notify(BlockUse(used=((written.content, 0),)))
        while hits["MEM"] < 3:
            await asyncio.sleep(0)
        close_all(fds)


_HOLDER = """
import asyncio, sys
from zerohop.rpc.descriptors import DescriptorClient
from zerohop.rpc.worker_api import OpenBlocks

async def main():
    client = DescriptorClient(sys.argv[1], name="holder")
    request = OpenBlocks(content=bytes.fromhex(sys.argv[2]), content_length=int(sys.argv[3]), first_index=0, count=99)
    opened, fds = await client.call(request)
    print(len(fds), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_killed_holder_gives_everything_back(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as running:
        written = await running.write(DATA)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        holder = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _HOLDER,
            running.descriptor_path,
            written.content.hex(),
            str(len(DATA)),
            stdout=subprocess.PIPE,
            env=environment,
        )
        assert holder.stdout is not None
        assert await holder.stdout.readline() == b"6\n"
        await running.client.call(DeleteContents(contents=(written.content,), under_store=True))
        assert lent_bytes(running) > 0
        holder.send_signal(signal.SIGKILL)
        await holder.wait()
        while lent_bytes(running):
            await asyncio.sleep(0)

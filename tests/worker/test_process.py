"""The worker process in the loop of the test: registration, heartbeats, writes, reads, descriptors, the end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.worker.cluster_parts import BLOCK, StandInMaster, config

from zerohop.errors import ConfigError, DataFolderInUse, SessionFenced
from zerohop.model import Segment, WritePolicy
from zerohop.rpc.client import RpcClient
from zerohop.rpc.descriptors import DescriptorClient
from zerohop.rpc.worker_api import OpenBlocks, ReadContent, WriteContent
from zerohop_worker.process import run


@asynccontextmanager
async def process(folder: Path, master: StandInMaster) -> AsyncIterator[RpcClient]:
    if not master.server.addresses:
        await master.server.listen(f"unix:{folder}/master.sock")
    settings = config(folder, master=(f"unix://{folder}/master.sock",), listen=("tcp://127.0.0.1:0",))
    stop, address = asyncio.Event(), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run(settings, ready=address.set_result, stop=stop))
    await asyncio.wait((task, address), return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    client = RpcClient(address.result(), name="test")
    try:
        yield client
    finally:
        await client.close()
        stop.set()
        await task


async def test_a_content_goes_in_and_comes_out(tmp_path: Path) -> None:
    master = StandInMaster()
    data = os.urandom(3 * BLOCK + 17)
    async with process(tmp_path, master) as client:
        async with client.open_stream_in(
            WriteContent(policy=WritePolicy.CACHE_THROUGH, expected_bytes=len(data))
        ) as sink:
            await sink.write(data)
            written = await sink.finish()
        assert written.persisted
        assert written.length == len(data)
        request = ReadContent(
            content=written.content, content_length=len(data), offset=5, length=len(data) - 5
        )
        async with client.open_stream_out(request) as source:
            assert source.response.source == "MEM"
            assert b"".join([bytes(chunk) async for chunk in source]) == data[5:]
        info = master.registrations[0]
        descriptors = DescriptorClient(info.descriptor_path, name="test")
        opened, fds = await descriptors.call(
            OpenBlocks(content=written.content, content_length=len(data), first_index=0, count=10),
            timeout_s=5,
        )
        assert [block.index for block in opened.blocks] == [0, 1, 2, 3]
        assert b"".join(os.pread(fd, BLOCK, 0) for fd in fds) == data
        for fd in fds:
            os.close(fd)
        await descriptors.close()
        await master.beat.wait()
    assert master.left
    assert not (tmp_path / "mem").exists()
    await master.server.close()


async def test_a_fenced_worker_registers_anew_and_old_writes_fail(tmp_path: Path) -> None:
    master = StandInMaster()
    async with process(tmp_path, master) as client:
        request = WriteContent(policy=WritePolicy.CACHE_THROUGH, expected_bytes=-1)
        async with client.open_stream_in(request) as sink:
            await sink.write(b"x" * 100)
            while not list((tmp_path / "store" / "staging").iterdir()):
                await asyncio.sleep(0)
            master.fence = True
            while len(master.registrations) < 2:
                await asyncio.sleep(0)
            await master.beat.wait()
            master.beat.clear()
            await master.beat.wait()
            with pytest.raises(SessionFenced):
                await sink.finish()
    assert master.registrations[0].worker_id == master.registrations[1].worker_id
    await master.server.close()


async def test_what_is_persisted_later_is_told_to_the_master(tmp_path: Path) -> None:
    master = StandInMaster()
    async with process(tmp_path, master) as client:
        request = WriteContent(policy=WritePolicy.ASYNC_THROUGH, expected_bytes=100)
        async with client.open_stream_in(request) as sink:
            await sink.write(b"x" * 100)
            written = await sink.finish()
        assert not written.persisted
        while written.content not in master.marked:
            await asyncio.sleep(0)
        # A commit that reached the master after that is found by asking.
        master.marked.clear()
        master.unpersisted = (Segment(written.content, 100),)
        while written.content not in master.marked:
            await asyncio.sleep(0)
    await master.server.close()


async def test_a_data_folder_has_one_worker(tmp_path: Path) -> None:
    master = StandInMaster()
    async with process(tmp_path, master):
        with pytest.raises(DataFolderInUse):
            async with process(tmp_path, master):
                pass
    async with process(tmp_path, master):
        assert master.registrations[0].worker_id == master.registrations[1].worker_id
    await master.server.close()


async def test_a_stop_before_the_master_answers(tmp_path: Path) -> None:
    settings = config(tmp_path, master=(f"unix://{tmp_path}/nobody.sock",), listen=("tcp://127.0.0.1:0",))
    stop = asyncio.Event()
    task = asyncio.create_task(run(settings, ready=lambda _: None, stop=stop))
    while not (tmp_path / "run" / "blocks.sock").exists():
        await asyncio.sleep(0)
    stop.set()
    await task


async def test_a_master_that_refuses_the_worker_ends_it(tmp_path: Path) -> None:
    master = StandInMaster()
    master.refusal = ConfigError("another under-store")
    with pytest.raises(ConfigError, match="another under-store"):
        async with process(tmp_path, master):
            pass
    await master.server.close()

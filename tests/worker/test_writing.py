"""Write policies over real sockets: where bytes end up, and what is left when a write fails."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.worker.cluster_parts import BLOCK, config, files_under, running_worker
from tests.worker.faulty_files import FaultyFiles

from zerohop.errors import (
    BodyTooShort,
    InvalidRequest,
    OutOfSpace,
    SessionFenced,
    UnderStoreFailed,
    ZerohopError,
)
from zerohop.model import WritePolicy, session_of
from zerohop.rpc.worker_api import WriteContent
from zerohop_worker.files import Buffer, Files

DATA = os.urandom(3 * BLOCK + 17)


@pytest.mark.parametrize("policy", list(WritePolicy))
@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 10 * BLOCK])
async def test_every_policy_gives_the_bytes_back(tmp_path: Path, policy: WritePolicy, size: int) -> None:
    data = os.urandom(size)
    async with running_worker(tmp_path) as running:
        written = await running.write(data, policy)
        assert written.policy is policy
        assert written.length == size
        assert (await running.read(written.content, size))[1] == data
        stored = await running.under_store.list_contents(b"", 10)
        if written.persisted:
            assert [(item.content, item.length) for item in stored] == [(written.content, size)]


async def test_the_length_need_not_be_known(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as running:
        written = await running.write(DATA, announced=-1)
        assert await running.read(written.content, len(DATA)) == ("MEM", DATA)
        assert running.worker.store.index.tiers["MEM"].reserved_bytes == 0


async def test_through_caches_nothing_and_cache_through_does(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as running:
        through = await running.write(DATA, WritePolicy.THROUGH)
        cached = await running.write(DATA, WritePolicy.CACHE_THROUGH)
        index = running.worker.store.index
        assert index.cached_bytes(through.content) == 0
        assert index.cached_bytes(cached.content) == len(DATA)
        assert through.persisted
        assert cached.persisted


@pytest.mark.parametrize("policy", list(WritePolicy))
async def test_a_cut_stream_leaves_nothing(tmp_path: Path, policy: WritePolicy) -> None:
    async with running_worker(tmp_path) as running:
        request = WriteContent(policy=policy, expected_bytes=len(DATA))
        async with running.client.open_stream_in(request) as sink:
            await sink.write(DATA[:-5])
        while running.worker.contents.writing:
            await asyncio.sleep(0)
        index = running.worker.store.index
        await running.worker.store.quiet()
        assert all(tier.taken_bytes == 0 for tier in index.tiers.values())
        left = files_under(tmp_path)
        assert [path.name for path in left] == ["store-id"]


async def test_a_store_that_takes_nothing_leaves_no_write_behind(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as running:
        running.under_store.is_down = True
        with pytest.raises(UnderStoreFailed):
            await running.write(DATA)
        assert not running.worker.contents.writing


async def test_a_body_of_another_length_is_refused(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as running:
        with pytest.raises(BodyTooShort):
            await running.write(DATA, announced=len(DATA) + 1)
        with pytest.raises(InvalidRequest):
            await running.write(DATA, announced=len(DATA) - 1)
        assert await running.under_store.list_contents(b"", 10) == []


async def test_a_write_of_an_old_session_is_void(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as running:
        request = WriteContent(policy=WritePolicy.CACHE_THROUGH, expected_bytes=len(DATA))
        async with running.client.open_stream_in(request) as sink:
            await sink.write(DATA)
            while not running.worker.contents.writing:
                await asyncio.sleep(0)
            running.worker.contents.begin_session(b"session2", BLOCK)
            with pytest.raises(SessionFenced):
                await sink.finish()
        assert await running.under_store.list_contents(b"", 10) == []
        again = await running.write(DATA)
        assert session_of(again.content) == b"session2" == again.session


@pytest.mark.parametrize("budget", [0, BLOCK // 2, 2 * BLOCK + 100])
async def test_a_full_memory_tier_falls_through_to_disk(tmp_path: Path, budget: int) -> None:
    files = FaultyFiles()
    async with running_worker(tmp_path, files=files) as running:
        files.folder, files.budget_bytes = str(tmp_path / "mem"), budget
        written = await running.write(DATA)
        index = running.worker.store.index
        assert index.cached_bytes(written.content) == len(DATA)
        assert index.tiers["SSD"].used_bytes > 0
        assert (await running.read(written.content, len(DATA)))[1] == DATA
        files.folder = ""


@pytest.mark.parametrize("budget", [0, BLOCK // 2, 2 * BLOCK + 100])
async def test_a_cache_that_fails_never_fails_a_write_through(tmp_path: Path, budget: int) -> None:
    files = FaultyFiles()
    settings = config(tmp_path, ssd=0)
    async with running_worker(tmp_path, files=files, settings=settings) as running:
        files.folder, files.budget_bytes = str(tmp_path / "mem"), budget
        written = await running.write(DATA)
        assert written.persisted
        assert running.worker.store.index.cached_bytes(written.content) == 0
        assert await running.read(written.content, len(DATA)) == ("UNDER", DATA)
        files.folder = ""


@pytest.mark.parametrize("policy", [WritePolicy.MUST_CACHE, WritePolicy.ASYNC_THROUGH])
@pytest.mark.parametrize("budget", [0, BLOCK // 2, 2 * BLOCK + 100])
async def test_what_the_cache_cannot_take_goes_through(
    tmp_path: Path, policy: WritePolicy, budget: int
) -> None:
    files = FaultyFiles()
    settings = config(tmp_path, mem=0)
    async with running_worker(tmp_path, files=files, settings=settings) as running:
        files.folder, files.budget_bytes = str(tmp_path / "ssd"), budget
        written = await running.write(DATA, policy)
        assert written.policy is WritePolicy.THROUGH
        assert written.persisted
        assert (await running.read(written.content, len(DATA)))[1] == DATA
        files.folder = ""


@pytest.mark.parametrize(
    ("policy", "call"),
    [
        (WritePolicy.MUST_CACHE, "rename"),
        (WritePolicy.ASYNC_THROUGH, "rename"),
        (WritePolicy.ASYNC_THROUGH, "sync"),
        (WritePolicy.ASYNC_THROUGH, "sync_folder"),
    ],
)
@pytest.mark.parametrize("size", [BLOCK - 1, BLOCK, 3 * BLOCK, 3 * BLOCK + 1])
async def test_blocks_that_cannot_be_sealed_go_through(
    tmp_path: Path, policy: WritePolicy, size: int, call: str
) -> None:
    files = FaultyFiles()
    async with running_worker(tmp_path, files=files, settings=config(tmp_path, mem=0)) as running:
        files.folder, files.budget_bytes, files.failing = (
            str(tmp_path / "ssd"),
            1 << 30,
            {call: errno.ENOSPC},
        )
        written = await running.write(DATA[:1] * size, policy)
        assert written.policy is WritePolicy.THROUGH
        assert await running.read(written.content, size, cache=False) == ("UNDER", DATA[:1] * size)
        assert all(tier.taken_bytes == 0 for tier in running.worker.store.index.tiers.values())
        await running.worker.store.quiet()
        assert files_under(tmp_path / "ssd") == []


class _ForgetfulFiles(FaultyFiles):
    """A disk whose file system drops the pages of a file that it could not sync, as some do."""

    forgetful = False

    def sync(self, fd: int) -> None:
        try:
            super().sync(fd)
        except OSError:
            self.forgetful = True
            raise

    def read(self, fd: int, size_bytes: int, offset: int) -> bytes:
        data = super().read(fd, size_bytes, offset)
        return bytes(len(data)) if self.forgetful else data


async def test_what_a_failed_sync_has_lost_is_not_taken_for_the_content(tmp_path: Path) -> None:
    files = _ForgetfulFiles()
    settings = config(tmp_path, mem=0, hdd=64 * BLOCK)
    async with running_worker(tmp_path, files=files, settings=settings) as running:
        files.folder, files.budget_bytes = str(tmp_path / "ssd"), 1 << 30
        files.failing = {"sync": errno.EIO}
        with pytest.raises(ZerohopError):
            await running.write(DATA, WritePolicy.ASYNC_THROUGH)
        assert all(tier.taken_bytes == 0 for tier in running.worker.store.index.tiers.values())


async def test_what_cannot_be_noted_as_owed_goes_through(tmp_path: Path) -> None:
    files = FaultyFiles()
    async with running_worker(tmp_path, files=files) as running:
        files.folder, files.failing = str(tmp_path / "data"), {"create": errno.ENOSPC}
        written = await running.write(DATA, WritePolicy.ASYNC_THROUGH)
        assert written.policy is WritePolicy.THROUGH
        assert (await running.under_store.stat(written.content)).length == len(DATA)
        assert running.worker.contents.held == {}
        assert running.worker.store.index.tiers["SSD"].unpersisted_bytes == 0


@pytest.mark.parametrize("policy", [WritePolicy.MUST_CACHE, WritePolicy.ASYNC_THROUGH])
async def test_above_half_a_tier_the_policy_becomes_through(tmp_path: Path, policy: WritePolicy) -> None:
    async with running_worker(tmp_path, settings=config(tmp_path, mem=0, ssd=12 * BLOCK)) as running:
        await asyncio.wait_for(running.worker.persister.drain(5), 5)
        small = await running.write(os.urandom(2 * BLOCK), policy)
        assert small.policy is policy
        large = await running.write(os.urandom(7 * BLOCK), policy)
        assert large.policy is WritePolicy.THROUGH
        unknown = await running.write(os.urandom(9 * BLOCK), policy, announced=-1)
        assert unknown.policy is WritePolicy.THROUGH
        assert unknown.persisted


@pytest.mark.parametrize(
    ("call", "number", "error"),
    [
        ("create", errno.ENOSPC, OutOfSpace),
        ("sync", errno.EIO, UnderStoreFailed),
        ("rename", errno.EDQUOT, OutOfSpace),
        ("sync_folder", errno.EIO, UnderStoreFailed),
    ],
)
async def test_an_under_store_that_fails_leaves_nothing_of_the_write(
    tmp_path: Path, call: str, number: int, error: type[ZerohopError]
) -> None:
    files = FaultyFiles()
    async with running_worker(tmp_path, under_files=files) as running:
        files.folder, files.budget_bytes = str(tmp_path / "store"), 1 << 30
        files.failing = {call: number}
        with pytest.raises(error):
            await running.write(DATA)
        files.failing = {}
        assert await running.under_store.list_contents(b"", 10) == []
        assert all(tier.taken_bytes == 0 for tier in running.worker.store.index.tiers.values())
        again = await running.write(DATA)
        assert (await running.read(again.content, len(DATA)))[1] == DATA


class SlowStore(Files):
    """Writes below the store wait until they are let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.written_bytes = 0

    def write(self, fd: int, buffers: Sequence[Buffer]) -> None:
        if sum(len(buffer) for buffer in buffers) > 100:
            assert self.go.wait(30)
        self.written_bytes += sum(len(buffer) for buffer in buffers)
        super().write(fd, buffers)


async def test_a_slow_store_holds_the_sender_back(tmp_path: Path) -> None:
    files = SlowStore()
    async with running_worker(tmp_path, under_files=files) as running:
        sent = 0
        request = WriteContent(policy=WritePolicy.THROUGH, expected_bytes=-1)
        async with running.client.open_stream_in(request) as sink:
            while True:
                try:
                    async with asyncio.timeout(0.5):
                        await sink.write(bytes(256 << 10))
                except TimeoutError:
                    break
                sent += 256 << 10
                assert sent < 16 << 20
            files.go.set()

"""What a restart finds: warm tiers, owed contents, and nothing torn after a kill."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.worker.cluster_parts import BLOCK, CountingStore, config, files_under, running_worker
from tests.worker.faulty_files import FaultyFiles

from zerohop.errors import DataFolderInUse, Overloaded, UnderStoreFailed
from zerohop.model import WritePolicy
from zerohop.rpc.worker_api import DeleteContents, DiscardContents, ListContents
from zerohop_worker.identity import Identity
from zerohop_worker.worker import Worker

DATA = os.urandom(5 * BLOCK + 17)


async def test_the_disk_tier_stays_warm_and_memory_is_wiped(tmp_path: Path) -> None:
    async with running_worker(tmp_path, settings=config(tmp_path, mem=0)) as running:
        written = await running.write(DATA)
    (tmp_path / "ssd" / "staging" / "77").write_bytes(b"unfinished")
    stray = tmp_path / "mem" / "w-test" / "blocks" / "00"
    stray.mkdir(parents=True)
    (stray / "left by a killed process").write_bytes(b"x")
    async with running_worker(tmp_path, session=b"session2") as running:
        assert running.worker.store.index.cached_bytes(written.content) == len(DATA)
        assert (await running.read(written.content, len(DATA)))[1] == DATA
        assert running.under_store.reads == 0
        assert not list(stray.iterdir())
        assert files_under(tmp_path / "ssd" / "staging") == []
    assert not (tmp_path / "mem" / "w-test").exists()


async def test_damage_on_disk_is_found_at_the_first_read_after_a_restart(tmp_path: Path) -> None:
    async with running_worker(tmp_path, settings=config(tmp_path, mem=0)) as running:
        written = await running.write(DATA)
    victim = max(files_under(tmp_path / "ssd"), key=lambda path: path.stat().st_size)
    victim.chmod(0o600)
    victim.write_bytes(os.urandom(victim.stat().st_size))
    async with running_worker(tmp_path, session=b"session2") as running:
        assert (await running.read(written.content, len(DATA)))[1] == DATA
        assert running.worker.store.corrupt_blocks == 1
        assert running.under_store.reads == 1


async def test_a_smaller_quota_after_a_restart_is_kept(tmp_path: Path) -> None:
    async with running_worker(tmp_path, settings=config(tmp_path, mem=0)) as running:
        written = await running.write(DATA)
    async with running_worker(
        tmp_path, session=b"session2", settings=config(tmp_path, mem=0, ssd=2 * BLOCK)
    ) as run:
        assert run.worker.store.index.tiers["SSD"].taken_bytes <= 2 * BLOCK
        assert (await run.read(written.content, len(DATA)))[1] == DATA


async def test_what_is_owed_survives_a_store_that_is_down(tmp_path: Path) -> None:
    files = FaultyFiles()
    async with running_worker(tmp_path, under_files=files) as running:
        files.folder, files.budget_bytes = str(tmp_path / "store"), 0
        written = await running.write(DATA, WritePolicy.ASYNC_THROUGH)
        assert written.policy is WritePolicy.ASYNC_THROUGH
        assert not written.persisted
        assert (await running.read(written.content, len(DATA)))[1] == DATA
        running.worker.persister._stopped = True
        await running.worker.persister.drain(0.01)
        assert (await running.under_store.list_contents(b"", 10)) == []
    async with running_worker(tmp_path, session=b"session2") as running:
        told: list[bytes] = []
        running.worker.on_persisted = told.extend
        while not told:
            await asyncio.sleep(0)
        assert told == [written.content]
        stored = await running.under_store.stat(written.content)
        assert stored.length == len(DATA)
        assert files_under(tmp_path / "data" / "unpersisted") == []
        assert (await running.read(written.content, len(DATA)))[1] == DATA


async def test_persisting_goes_on_after_failures(tmp_path: Path) -> None:
    files = FaultyFiles()
    async with running_worker(tmp_path, under_files=files) as running:
        told: list[bytes] = []
        running.worker.on_persisted = told.extend
        files.folder, files.budget_bytes = str(tmp_path / "store"), BLOCK
        written = await running.write(DATA, WritePolicy.ASYNC_THROUGH)
        running.worker.persister._go_on()
        files.budget_bytes = 1 << 30
        while not told:
            await asyncio.sleep(0)
        assert told == [written.content]
        assert not any(copy.unpersisted for copy in running.worker.store.index.tiers["SSD"].copies.values())


@pytest.mark.parametrize("failure", [errno.EMFILE, errno.EIO])
async def test_an_owed_block_that_cannot_be_opened_now_is_kept(tmp_path: Path, failure: int) -> None:
    files = FaultyFiles()
    async with running_worker(tmp_path, files=files, settings=config(tmp_path, mem=0)) as running:
        told: list[bytes] = []
        running.worker.on_persisted = told.extend
        files.folder, files.budget_bytes = str(tmp_path / "ssd" / "blocks"), 1 << 30
        files.failing = {"open": failure}
        written = await running.write(DATA, WritePolicy.ASYNC_THROUGH)
        assert not written.persisted
        while running.worker.persister._retry is None:
            await asyncio.sleep(0)
        with pytest.raises((Overloaded, UnderStoreFailed)):
            await running.read(written.content, len(DATA))
        assert await running.worker.scrub.run_once() == 0
        files.failing = {}
        running.worker.persister._retry.cancel()
        running.worker.persister._go_on()
        while not told:
            await asyncio.sleep(0)
        assert (await running.read(written.content, len(DATA)))[1] == DATA
        assert running.worker.store.corrupt_blocks == 0


async def test_deleting_an_owed_content_forgets_it(tmp_path: Path) -> None:
    files = FaultyFiles()
    async with running_worker(tmp_path, under_files=files) as running:
        files.folder, files.budget_bytes = str(tmp_path / "store"), 0
        one = await running.write(DATA, WritePolicy.ASYNC_THROUGH)
        two = await running.write(DATA, WritePolicy.MUST_CACHE)
        listed = await running.client.call(ListContents(older_than_s=-1))
        assert listed.contents == (one.content, two.content)
        assert (await running.client.call(ListContents(older_than_s=1000))).contents == ()
        await running.client.call(DeleteContents(contents=(one.content,), under_store=True))
        await running.client.call(DiscardContents(contents=(two.content,)))
        assert (await running.client.call(ListContents(older_than_s=-1))).contents == ()
        assert files_under(tmp_path / "data" / "unpersisted") == []
        assert all(tier.taken_bytes == 0 for tier in running.worker.store.index.tiers.values())


async def test_listing_in_pages(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as running:
        written = [(await running.write(b"x" * 10)).content for _ in range(7)]
        found: list[bytes] = []
        after = b""
        while True:
            page = await running.client.call(ListContents(after=after, older_than_s=-2e9, limit=3))
            found.extend(page.contents)
            after = page.next_after
            if not after:
                break
        assert found == sorted(written)


async def test_a_tier_belongs_to_one_worker(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as running:
        written = await running.write(DATA)
        settings = replace(config(tmp_path / "b", mem=0), ssd_dir=str(tmp_path / "ssd"))
        store = CountingStore(tmp_path / "store", worker_id="w-2")
        other = Worker(settings, "w-2", store, running.clock)
        with pytest.raises(DataFolderInUse, match="SSD"):
            await other.start()
        assert (await running.read(written.content, len(DATA)))[1] == DATA


def test_one_identity_for_one_process(tmp_path: Path) -> None:
    identity = Identity(tmp_path / "data")
    with pytest.raises(DataFolderInUse):
        Identity(tmp_path / "data")
    identity.close()
    again = Identity(tmp_path / "data")
    assert again.worker_id == identity.worker_id
    again.close()


_CHILD = """
import asyncio, sys
from pathlib import Path
from tests.worker.cluster_parts import BLOCK, config, running_worker
from zerohop.model import WritePolicy

async def writes(running, policy):
    number = 0
    while True:
        data = bytes([number % 251]) * (3 * BLOCK + number)
        written = await running.write(data, policy)
        print(written.content.hex(), len(data), number % 251, policy.value, flush=True)
        number += 1

async def main():
    folder = Path(sys.argv[1])
    async with running_worker(folder, session=sys.argv[2].encode(), settings=config(folder, ssd=1 << 28)) as running:
        await asyncio.gather(*(writes(running, policy) for policy in
            (WritePolicy.THROUGH, WritePolicy.CACHE_THROUGH, WritePolicy.ASYNC_THROUGH)))

asyncio.run(main())
"""


async def test_kills_during_writes_lose_and_tear_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    acknowledged: list[tuple[bytes, int, int]] = []
    for round_number in range(3):
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _CHILD,
            str(tmp_path),
            f"session{round_number}",
            stdout=asyncio.subprocess.PIPE,
            env=environment,
        )
        assert child.stdout is not None
        for _ in range(20 + 7 * round_number):
            name, size, filled_with, _ = (await child.stdout.readline()).decode().split()
            acknowledged.append((bytes.fromhex(name), int(size), int(filled_with)))
        child.send_signal(signal.SIGKILL)
        await child.wait()
        await child.stdout.read()
    async with running_worker(
        tmp_path, session=b"sessionZ", settings=config(tmp_path, ssd=1 << 28)
    ) as running:
        for content, length, fill in acknowledged:
            assert (await running.read(content, length))[1] == bytes([fill]) * length
        while any(held.owed for held in running.worker.contents.held.values()):
            await asyncio.sleep(0)
        for stored in await running.under_store.list_contents(b"", 10_000):
            path = running.under_store.path(stored.content)
            assert len(set(path.read_bytes())) == 1
            assert 0 <= stored.length - 3 * BLOCK < 1000
        assert running.worker.store.corrupt_blocks == 0

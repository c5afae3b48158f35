"""Workers among themselves: blocks that come from the worker they belong to, and copies of what is not persisted."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from tests.worker.cluster_parts import (
    BLOCK,
    CountingStore,
    RunningWorker,
    config,
    files_under,
    running_worker,
)

from zerohop.client.placement import block_key, rank
from zerohop.errors import ContentNotFound, ZerohopError
from zerohop.model import ClusterSettings, WorkerInfo, WritePolicy
from zerohop.rpc.master_api import ClusterView
from zerohop.rpc.worker_api import (
    DiscardContents,
    GetWorkerReport,
    ReleaseReplicas,
    ReplicateContent,
    WorkerReport,
)
from zerohop_worker.checked_stream import PieceHeads

DATA = os.urandom(5 * BLOCK + 17)


class Workers:
    """Workers `w-0`, `w-1`, ... over one folder, each told by hand which of them are live."""

    def __init__(self, folder: Path, replicas: int) -> None:
        self.root = folder
        self.replicas = replicas
        self.all: dict[str, RunningWorker] = {}
        self.addresses: dict[
            str, str
        ] = {}  # at which workers are told to find a worker, where not at its own

    def tell(self, live: Sequence[str] | None = None, draining: Sequence[str] = ()) -> None:
        """Gives all workers the view in which these (else all) are live."""
        names = list(self.all) if live is None else live
        infos = tuple(
            WorkerInfo(
                worker_id=name,
                session=self.all[name].worker.contents.session,
                host_id=name,
                address=self.addresses.get(name) or str(self.all[name].client.address),
                unix_address="",
                descriptor_path="",
                draining=name in draining,
            )
            for name in names
        )
        settings = ClusterSettings(BLOCK, 8192, 0.02, 1, 60, self.replicas)
        view = ClusterView(
            view_version=1,
            users_generation=1,
            settings=settings,
            workers=infos,
            user_count=0,
            worker_count=len(self.all),
        )
        for running in self.all.values():
            running.worker.see(view)

    def __getitem__(self, number: int) -> RunningWorker:
        return self.all[f"w-{number}"]

    def holders(self, content: bytes) -> set[str]:
        return {name for name, running in self.all.items() if content in running.worker.contents.held}

    async def report(self, number: int) -> WorkerReport:
        return await self[number].client.call(GetWorkerReport())


@asynccontextmanager
async def workers(folder: Path, count: int, replicas: int = 2) -> AsyncIterator[Workers]:
    several = Workers(folder, replicas)
    async with AsyncExitStack() as stack:
        for number in range(count):
            name = f"w-{number}"
            store = CountingStore(folder / "store", worker_id=name)
            several.all[name] = await stack.enter_async_context(
                running_worker(
                    folder / name,
                    session=f"session{number}".encode(),
                    store=store,
                    settings=config(folder / name),
                    worker_id=name,
                )
            )
        several.tell()
        yield several


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0)


# ------------------------------------------------------------------------------------------------- passive copies


async def test_a_missing_block_comes_from_the_worker_it_belongs_to_and_stays(tmp_path: Path) -> None:
    async with workers(tmp_path, 3) as several:
        written = await several[0].write(DATA, WritePolicy.THROUGH)  # cached nowhere
        homes = [rank(block_key(written.content, index), several.all)[0] for index in range(6)]
        for number in range(3):
            assert (await several[number].read(written.content, written.length))[1] == DATA
        # Each block was fetched from the under-store once, by its home; the others asked that.
        for number in range(3):
            name = f"w-{number}"
            assert several[number].under_store.reads == homes.count(name)
        assert sum([(await several.report(number)).hits.get("PEER", 0) for number in range(3)]) > 0
        source, data = await several[1].read(written.content, written.length)
        assert (source, data) == ("MEM", DATA)


async def test_a_home_that_does_not_answer_is_done_without(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as several:
        written = await several[0].write(DATA, WritePolicy.THROUGH)
        homes = [rank(block_key(written.content, index), several.all)[0] for index in range(6)]
        several[1].under_store.gate.clear()  # its fetches hang
        reading = asyncio.create_task(several[0].read(written.content, written.length))
        await until(lambda: several[1].under_store.reads > 0 or reading.done())
        several.tell(["w-0"])  # the master has given it up: what was asked of it is cut
        assert (await reading)[1] == DATA
        assert several[0].under_store.reads >= homes.count("w-0")
        several[1].under_store.gate.set()


async def test_workers_that_would_wait_for_each_other_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each believes that the other is home to every block: a stale view. Both reads end."""
    async with workers(tmp_path, 2) as several:
        written = await several[0].write(DATA, WritePolicy.THROUGH)
        for number in range(2):
            other = f"w-{1 - number}"
            monkeypatch.setattr(several[number].worker.peers, "home", lambda *_block, other=other: other)
        reads = [several[number].read(written.content, written.length) for number in range(2)]
        async with asyncio.timeout(20):
            assert [data for _, data in await asyncio.gather(*reads)] == [DATA, DATA]


# ------------------------------------------------------------------------------------------------------- replicas


@pytest.mark.parametrize("replicas", [2, 3])
async def test_as_many_workers_hold_a_content_as_configured(tmp_path: Path, replicas: int) -> None:
    async with workers(tmp_path, 4, replicas) as several:
        for running in several.all.values():
            running.under_store.is_down = True
        written = await several[0].write(DATA, WritePolicy.ASYNC_THROUGH)
        assert (written.policy, written.persisted) == (WritePolicy.ASYNC_THROUGH, False)
        assert written.holders[0] == "w-0"
        assert len(set(written.holders)) == replicas
        assert several.holders(written.content) == set(written.holders)
        for name in written.holders:
            assert (await several.all[name].read(written.content, written.length))[1] == DATA
            marker = tmp_path / name / "data" / "unpersisted" / written.content.hex()
            assert marker.read_text() == f"{len(DATA)}\n"
        for running in several.all.values():
            running.under_store.is_down = False
        await several[0].worker.persister.drain(10)
        await until(lambda: not several.holders(written.content))  # the copies were released
        await until(
            lambda: not any(files_under(tmp_path / name / "data" / "unpersisted") for name in several.all)
        )


async def test_a_holder_persists_what_the_lost_first_worker_would_have(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as several:
        several[0].under_store.is_down = True
        told: list[bytes] = []
        several[1].worker.on_persisted = lambda contents: told.extend(contents)
        written = await several[0].write(DATA, WritePolicy.ASYNC_THROUGH)
        assert several.holders(written.content) == {"w-0", "w-1"}
        several.tell(["w-1"])
        await until(lambda: "w-1" not in several.holders(written.content))
        await until(lambda: told == [written.content])
        assert (await several[1].under_store.stat(written.content)).length == len(DATA)


async def test_a_lost_copy_is_replaced_while_the_under_store_is_down(tmp_path: Path) -> None:
    async with workers(tmp_path, 3) as several:
        for running in several.all.values():
            running.under_store.is_down = True
        told: list[tuple[bytes, tuple[str, ...]]] = []

        async def tell(content: bytes, holders: tuple[str, ...]) -> None:
            told.append((content, holders))

        several[0].worker.replication.tell_holders = tell
        written = await several[0].write(DATA, WritePolicy.ASYNC_THROUGH)
        lost = written.holders[1]
        other = ({"w-1", "w-2"} - {lost}).pop()
        several.tell(["w-0", other])
        await several[0].worker.persister.drain(10)  # tries once more, and fails
        await until(lambda: bool(told))
        assert told == [(written.content, (other,))]
        assert (await several.all[other].read(written.content, written.length))[1] == DATA
        several[0].under_store.is_down = False
        await several[0].worker.persister.drain(10)
        await until(lambda: several.holders(written.content) == {lost})  # which nobody could tell


async def test_a_copy_that_is_never_released_is_persisted_after_a_while(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as several:
        several[0].under_store.is_down = True
        written = await several[0].write(DATA, WritePolicy.ASYNC_THROUGH)
        several.tell()
        assert "w-1" in several.holders(written.content)
        several[1].clock.advance(61)
        several.tell()
        await until(lambda: "w-1" not in several.holders(written.content))


async def test_without_enough_workers_a_content_goes_through(tmp_path: Path) -> None:
    async with workers(tmp_path, 3, replicas=2) as several:
        several.tell(["w-0"])
        alone = await several[0].write(DATA, WritePolicy.ASYNC_THROUGH)
        several.tell(draining=["w-1", "w-2"])
        others_leave = await several[0].write(DATA, WritePolicy.ASYNC_THROUGH)
        for written in (alone, others_leave):
            assert (written.policy, written.persisted, written.holders) == (WritePolicy.THROUGH, True, ())


async def test_a_single_worker_holds_alone(tmp_path: Path) -> None:
    async with workers(tmp_path, 1) as several:
        written = await several[0].write(DATA, WritePolicy.ASYNC_THROUGH)
        assert (written.policy, written.holders) == (WritePolicy.ASYNC_THROUGH, ("w-0",))


async def test_a_chain_that_breaks_makes_the_content_go_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with workers(tmp_path, 2) as several:
        monkeypatch.setattr(several[1].worker.persister, "may_hold", lambda _policy, _size: False)
        written = await several[0].write(DATA, WritePolicy.ASYNC_THROUGH)
        assert (written.policy, written.persisted) == (WritePolicy.THROUGH, True)
        assert not several.holders(written.content)
        assert (await several[1].read(written.content, written.length))[1] == DATA


async def test_a_write_that_is_cut_leaves_nothing_anywhere(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as several:
        with suppress(ZerohopError):
            await several[0].write(DATA, WritePolicy.ASYNC_THROUGH, announced=len(DATA) + 1)
        await until(lambda: not any(running.worker.contents.writing for running in several.all.values()))
        await until(
            lambda: not any(files_under(tmp_path / name / "data" / "unpersisted") for name in several.all)
        )
        assert not any(running.worker.contents.held for running in several.all.values())


async def test_what_the_writer_discards_is_void_at_all_holders(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as several:
        for running in several.all.values():
            running.under_store.is_down = True
        written = await several[0].write(DATA, WritePolicy.ASYNC_THROUGH)
        await several[0].client.call(DiscardContents(contents=(written.content,)))
        index = several[1].worker.store.index
        await until(lambda: not several.holders(written.content) and not index.cached_bytes(written.content))
        with pytest.raises(ContentNotFound):
            await several[1].read(written.content, written.length)


async def test_a_copy_survives_the_restart_of_its_holder(tmp_path: Path) -> None:
    content = b"session7" + (5).to_bytes(7, "big") + bytes((BLOCK.bit_length() - 1,))
    async with workers(tmp_path, 1) as several:
        request = ReplicateContent(content=content, first="w-7", expected_bytes=len(DATA))
        async with several[0].client.open_stream_in(request) as sink:
            await sink.write(PieceHeads().head([DATA]))
            await sink.write(DATA)
            assert (await sink.finish()).holders == ("w-0",)
        await several[0].client.call(ReleaseReplicas(contents=(bytes(16),)))  # unknown: skipped
        several[0].worker.persister._stopped = True  # as if it were killed before it could persist it
    async with workers(tmp_path, 1) as several:
        await several[0].worker.persister.drain(10)
        assert (await several[0].under_store.stat(content)).length == len(DATA)
        assert (await several[0].read(content, len(DATA)))[1] == DATA

"""Two masters on one store: one of them keeps house, and the other takes over when it is silent."""

from __future__ import annotations

import logging

import pytest
from tests.namespace.harness import FakeContents, Harness

from zerohop.clock import ManualClock
from zerohop.errors import PeerUnavailable
from zerohop.model import WorkerInfo
from zerohop.rpc.worker_api import ContentPage
from zerohop_master.cluster import Cluster
from zerohop_master.housekeeping import Housekeeping
from zerohop_master.kv.memory import MemoryStore
from zerohop_master.secret_box import SecretBox
from zerohop_master.users import Users


def housekeeping(master: Harness, contents: FakeContents) -> Housekeeping:
    users = Users(master.namespace, SecretBox.ephemeral())
    cluster = Cluster(master.namespace, master.workers, users, master.clock, kv_engine="memory")
    return Housekeeping(master.namespace, master.workers, cluster, contents, master.clock, grace_s=30.0)


async def test_one_master_keeps_house_and_another_takes_over() -> None:
    clock = ManualClock()
    store = MemoryStore(now=clock.now_s)
    first = await Harness.start(store, clock)
    await first.create_bucket()
    second = first.another()
    await second.workers.load()
    jobs = [housekeeping(master, first.contents) for master in (first, second)]

    await first.put("a", first.new_content(1))
    await first.delete("a")
    await jobs[0].collect()
    clock.advance(31)
    for master in (first, second):
        assert master.workers.membership.live()
    await jobs[1].collect()
    assert len(first.contents.held) == 1, "the lease is with the first"
    await jobs[0].collect()
    assert not first.contents.held

    await first.put("b", first.new_content(1))
    await first.delete("b")
    clock.advance(61)
    await jobs[1].collect()
    assert not first.contents.held
    await first.put("c", first.new_content(1))
    await first.delete("c")
    clock.advance(31)
    await jobs[0].collect()
    assert len(first.contents.held) == 1, "the first was silent for too long, and finds out"
    await jobs[1].collect()
    assert not first.contents.held


async def test_an_idle_master_writes_next_to_nothing() -> None:
    clock = ManualClock()
    store = MemoryStore(now=clock.now_s)
    master = await Harness.start(store, clock)
    jobs = housekeeping(master, master.contents)
    before = store.counters.commits
    for _ in range(19):
        await jobs.collect()
        clock.advance(1)
    assert store.counters.commits - before == 1


class _OneIsLost(FakeContents):
    """A worker hangs, is given up, and its connection is closed while it is asked."""

    lost = ""

    async def contents(self, worker: WorkerInfo, after: bytes, older_than_s: float) -> ContentPage:
        if worker.worker_id == self.lost:
            raise PeerUnavailable("the client is closed")
        return await super().contents(worker, after, older_than_s)


@pytest.mark.parametrize("lost", ["w1", "w2"])
async def test_a_worker_that_is_lost_during_a_sweep_keeps_none_from_being_swept(
    lost: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    store = MemoryStore(now=clock.now_s)
    master = await Harness.start(store, clock)
    await master.register("w2")
    contents = _OneIsLost(clock)
    master.contents = contents
    jobs = housekeeping(master, contents)
    master.new_content(1)
    clock.advance(901)
    for worker_id in ("w1", "w2"):
        await master.register(worker_id)
    contents.lost = lost
    await jobs.sweep()
    assert not contents.held
    assert jobs.done.sweeps == 0
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    contents.lost = ""
    await jobs.sweep()
    assert jobs.done.sweeps == 1

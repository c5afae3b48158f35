"""Forgetting a worker: only a lost one, and what it alone held is named."""

from __future__ import annotations

import pytest
from tests.namespace.harness import Harness, register_worker

from zerohop.errors import AccessDenied, InvalidRequest, NotFound, SessionFenced
from zerohop.model import ADMIN, ANONYMOUS
from zerohop.rpc.master_api import ForgetWorker, ListUnpersisted, NewContent, WorkerForgotten
from zerohop_master import holders
from zerohop_master.kv.memory import MemoryStore


@pytest.fixture
async def master() -> Harness:
    found = await Harness.start(MemoryStore())
    await found.create_bucket()
    return found


async def forget(master: Harness, worker_id: str = "w1") -> WorkerForgotten:
    return await master.workers.forget(ForgetWorker(caller=ADMIN, worker_id=worker_id))


def held(master: Harness, length: int, *holders: str) -> NewContent:
    new = master.new_content(length, persisted=False)
    return NewContent(
        content=new.content, length=length, worker_id="w1", persisted=False, holders=("w1", *holders)
    )


def lose(master: Harness) -> None:
    master.clock.advance(6)
    assert master.workers.expire()


async def test_a_live_worker_is_refused_with_what_to_do(master: Harness) -> None:
    with pytest.raises(InvalidRequest, match="stop it first"):
        await forget(master)
    with pytest.raises(NotFound, match="no worker 'w7' is known"):
        await forget(master, "w7")
    with pytest.raises(AccessDenied):
        await master.workers.forget(ForgetWorker(caller=ANONYMOUS, worker_id="w1"))
    assert master.workers.membership.count() == 1


async def test_what_it_alone_held_is_named(master: Harness) -> None:
    await master.put("alone", held(master, 100))
    await master.put("elsewhere too", held(master, 7, "w2"))
    await master.put("persisted", master.new_content(5))
    await master.put("deleted", held(master, 3))
    await master.delete("deleted")
    upload = await master.create_upload("of parts")
    parts = [await master.put_part(upload, 1, 11, persisted=False)]
    await master.complete(upload, parts)
    await master.put_part(await master.create_upload("open"), 4, 13, persisted=False)
    lose(master)
    await master.workers.register(register_worker("w2"))
    found = await forget(master)
    assert {one.length: one.names for one in found.lost if one.length != 3} == {
        100: ("b/alone",),
        11: ("b/of parts",),
        13: ("part 4 of an open upload",),
    }
    assert (found.count, found.size_bytes) == (
        len(found.lost),
        sum(one.length for one in found.lost),
    )
    assert master.workers.membership.count() == 1
    assert (await master.lookup("alone")).holders  # it is still said who had it


async def test_what_a_lost_worker_may_bring_back_is_not_lost(master: Harness) -> None:
    await master.workers.register(register_worker("w2"))
    await master.put("k", held(master, 7, "w2"))
    lose(master)
    assert (await forget(master)).count == 0
    found = await forget(master, "w2")  # the last one that was waited for
    assert [one.names for one in found.lost] == [("b/k",)]


async def test_its_late_writes_are_fenced_and_it_may_return(master: Harness) -> None:
    late = held(master, 9)
    await master.put("held", held(master, 8))
    lose(master)
    await forget(master)
    with pytest.raises(SessionFenced):
        await master.put("late", late)
    with pytest.raises(NotFound):
        await forget(master)
    successor = master.another()
    await successor.workers.load()
    assert successor.workers.membership.count() == 0
    await master.register()
    assert master.workers.membership.is_live("w1")
    page = await holders.list_unpersisted(master.namespace, ListUnpersisted(worker_id="w1"))
    assert [segment.length for segment in page.contents] == [8]

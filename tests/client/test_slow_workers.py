"""Workers that live and are slow: reads and writes go elsewhere, in bounded numbers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from zerohop.client import hedging, liveness
from zerohop.model import WritePolicy

DATA = os.urandom(4096 * 3 + 100)


@pytest.fixture(autouse=True)
async def _no_callback_fails() -> AsyncIterator[None]:
    """What a callback raises would only be logged."""
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context))
    yield
    assert not failures


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds takes moments."""
    monkeypatch.setattr(hedging, "_SHORTEST_DELAY_S", 0.05)
    monkeypatch.setattr(hedging, "_CREDIT_S", 0.1)
    monkeypatch.setattr(liveness, "_ASK_AFTER_S", 0.05)
    monkeypatch.setattr(liveness, "_ANSWER_WITHIN_S", 0.2)


async def read(client: Any, content: bytes, offset: int = 0, holders: Any = ()) -> bytes:
    size = len(DATA) - offset
    async with aclosing(client.blocks.read(content, len(DATA), offset, size, holders=holders)) as pieces:
        return b"".join([bytes(piece) async for piece in pieces])


async def two_workers(cluster: Any, *, local: bool = False) -> tuple[Any, Any, Any, bytes]:
    """The client, the worker that it asks first, the other one, and a content that both have."""
    workers = [await cluster.worker("w1", local=local), await cluster.worker("w2", local=False)]
    content = workers[0].add(1, DATA)
    workers[1].add(1, DATA)
    client = await cluster.client()
    if client.workers.for_read(content, 0, ())[0].worker_id == "w2":
        workers.reverse()
    return client, *workers, content


async def test_a_read_whose_worker_is_late_is_served_by_the_next(cluster: Any) -> None:
    client, slow, fast, content = await two_workers(cluster)
    slow.read_gate.clear()
    assert await read(client, content) == DATA
    assert (len(slow.reads), len(fast.reads)) == (1, 1)
    assert (client.workers.hedging.hedges, client.workers.hedging.wins) == (1, 1)


async def test_the_first_worker_serves_it_when_the_hedge_is_even_later(cluster: Any) -> None:
    client, first, second, content = await two_workers(cluster)
    first.read_gate.clear()
    second.read_gate.clear()
    reading = asyncio.create_task(read(client, content))
    while not second.reads:
        await asyncio.sleep(0)
    first.read_gate.set()
    assert await reading == DATA
    assert (client.workers.hedging.hedges, client.workers.hedging.wins) == (1, 0)
    assert len(second.reads) == 1


@pytest.mark.parametrize("which", ["first", "hedge"])
async def test_when_one_of_the_two_fails_the_other_is_waited_for(cluster: Any, which: str) -> None:
    client, first, second, content = await two_workers(cluster)
    first.read_gate.clear()
    second.read_gate.clear()
    reading = asyncio.create_task(read(client, content))
    while not second.reads:
        await asyncio.sleep(0)
    failing, other = (first, second) if which == "first" else (second, first)
    del failing.contents[content]
    failing.cut_after = 0
    await failing.stop()
    other.read_gate.set()
    assert await reading == DATA
    assert client.workers.avoided() == {failing.worker_id}


async def test_a_worker_that_keeps_losing_is_avoided(cluster: Any) -> None:
    client, slow, fast, content = await two_workers(cluster)
    slow.read_gate.clear()
    for _ in range(6):
        assert await read(client, content) == DATA
    assert client.workers.avoided() == {slow.worker_id}
    assert (len(slow.reads), len(fast.reads)) == (3, 6)


async def test_many_readers_of_a_slow_worker_send_few_hedges_and_all_end(cluster: Any) -> None:
    client, slow, fast, content = await two_workers(cluster)
    slow.read_gate.clear()
    assert await asyncio.gather(*(read(client, content) for _ in range(40))) == [DATA] * 40
    assert client.workers.hedging.hedges <= 8 + 80 / 10
    assert len(fast.reads) == 40


async def test_a_trickle_is_left_for_another_worker_at_the_byte_reached(cluster: Any) -> None:
    client, slow, fast, content = await two_workers(cluster)
    slow.trickle = 1000
    slow.read_gate.clear()
    assert await read(client, content) == DATA
    assert [(request.offset, request.length) for request in fast.reads] == [(1000, len(DATA) - 1000)]


async def test_the_only_worker_may_be_as_slow_as_it_likes(cluster: Any) -> None:
    worker = await cluster.worker("w1", local=False)
    content = worker.add(1, DATA)
    client = await cluster.client()
    worker.trickle = 1000
    worker.read_gate.clear()
    reading = asyncio.create_task(read(client, content))
    await asyncio.wait((reading,), timeout=0.3)
    assert not reading.done()
    worker.read_gate.set()
    assert await reading == DATA
    assert client.workers.hedging.hedges == 0


async def test_a_descriptor_that_is_late_is_done_without(cluster: Any) -> None:
    client, slow, fast, content = await two_workers(cluster, local=True)
    slow.gate.clear()
    slow.read_gate.clear()
    assert await client.blocks.open(content, len(DATA), 0) is None
    assert await read(client, content) == DATA
    assert client.workers.hedging.wins == 1
    assert fast.reads
    assert not slow.reads  # its descriptor would have done
    slow.gate.set()
    while client.blocks.cached(content, 0) is None:  # and is kept for the next reader
        await asyncio.sleep(0)


async def test_a_descriptor_that_comes_after_all_serves_the_reader(cluster: Any) -> None:
    client, slow, fast, content = await two_workers(cluster, local=True)
    slow.gate.clear()
    fast.read_gate.clear()
    assert await client.blocks.open(content, len(DATA), 1) is None
    reading = asyncio.create_task(read(client, content, offset=5000))
    while not fast.reads:
        await asyncio.sleep(0)
    slow.gate.set()
    assert await reading == DATA[5000:]
    assert client.workers.hedging.wins == 0


async def test_a_descriptor_from_the_only_worker_is_waited_for(cluster: Any) -> None:
    worker = await cluster.worker("w1")
    content = worker.add(1, DATA)
    client = await cluster.client()
    worker.gate.clear()
    opening = asyncio.create_task(client.blocks.open(content, len(DATA), 0))
    await asyncio.wait((opening,), timeout=0.3)
    assert not opening.done()
    worker.gate.set()
    (await opening).release()


async def test_a_write_to_a_worker_that_hangs_moves_to_another(cluster: Any) -> None:
    near, far = await cluster.worker("w1"), await cluster.worker("w2", local=False)
    near.hang = True
    client = await cluster.client()
    async with client.writer.open(WritePolicy.THROUGH, 1000) as sink:
        await sink.write(b"x" * 1000)
        assert (await sink.finish()).worker_id == "w2"
    assert client.workers.avoided() == {"w1"}
    assert not near.contents
    assert list(far.contents.values()) == [b"x" * 1000]


async def test_a_write_to_a_worker_that_is_busy_waits_for_it(cluster: Any) -> None:
    worker = await cluster.worker("w1")
    await cluster.worker("w2", local=False)
    worker.write_gate.clear()
    client = await cluster.client()

    async def write() -> str:
        async with client.writer.open(WritePolicy.THROUGH, 1000) as sink:
            await sink.write(b"x" * 1000)
            return str((await sink.finish()).worker_id)

    writing = asyncio.create_task(write())
    while worker.questions < 3:
        await asyncio.sleep(0)
    worker.write_gate.set()
    assert await writing == "w1"

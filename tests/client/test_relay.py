"""Reading over RPC: whole or an error, from whichever worker can."""

from __future__ import annotations

import os
from typing import Any

import pytest

from zerohop.errors import ContentLost, ContentNotFound, NoWorker, UnderStoreFailed

DATA = os.urandom(4096 * 3 + 100)


async def read_all(
    client: Any, content: bytes, offset: int = 0, size: int = len(DATA), holders: Any = ()
) -> bytes:
    return b"".join(
        [
            bytes(piece)
            async for piece in client.blocks.read(content, len(DATA), offset, size, holders=holders)
        ]
    )


@pytest.mark.parametrize("offset, size", [(0, len(DATA)), (4095, 2), (5000, 0), (len(DATA) - 1, 1)])
async def test_range(cluster: Any, offset: int, size: int) -> None:
    worker = await cluster.worker("w1", local=False)
    content = worker.add(1, DATA)
    client = await cluster.client()
    assert await read_all(client, content, offset, size) == DATA[offset : offset + size]


async def test_goes_on_at_another_worker_from_the_byte_reached(cluster: Any) -> None:
    one, two = await cluster.worker("w1", local=False), await cluster.worker("w2", local=False)
    content = one.add(1, DATA)
    two.add(1, DATA)
    client = await cluster.client()
    first, second = (one, two) if client.workers.for_read(content, 0, ())[0].worker_id == "w1" else (two, one)
    first.cut_after = 5000
    assert await read_all(client, content) == DATA
    assert [(read.offset, read.length) for read in second.reads] == [(5000, len(DATA) - 5000)]


async def test_worker_that_is_gone_is_passed_over_before_the_master_knows(cluster: Any) -> None:
    one, two = await cluster.worker("w1"), await cluster.worker("w2", local=False)
    content = two.add(1, DATA)
    client = await cluster.client()
    await one.stop()
    assert await read_all(client, content) == DATA
    assert [worker.worker_id for worker in client.workers.for_read(content, 0, ())] == ["w2", "w1"]


async def test_fails_with_what_is_wrong_rather_than_ending_short(cluster: Any) -> None:
    worker = await cluster.worker("w1", local=False)
    content = worker.add(1, DATA)
    worker.cut_after = 0
    client = await cluster.client()
    with pytest.raises(UnderStoreFailed, match="on fire"):
        await read_all(client, content)


async def test_content_that_nobody_has(cluster: Any) -> None:
    worker = await cluster.worker("w1", local=False)
    await cluster.worker("w2", local=False)
    content = worker.add(1, DATA)
    worker.contents.clear()
    client = await cluster.client()
    with pytest.raises(ContentNotFound):
        await read_all(client, content)


async def test_holder_comes_first_wherever_it_is(cluster: Any) -> None:
    near, far = await cluster.worker("w1"), await cluster.worker("w2", local=False)
    content = far.add(1, DATA)
    client = await cluster.client()
    assert await read_all(client, content, holders=("w2",)) == DATA
    assert not near.reads


async def test_no_worker_at_all(cluster: Any) -> None:
    client = await cluster.client()
    with pytest.raises(NoWorker):
        await read_all(client, b"x" * 15 + b"\x0c")


async def test_what_only_lost_workers_held_is_reported_as_lost(cluster: Any) -> None:
    worker = await cluster.worker("w1")
    content = worker.add(1, DATA)
    worker.contents.clear()
    client = await cluster.client()
    with pytest.raises(ContentLost, match="lost worker w9"):
        await read_all(client, content, holders=("w9",))
    # No descriptor is passed of it either, and the worker's ignorance is not taken for the truth.
    assert await client.blocks.open(content, len(DATA), 0, holders=("w9",)) is None


async def test_what_a_restarted_holder_has_no_more_is_reported_as_lost(cluster: Any) -> None:
    worker = await cluster.worker("w1", local=False)
    content = worker.add(1, DATA)
    worker.contents.clear()
    client = await cluster.client()
    with pytest.raises(ContentLost, match="restarted"):
        await read_all(client, content, holders=("w1",))

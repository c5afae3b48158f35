"""Asking the owners of mounted keys: a question finds a worker that answers, or fails as something to try again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from zerohop.client import mounts, relay
from zerohop.client.placement import origin_key, rank
from zerohop.client.relay import HowToRead
from zerohop.errors import DeadlineExceeded
from zerohop.model import ADMIN, OriginRef

MOUNT = b"mnt1"


async def asked(client: Any) -> str:
    found = await client.mounts.resolve(ADMIN, MOUNT, "bucket", "key")
    return str(found.record.etag)


async def test_the_next_worker_answers_for_an_owner_that_dies_over_it(cluster: Any) -> None:
    workers = {name: await cluster.worker(name) for name in ("w1", "w2")}
    client = await cluster.client()
    first, second = rank(origin_key(MOUNT, "key"), workers)
    workers[first].resolve_gate.clear()
    asking = asyncio.create_task(asked(client))
    await workers[first].resolving.wait()
    await workers[first].stop()
    assert await asking == second


async def test_the_next_worker_answers_for_an_owner_that_hangs(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zerohop.client.liveness._ASK_AFTER_S", 0.05)
    monkeypatch.setattr("zerohop.client.liveness._ANSWER_WITHIN_S", 0.05)
    workers = {name: await cluster.worker(name) for name in ("w1", "w2")}
    client = await cluster.client()
    first, second = rank(origin_key(MOUNT, "key"), workers)
    workers[first].resolve_gate.clear()
    workers[first].hang = True
    assert await asked(client) == second


async def test_an_owner_that_waits_for_its_origin_is_waited_for(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zerohop.client.liveness._ASK_AFTER_S", 0.01)
    worker = await cluster.worker("w1")
    await cluster.worker("w2")
    client = await cluster.client()
    if rank(origin_key(MOUNT, "key"), ["w1", "w2"])[0] != "w1":
        worker = cluster.master.workers[1]
    worker.resolve_gate.clear()
    asking = asyncio.create_task(asked(client))
    while worker.questions < 3:
        await asyncio.sleep(0)
    worker.resolve_gate.set()
    assert await asking == worker.worker_id


async def test_the_only_worker_is_waited_for_while_it_restarts(cluster: Any) -> None:
    worker = await cluster.worker("w1")
    client = await cluster.client()
    assert await asked(client) == "w1"
    await worker.stop()
    asking = asyncio.create_task(asked(client))
    while not client.workers.avoided():
        await asyncio.sleep(0)
    await worker.start()
    assert await asking == "w1"


async def test_an_origin_that_does_not_answer_is_no_unknown_outcome(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "_ASK_TIMEOUT_S", 0.05)
    worker = await cluster.worker("w1")
    worker.resolve_gate.clear()
    client = await cluster.client()
    with pytest.raises(DeadlineExceeded):
        await asked(client)


async def test_bytes_that_do_not_come_are_no_unknown_outcome(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "_ORIGIN_STALL_S", 0.05)
    monkeypatch.setattr(relay, "_PATIENCE_S", 0.0)
    worker = await cluster.worker("w1", local=False)
    content = worker.add(1, b"data")
    worker.read_gate.clear()
    client = await cluster.client()
    how = HowToRead(OriginRef(MOUNT, "key", "etag", 1))
    with pytest.raises(DeadlineExceeded):
        async for _piece in client.blocks.read(content, 4, 0, 4, how=how):
            pass

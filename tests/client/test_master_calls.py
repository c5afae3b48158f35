"""Calls to the master: repeated with the same id while they may be, and never when the answer is one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from zerohop.client import ClusterClient
from zerohop.errors import (
    BucketAlreadyOwned,
    ConfigError,
    OutcomeUnknown,
    Overloaded,
    PeerUnavailable,
    StoreFailed,
)
from zerohop.model import ADMIN, BucketRecord
from zerohop.rpc.call import Call
from zerohop.rpc.master_api import BucketResult, CreateBucket
from zerohop.rpc.mutation import new_mutation_id


def creation() -> CreateBucket:
    return CreateBucket(caller=ADMIN, bucket="b", mutation=new_mutation_id())


class Creations:
    """Answers a create: fails as told first, then makes it."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.seen: list[bytes] = []

    async def __call__(self, request: CreateBucket, _call: Call) -> BucketResult:
        self.seen.append(request.mutation)
        if self.failures:
            raise self.failures.pop(0)
        return BucketResult(
            bucket=BucketRecord(name=request.bucket, bucket_id=b"12345678", owner="o", created_ms=1)
        )


async def restarted(cluster: Any, handler: Creations) -> None:
    await cluster.master.stop()
    cluster.master.handlers[CreateBucket] = handler
    await cluster.master.start()


@pytest.mark.parametrize("failure", [OutcomeUnknown("?"), Overloaded("!"), PeerUnavailable("gone")])
async def test_mutation_is_repeated_with_its_id(cluster: Any, failure: Exception) -> None:
    creations = Creations(failure, failure)
    await restarted(cluster, creations)
    client = await cluster.client()
    assert (await client.call(creation())).bucket.name == "b"
    assert len(creations.seen) == 3
    assert len(set(creations.seen)) == 1


async def test_an_answer_is_not_repeated(cluster: Any) -> None:
    creations = Creations(BucketAlreadyOwned())
    await restarted(cluster, creations)
    client = await cluster.client()
    with pytest.raises(BucketAlreadyOwned):
        await client.call(creation())
    assert len(creations.seen) == 1


async def test_an_outcome_once_unknown_is_never_reported_as_not_done(cluster: Any) -> None:
    creations = Creations(OutcomeUnknown("?"), *[PeerUnavailable("gone")] * 1000)
    await restarted(cluster, creations)
    client = await cluster.client()
    with pytest.raises(OutcomeUnknown):
        await client.call(creation(), timeout_s=0.2)


async def test_a_store_that_fails_afterwards_says_nothing_of_an_unknown_outcome(cluster: Any) -> None:
    # The log of the store may hold the first sending: then it is there once the store has been opened anew.
    creations = Creations(OutcomeUnknown("?"), StoreFailed("it stopped writing"))
    await restarted(cluster, creations)
    client = await cluster.client()
    with pytest.raises(OutcomeUnknown):
        await client.call(creation())
    assert len(creations.seen) == 2


async def test_call_waits_for_a_master_that_restarts(cluster: Any) -> None:
    creations = Creations()
    await restarted(cluster, creations)
    client = await cluster.client()
    await cluster.master.stop()
    call = asyncio.create_task(client.call(creation(), timeout_s=30))
    await asyncio.sleep(0)
    await cluster.master.start()
    assert (await call).bucket.name == "b"


async def test_next_address_is_tried_when_one_does_not_answer(cluster: Any, tmp_path: Path) -> None:
    addresses = [f"unix:{tmp_path}/nobody", cluster.master.address]
    async with await ClusterClient.connect(addresses, name="test", heartbeat=False) as client:
        assert client.master_address == cluster.master.address


async def test_connecting_to_nothing_fails_with_the_address(tmp_path: Path) -> None:
    with pytest.raises(PeerUnavailable, match="nobody"):
        await ClusterClient.connect([f"unix:{tmp_path}/nobody"], name="test", timeout_s=0.05)
    with pytest.raises(ConfigError):
        await ClusterClient.connect([], name="test")


async def test_heartbeats_carry_the_oldest_read_and_bring_the_view(cluster: Any) -> None:
    client = await cluster.client(heartbeat=True)
    assert cluster.master.beats[0].oldest_read_ms == 0
    assert client.view.workers == ()
    await cluster.worker("w1")
    with client.reading(), client.reading():
        seen = len(cluster.master.beats)
        while len(cluster.master.beats) < seen + 2:
            cluster.master.beat.clear()
            await asyncio.wait_for(cluster.master.beat.wait(), 10)
        assert cluster.master.beats[-1].oldest_read_ms > 0
    assert [worker.worker_id for worker in client.view.workers] == ["w1"]
    assert len({beat.proxy_id for beat in cluster.master.beats}) == 1


async def test_heartbeats_go_on_after_the_master_was_away(cluster: Any) -> None:
    client = await cluster.client(heartbeat=True)
    await cluster.master.stop()
    await cluster.worker("w1")
    await cluster.master.start()
    while not client.view.workers:
        cluster.master.beat.clear()
        await asyncio.wait_for(cluster.master.beat.wait(), 10)
        await asyncio.sleep(0)

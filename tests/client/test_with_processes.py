"""The client against real processes that die while it reads."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable

import pytest
from tests.support.cluster import Cluster

from zerohop.client import ClusterClient
from zerohop.client.objects import ObjectClient

MIB = 1 << 20


@pytest.mark.parametrize("victim", ["worker", "master"])
async def test_read_goes_on_when_a_process_is_killed(
    cluster_factory: Callable[..., Cluster], victim: str
) -> None:
    cluster = cluster_factory(proxies=1)
    data = os.urandom(40 * MIB)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(data), MIB):
            yield data[start : start + MIB]

    async with await ClusterClient.connect([cluster.running.master], name="test") as client:
        objects = ObjectClient(client)
        await objects.create_bucket("reads")
        await objects.write("reads", "k", chunks(), size_bytes=len(data))
        read = bytearray()
        async for chunk in objects.read("reads", "k"):
            if not read:
                cluster.kill(victim)
            read += chunk
        assert read == data
        again = b"".join([bytes(chunk) async for chunk in objects.read("reads", "k")])
        assert again == data
    cluster.wait_restarted(victim)

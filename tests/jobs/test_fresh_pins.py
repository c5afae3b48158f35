"""What pins new objects must not disturb those who write them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.jobs.mounted_folder import World

from zerohop.model import BucketRecord
from zerohop_master.jobs import copies, fresh_pins


async def test_a_write_while_the_rules_are_read_anew(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for bucket in ("one", "two"):
        await world.objects.create_bucket(bucket)
        await world.run("pin", bucket=bucket, recursive=True)
    reached, go, all_buckets = asyncio.Event(), asyncio.Event(), copies.all_buckets

    async def held_back(*arguments: Any) -> AsyncIterator[BucketRecord]:
        reached.set()
        await go.wait()
        async for bucket in all_buckets(*arguments):
            yield bucket

    monkeypatch.setattr(fresh_pins, "all_buckets", held_back)
    unpinning = asyncio.create_task(world.run("unpin", bucket="one", recursive=True))
    await reached.wait()
    try:
        await world.objects.write("one", "key", b"bytes" * 100_000)
    finally:
        go.set()
        await unpinning
    assert await world.read("key", bucket="one") == b"bytes" * 100_000

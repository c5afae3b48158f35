"""A cold read is answered before its row stands: what that means for who reads next."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.inprocess import in_process_cluster
from tests.jobs.mounted_folder import World
from tests.proxy.raw_http import RawConnection

from zerohop_worker.mounts.owner import Owner

GET = "GET /mnt/file HTTP/1.1"


async def test_who_reads_after_it_is_not_given_an_older_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, reached, go = Owner.commit, asyncio.Event(), asyncio.Event()

    async def held_back(self: Owner, *arguments: Any, **options: Any) -> Any:
        reached.set()
        await go.wait()
        return await commit(self, *arguments, **options)

    monkeypatch.setattr(Owner, "commit", held_back)
    async with (
        in_process_cluster() as cluster,
        World.of(cluster.master_address, tmp_path / "origin") as world,
        RawConnection(cluster.port) as raw,
    ):
        await world.mount(metadata_ttl_s=0.0, owner="anonymous")
        world.put("file", b"old" * 1000)
        first = await raw.request(GET)
        assert first.body == b"old" * 1000, first.body
        assert reached.is_set()
        assert not go.is_set()
        world.put("file", b"new" * 1001)
        reading = asyncio.create_task(raw.request(GET))
        await asyncio.wait((reading,), timeout=0.3)
        go.set()
        assert (await reading).body == b"new" * 1001

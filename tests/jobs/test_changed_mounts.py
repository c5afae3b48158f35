"""A mount that is changed while a worker hears nothing of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.inprocess import in_process_cluster
from tests.jobs.mounted_folder import World

from zerohop.errors import PeerUnavailable, SessionFenced
from zerohop.model import ADMIN
from zerohop.rpc import master_api as m
from zerohop.rpc.mutation import new_mutation_id
from zerohop_master.worker_calls import WorkerCalls
from zerohop_worker.membership import Membership
from zerohop_worker.mounts.registry import Registry


async def test_a_worker_that_was_away_asks_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would keep credentials that were taken from it, and a mount that is gone."""
    registries: set[Registry] = set()
    get, beat = Registry.get, Membership._beat

    async def noted(self: Registry, mount_id: bytes) -> Any:
        registries.add(self)
        return await get(self, mount_id)

    async def unheard(*_arguments: Any, **_options: Any) -> None:
        raise PeerUnavailable("nobody is told")

    async def fenced(self: Membership) -> None:
        monkeypatch.setattr(Membership, "_beat", beat)
        raise SessionFenced("this worker was lost")

    monkeypatch.setattr(Registry, "get", noted)
    async with (
        in_process_cluster() as cluster,
        World.of(cluster.master_address, tmp_path / "origin") as world,
    ):
        world.put("file", b"bytes")
        mount = await world.mount()
        assert await world.read("file") == b"bytes"
        (registry,) = registries
        monkeypatch.setattr(WorkerCalls, "drop_mount", unheard)
        monkeypatch.setattr(WorkerCalls, "open_mount", unheard)
        change = m.ChangeMount(caller=ADMIN, bucket="mnt", quota_bytes=1 << 30, mutation=new_mutation_id())
        await world.client.call(change)
        assert (await registry.get(mount.mount_id)).info.quota_bytes == 0
        monkeypatch.setattr(Membership, "_beat", fenced)
        async with asyncio.timeout(30):
            while (await registry.get(mount.mount_id)).info.quota_bytes == 0:
                await asyncio.sleep(0)
        assert await world.read("file") == b"bytes"

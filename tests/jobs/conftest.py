from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.inprocess import in_process_cluster
from tests.jobs.mounted_folder import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A cluster in this process, and a folder to mount."""
    settings = {"kv_engine": "sqlite", "block_size_bytes": 64 << 10, "lost_after_s": 5.0}
    async with (
        in_process_cluster(master=settings) as cluster,
        World.of(cluster.master_address, tmp_path / "origin") as world,
    ):
        yield world

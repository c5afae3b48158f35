from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.namespace.harness import Harness

from zerohop.clock import ManualClock
from zerohop_master.kv.interface import KeyValueStore
from zerohop_master.kv.memory import MemoryStore
from zerohop_master.kv.sqlite import SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    """A namespace with bucket `b` and worker `w1`, on each engine in turn."""
    clock = ManualClock()
    store: KeyValueStore
    if request.param == "memory":
        store = MemoryStore(now=clock.now_s)
    else:
        store = await SqliteStore.open(tmp_path / "metadata.sqlite", now=clock.now_s)
    harness = await Harness.start(store, clock)
    await harness.create_bucket()
    yield harness
    await store.close()

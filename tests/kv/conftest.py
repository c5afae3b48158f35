"""One suite for every engine: `store` is parametrized, `open_store` opens further ones of the same engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from zerohop_master.kv.interface import KeyValueStore
from zerohop_master.kv.memory import MemoryStore
from zerohop_master.kv.sqlite import SqliteStore


class Clock:
    """Wall time that moves when the test says so."""

    def __init__(self) -> None:
        self.now_s = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[KeyValueStore]:
    opened: KeyValueStore
    if request.param == "memory":
        opened = MemoryStore(now=clock)
    else:
        opened = await SqliteStore.open(tmp_path / "kv", now=clock)
    yield opened
    await opened.close()


@pytest.fixture
async def open_sqlite(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[SqliteStore]]]:
    """Opens the one database of the test; closes what is still open."""
    opened: list[SqliteStore] = []

    async def open_one(wal_limit_bytes: int = 32 << 20) -> SqliteStore:
        opened.append(await SqliteStore.open(tmp_path / "kv", wal_limit_bytes=wal_limit_bytes))
        return opened[-1]

    yield open_one
    for one in opened:
        await one.close()

"""Stamps of the SQLite engine: while they stand, the rows are those that a read gives."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from zerohop.errors import Conflict
from zerohop.rpc.change_board import BoardReader, Stamps
from zerohop_master.kv.interface import Commit, Row, RowIs
from zerohop_master.kv.sqlite import SqliteStore


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path / "kv", watched=b"k")
    yield opened
    await opened.close()


@pytest.fixture
async def reader(store: SqliteStore) -> AsyncIterator[BoardReader]:
    assert store.board is not None
    opened = BoardReader.open(str(store.board.path), store.board.token)
    assert opened is not None
    yield opened
    opened.close()


async def test_there_are_none_while_a_commit_is_in_flight(store: SqliteStore, reader: BoardReader) -> None:
    before = store.stamps([b"k"])
    assert reader.stands(before)
    committing = asyncio.create_task(store.commit(Commit(puts=[(b"k", b"1")])))
    await asyncio.sleep(0)  # the commit is handed over
    assert not reader.stands(before)
    assert store.stamps([b"k"]) == ()
    assert store.stamps([b"k", b"k2"]) == ()
    assert store.stamps([b"k2"])
    await committing
    assert reader.stands(store.stamps([b"k"]))


async def test_a_commit_that_fails_leaves_rows_that_can_be_kept(
    store: SqliteStore, reader: BoardReader
) -> None:
    with pytest.raises(Conflict):
        await store.commit(Commit(conditions=[RowIs(b"k", 7)], puts=[(b"k", b"1")]))
    assert reader.stands(store.stamps([b"k"]))


async def test_an_engine_without_a_board_gives_none(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "other")
    assert store.stamps([b"k"]) == ()
    await store.close()
    assert not list(tmp_path.glob("*.board"))


@pytest.mark.parametrize("seed", range(20))
async def test_what_stands_is_what_a_read_gives(store: SqliteStore, reader: BoardReader, seed: int) -> None:
    """Commits of all kinds in flight, several at a time; looked at in each turn of the loop."""
    dice = random.Random(seed)
    keys = [b"k%d" % number for number in range(6)]
    kept: list[tuple[list[bytes], list[Row | None], Stamps]] = []
    served = 0

    async def commit() -> None:
        first, second = dice.sample(keys, 2)
        conditions = [RowIs(first, 0)] if dice.random() < 0.3 else []
        deletes = [second] if dice.random() < 0.5 else []
        with contextlib.suppress(Conflict):
            await store.commit(Commit(conditions=conditions, puts=[(first, b"x")], deletes=deletes))

    commits: set[asyncio.Task[None]] = set()
    for _ in range(300):
        if dice.random() < 0.1 and len(commits) < 4:
            commits.add(asyncio.create_task(commit()))
        wanted = dice.sample(keys, dice.randint(1, 3))
        rows = await store.get(wanted)
        stamps = store.stamps(wanted)
        if stamps:
            kept.append((wanted, rows, stamps))
        for wanted, rows, stamps in kept:
            if reader.stands(stamps):
                served += 1
                assert rows == await store.get(wanted)
        await asyncio.sleep(0)
        commits = {task for task in commits if not task.done()}
        kept = kept[-50:]
    await asyncio.gather(*commits)
    assert served > 50, "hardly anything was kept, so hardly anything was tested"


async def test_a_store_that_is_opened_again_voids_what_was_kept(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "kv2", watched=b"k")
    assert store.board is not None
    reader = BoardReader.open(str(store.board.path), store.board.token)
    assert reader is not None
    stamps = store.stamps([b"k"])
    await store.close()
    assert reader.stands(stamps), "without a master nothing changes"
    store = await SqliteStore.open(tmp_path / "kv2", watched=b"k")
    assert not reader.stands(stamps)
    reader.close()
    await store.close()

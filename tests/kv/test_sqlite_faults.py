"""The SQLite engine when things go wrong: full disks, I/O errors, foreign and newer files, two processes, kills."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from zerohop.errors import Conflict, DataFolderInUse, FormatTooNew, LeaseLost, OutcomeUnknown, StoreFailed
from zerohop_master.kv.interface import Commit, RowIs
from zerohop_master.kv.limits import prefix_end
from zerohop_master.kv.sqlite import SqliteStore

OpenSqlite = Callable[..., Awaitable[SqliteStore]]
CHILD = Path(__file__).with_name("committing_child.py")


async def put(store: SqliteStore, key: bytes, value: bytes = b"value") -> int:
    return await store.commit(Commit(puts=[(key, value)]))


async def all_keys(store: SqliteStore) -> set[bytes]:
    return {row.key for row in await store.scan(b"", prefix_end(b""), limit=1_000_000)}


async def test_a_lease_ends_with_the_process_that_held_it(open_sqlite: OpenSqlite) -> None:
    """It was killed, perhaps: nobody waits for the end of its time. What it was about to commit is fenced off."""
    store = await open_sqlite()
    old = await store.lease("housekeeping", "life 1", ttl_s=3600)
    await store.close()
    store = await open_sqlite()
    new = await store.lease("housekeeping", "life 2", ttl_s=3600)
    assert new.epoch == old.epoch + 1
    with pytest.raises(Conflict):
        await store.commit(Commit([RowIs(old.key, old.version)], [(b"w", b"late")]))
    with pytest.raises(LeaseLost):
        await store.lease("housekeeping", "life 3", ttl_s=3600)


async def test_numbers_grow_across_restarts_and_deletes(open_sqlite: OpenSqlite) -> None:
    last = 0
    for _ in range(3):
        store = await open_sqlite()
        number = await put(store, b"a")
        assert number > last
        last = await store.commit(Commit(deletes=[b"a"]))
        assert last > number
        await store.close()


async def test_a_second_opener_is_refused_and_the_first_goes_on(open_sqlite: OpenSqlite) -> None:
    store = await open_sqlite()
    with pytest.raises(DataFolderInUse, match="another process"):
        await open_sqlite()
    await put(store, b"a")
    await store.close()
    assert await all_keys(await open_sqlite()) == {b"a"}


async def test_a_newer_format_is_refused_untouched(open_sqlite: OpenSqlite, tmp_path: Path) -> None:
    await (await open_sqlite()).close()
    with sqlite3.connect(tmp_path / "kv") as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    before = (tmp_path / "kv").read_bytes()
    with pytest.raises(FormatTooNew, match="format 99"):
        await open_sqlite()
    assert (tmp_path / "kv").read_bytes() == before


async def test_foreign_files_are_refused_untouched(open_sqlite: OpenSqlite, tmp_path: Path) -> None:
    (tmp_path / "kv").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreFailed):
        await open_sqlite()
    assert (tmp_path / "kv").read_bytes() == b"not a database at all" * 100
    (tmp_path / "kv").unlink()
    with sqlite3.connect(tmp_path / "kv") as connection:
        connection.execute("CREATE TABLE recipes(name)")
    connection.close()
    with pytest.raises(StoreFailed, match="another program"):
        await open_sqlite()


async def test_a_missing_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match="no-such-folder"):
        await SqliteStore.open(tmp_path / "no-such-folder" / "kv")


async def test_files_are_readable_by_their_owner_only(open_sqlite: OpenSqlite, tmp_path: Path) -> None:
    store = await open_sqlite()
    await put(store, b"a")
    await store.backup(str(tmp_path / "copy"))
    files = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert files == dict.fromkeys(["kv", "kv-wal", "kv-shm", "kv.lock", "copy"], 0o600)


async def test_a_clean_close_leaves_no_log(open_sqlite: OpenSqlite, tmp_path: Path) -> None:
    store = await open_sqlite()
    pending = [asyncio.ensure_future(put(store, b"%d" % i)) for i in range(100)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*pending)
    assert {path.name for path in tmp_path.iterdir()} == {"kv", "kv.lock"}
    assert len(await all_keys(await open_sqlite())) == 100


async def test_commits_share_syncs_and_fail_alone(open_sqlite: OpenSqlite) -> None:
    store = await open_sqlite()
    calls = [
        store.commit(Commit([RowIs(b"k%d" % (i // 2), 0)], [(b"k%d" % (i // 2), b"")])) for i in range(400)
    ]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(it, int) for it in outcomes] == [True, False] * 200
    assert store.counters.groups < 100


async def test_a_row_that_was_taken_to_be_absent_fails_its_own_commit_only(open_sqlite: OpenSqlite) -> None:
    """The engine finds out by inserting, so a group with such a commit is undone and applied again."""
    store = await open_sqlite()
    await put(store, b"there", b"old")
    await store.close()
    store = await open_sqlite()  # knows nothing of the row any more
    outcomes = await asyncio.gather(
        store.commit(Commit([RowIs(b"a", 0)], [(b"a", b"")])),
        store.commit(Commit([RowIs(b"there", 0)], [(b"there", b"new"), (b"beside", b"")])),
        store.commit(Commit([RowIs(b"b", 0)], [(b"b", b"")])),
        store.commit(Commit(deletes=[b"a"])),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [int, Conflict, int, int]
    assert [row.value if row else None for row in await store.get([b"there"])] == [b"old"]
    assert await all_keys(store) == {b"there", b"b"}


async def test_a_cancelled_caller_harms_nobody(open_sqlite: OpenSqlite) -> None:
    store = await open_sqlite()
    tasks = [asyncio.ensure_future(put(store, b"%d" % i)) for i in range(10)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert {b"1", b"3", b"5", b"7", b"9"} <= await all_keys(store)


async def test_the_log_is_truncated_under_constant_readers(open_sqlite: OpenSqlite, tmp_path: Path) -> None:
    store = await open_sqlite(wal_limit_bytes=1 << 20)
    largest = 0
    for i in range(40):
        batch = (put(store, b"%d/%d" % (i, j), b"x" * 50_000) for j in range(4))
        reads = (store.scan(b"", b"\xff", limit=20) for _ in range(4))
        await asyncio.gather(*batch, *reads)
        largest = max(largest, (tmp_path / "kv-wal").stat().st_size)
    assert largest < 3 << 20
    assert len(await all_keys(store)) == 160


async def test_a_backup_is_one_moment_and_can_be_opened(open_sqlite: OpenSqlite, tmp_path: Path) -> None:
    store = await open_sqlite()

    async def keep_writing() -> int:
        last = 0
        for i in range(200):
            last = await store.commit(Commit(puts=[(b"a", b"%d" % i), (b"z", b"%d" % i)]))
        return last

    writing = asyncio.ensure_future(keep_writing())
    await put(store, b"first")
    await store.backup(str(tmp_path / "copy"))
    last = await writing
    copy = await SqliteStore.open(tmp_path / "copy")
    try:
        first, a, z = await copy.get([b"first", b"a", b"z"])
        assert first is not None
        assert (a and a.value) == (z and z.value)
        assert await put(copy, b"a") > last
    finally:
        await copy.close()


async def test_a_full_disk_fails_commits_and_heals(
    open_sqlite: OpenSqlite, caplog: pytest.LogCaptureFixture
) -> None:
    """The page limit of SQLite makes the same error as a full disk does."""
    store = await open_sqlite()
    await put(store, b"before")
    store._writer._connection.execute("PRAGMA max_page_count=20")
    outcomes = await asyncio.gather(
        *(put(store, b"big%d" % i, b"x" * 60_000) for i in range(4)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} <= {StoreFailed, int}
    assert any(isinstance(outcome, StoreFailed) for outcome in outcomes)
    written = {b"big%d" % i for i, outcome in enumerate(outcomes) if isinstance(outcome, int)}
    assert await all_keys(store) == {b"before"} | written
    store._writer._connection.execute("PRAGMA max_page_count=1000000")
    await put(store, b"after", b"x" * 60_000)
    assert b"after" in await all_keys(store)
    assert "could not write" in caplog.text


async def run_child(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(CHILD),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": ":".join(sys.path)},
    )


async def test_a_failing_log_makes_the_outcome_unknown_then_seals(
    open_sqlite: OpenSqlite, tmp_path: Path
) -> None:
    """The child may not grow a file beyond a limit, so that writing the log fails in the midst of COMMIT."""
    child = await run_child(str(tmp_path / "kv"), "--file-limit-bytes", "1000000")
    output, _ = await child.communicate()
    *acknowledged, outcome, sealed, read = output.decode().split()
    assert (outcome, sealed, read) == (OutcomeUnknown.__name__, StoreFailed.__name__, "read-ok")
    assert len(acknowledged) > 10
    assert {key.encode() for key in acknowledged} <= await all_keys(await open_sqlite())


async def test_nothing_acknowledged_is_lost_by_kills(open_sqlite: OpenSqlite, tmp_path: Path) -> None:
    acknowledged: set[bytes] = set()
    for round_number in range(5):
        child = await run_child(str(tmp_path / "kv"), "--name", f"r{round_number}")
        assert child.stdout is not None
        for _ in range(200 + 137 * round_number):
            acknowledged.add((await child.stdout.readline()).strip())
        child.send_signal(signal.SIGKILL)
        rest = await child.stdout.read()
        acknowledged.update(rest[: rest.rfind(b"\n") + 1].split())
        await child.wait()
    store = await open_sqlite()
    keys = await all_keys(store)
    assert acknowledged <= keys
    # A commit writes a row and its twin: kills leave both or neither.
    twins = await store.scan(b"twin/", prefix_end(b"twin/"), limit=1_000_000)
    assert {row.key[5:] for row in twins} == {key for key in keys if not key.startswith(b"twin/")}
    versions = [row.version for row in twins]
    assert len(set(versions)) == len(versions)

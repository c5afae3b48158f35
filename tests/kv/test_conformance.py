"""What every engine does, in examples."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

import pytest

from zerohop.errors import Conflict, LeaseLost, StoreFailed, TooLarge
from zerohop_master.kv.interface import (
    Commit,
    Condition,
    Group,
    KeyValueStore,
    RangeEmpty,
    Row,
    RowIs,
    next_prefix,
)
from zerohop_master.kv.limits import (
    MAX_COMMIT_BYTES,
    MAX_COMMIT_ITEMS,
    MAX_KEY_BYTES,
    MAX_VALUE_BYTES,
    prefix_end,
)


class Clock(Protocol):
    now_s: float


async def put(store: KeyValueStore, *keys: bytes, value: bytes = b"value") -> int:
    return await store.commit(Commit(puts=[(key, value) for key in keys]))


async def all_rows(store: KeyValueStore) -> list[Row]:
    return await store.scan(b"", prefix_end(b""), limit=1_000_000)


async def names(store: KeyValueStore, prefix: bytes, after: bytes = b"", limit: int = 1000) -> list[bytes]:
    groups = await store.skip_scan(prefix, after, strip=1, delimiter=b"/", limit=limit)
    return [group.name for group in groups]


async def test_get_answers_in_the_order_asked(store: KeyValueStore) -> None:
    number = await put(store, b"b", b"a")
    assert await store.get([b"b", b"no", b"a", b"b"]) == [
        Row(b"b", b"value", number),
        None,
        Row(b"a", b"value", number),
        Row(b"b", b"value", number),
    ]
    assert await store.get([]) == []


async def test_empty_values_and_odd_keys_round_trip(store: KeyValueStore) -> None:
    keys = [b"", b"\0", b"\0\0", b"a\0b", b"\xff", b"\xff\xff", bytes(range(256)), b"k" * MAX_KEY_BYTES]
    await put(store, *keys, value=b"")
    assert [row.key for row in await all_rows(store)] == sorted(keys)
    assert all(row.value == b"" for row in await all_rows(store))


async def test_scan_is_half_open_in_both_directions(store: KeyValueStore) -> None:
    await put(store, b"a", b"b", b"c", b"d")
    assert [row.key for row in await store.scan(b"b", b"d", limit=9)] == [b"b", b"c"]
    assert [row.key for row in await store.scan(b"b", b"d", limit=9, reverse=True)] == [b"c", b"b"]
    assert [row.key for row in await store.scan(b"", b"\xff", limit=1, reverse=True)] == [b"d"]
    assert [row.key for row in await store.scan(b"a", b"z", limit=2)] == [b"a", b"b"]
    assert await store.scan(b"a", b"z", limit=0) == []
    assert await store.scan(b"d", b"b", limit=9) == []


async def test_scan_stops_at_max_bytes_after_at_least_one_row(store: KeyValueStore) -> None:
    await put(store, b"a", b"b", b"c", value=b"x" * 99)
    assert len(await store.scan(b"a", b"z", limit=9, max_bytes=1)) == 1
    assert len(await store.scan(b"a", b"z", limit=9, max_bytes=100)) == 1
    assert len(await store.scan(b"a", b"z", limit=9, max_bytes=101)) == 2


async def test_scan_reads_only_what_it_returns(store: KeyValueStore) -> None:
    await put(store, *(b"%04d" % i for i in range(2000)))
    before = store.counters.rows_read
    await store.scan(b"0", b"9", limit=10)
    assert store.counters.rows_read - before == 10


async def test_skip_scan_rolls_up_and_goes_on(store: KeyValueStore) -> None:
    await put(store, b"oa", b"ob/1", b"ob/2", b"oc", b"od//x", b"od/y", b"p")
    page = await store.skip_scan(b"o", b"", strip=1, delimiter=b"/", limit=2)
    assert [group.name for group in page] == [b"oa", b"ob/"]
    assert page[0].row is not None
    assert page[1] == Group(b"ob/", None)
    assert await names(store, b"o", next_prefix(b"ob/")) == [b"oc", b"od/"]
    assert await names(store, b"o", b"oc\0") == [b"od/"]
    assert await names(store, b"od/") == [b"od//", b"od/y"]
    assert await names(store, b"o", b"ob/2") == [b"ob/", b"oc", b"od/"]
    assert await names(store, b"x") == []
    assert await store.skip_scan(b"o", b"", strip=1, delimiter=b"/", limit=0) == []


async def test_skip_scan_goes_on_right_behind_a_group(store: KeyValueStore) -> None:
    await put(store, b"ob/\xff\xff", b"ob0", b"ob0\0")
    assert await names(store, b"o") == [b"ob/", b"ob0", b"ob0\0"]
    assert await names(store, b"o", next_prefix(b"ob/")) == [b"ob0", b"ob0\0"]


async def test_skip_scan_with_long_overlapping_and_extreme_delimiters(store: KeyValueStore) -> None:
    await put(store, b"oaabb", b"oaabc", b"oab", b"o\xff", b"o\xff\xff", b"o\xff\xffz")

    async def groups(delimiter: bytes) -> list[bytes]:
        return [it.name for it in await store.skip_scan(b"o", b"", strip=1, delimiter=delimiter, limit=99)]

    assert await groups(b"aab") == [b"oaab", b"oab", b"o\xff", b"o\xff\xff", b"o\xff\xffz"]
    assert await groups(b"\xff") == [b"oaabb", b"oaabc", b"oab", b"o\xff"]
    assert await groups(b"") == [b"oaabb", b"oaabc", b"oab", b"o\xff", b"o\xff\xff", b"o\xff\xffz"]


async def test_skip_scan_ends_where_no_key_can_follow(store: KeyValueStore) -> None:
    await put(store, b"\xff", b"\xff\xff", b"\xff\xffz", b"\xff\xff\xff")
    groups = await store.skip_scan(b"", b"", strip=0, delimiter=b"\xff", limit=99)
    assert groups == [Group(b"\xff", None)]
    under = await store.skip_scan(b"\xff\xff", b"", strip=0, delimiter=b"/", limit=99)
    assert [group.name for group in under] == [b"\xff\xff", b"\xff\xffz", b"\xff\xff\xff"]


async def test_skip_scan_stops_at_max_bytes(store: KeyValueStore) -> None:
    await put(store, b"oa", b"ob", b"oc", value=b"x" * 98)
    for max_bytes, count in [(1, 1), (100, 1), (101, 2), (201, 3)]:
        page = await store.skip_scan(b"o", b"", strip=1, delimiter=b"/", limit=9, max_bytes=max_bytes)
        assert len(page) == count


async def test_skip_scan_costs_groups_not_keys(store: KeyValueStore) -> None:
    for group in range(20):
        await put(store, *(b"og%02d/%04d" % (group, i) for i in range(500)))
    rows, seeks = store.counters.rows_read, store.counters.seeks
    assert len(await names(store, b"o")) == 20
    assert store.counters.rows_read - rows == 20
    assert store.counters.seeks - seeks <= 21


async def test_skip_scan_of_plain_rows_is_one_seek(store: KeyValueStore) -> None:
    await put(store, *(b"o%04d" % i for i in range(2000)))
    rows, seeks = store.counters.rows_read, store.counters.seeks
    assert len(await names(store, b"o", limit=1000)) == 1000
    assert store.counters.rows_read - rows == 1000
    assert store.counters.seeks - seeks == 1


async def test_a_condition_that_fails_writes_nothing(store: KeyValueStore) -> None:
    number = await put(store, b"a")
    false: list[Condition] = [
        RowIs(b"a", 0),
        RowIs(b"a", number + 1),
        RowIs(b"b", number),
        RangeEmpty(b"a", b"b"),
    ]
    for condition in false:
        with pytest.raises(Conflict):
            await store.commit(Commit([RowIs(b"a", number), condition], [(b"a", b"other"), (b"b", b"")]))
    assert await all_rows(store) == [Row(b"a", b"value", number)]
    assert store.counters.conflicts == 4


async def test_range_empty_looks_past_own_deletes_and_puts(store: KeyValueStore) -> None:
    await put(store, b"k1", b"k2", b"k3")
    empty = RangeEmpty(b"k", b"l")
    with pytest.raises(Conflict):
        await store.commit(Commit([empty], deletes=[b"k1", b"k3"]))
    await store.commit(Commit([empty], puts=[(b"k9", b"")], deletes=[b"k1", b"k2", b"k3", b"k4"]))
    assert [row.key for row in await all_rows(store)] == [b"k9"]
    await store.commit(Commit([RangeEmpty(b"k", b"k9"), RangeEmpty(b"z", b"a"), RangeEmpty(b"k9", b"k9")]))


async def test_versions_are_never_reused(store: KeyValueStore) -> None:
    first = await put(store, b"a")
    await store.commit(Commit([RowIs(b"a", first)], deletes=[b"a"]))
    again = await put(store, b"a")
    assert again > first
    with pytest.raises(Conflict):
        await store.commit(Commit([RowIs(b"a", first)], puts=[(b"a", b"stale")]))


async def test_one_of_many_creators_wins(store: KeyValueStore) -> None:
    async def create(key: bytes, who: int) -> bool:
        try:
            await store.commit(Commit([RowIs(key, 0)], [(key, b"%d" % who)]))
        except Conflict:
            return False
        return True

    keys = [b"race%d" % i for i in range(30)]
    won = await asyncio.gather(*(create(key, who) for who in range(20) for key in keys))
    assert sum(won) == len(keys)
    winners = {(keys[i % len(keys)], b"%d" % (i // len(keys))) for i, one in enumerate(won) if one}
    assert {(row.key, row.value) for row in await all_rows(store)} == winners
    assert store.counters.conflicts == 19 * len(keys)


async def test_concurrent_increments_all_count(store: KeyValueStore) -> None:
    async def increment() -> None:
        while True:
            (row,) = await store.get([b"n"])
            value, version = (int(row.value), row.version) if row else (0, 0)
            try:
                await store.commit(Commit([RowIs(b"n", version)], [(b"n", b"%d" % (value + 1))]))
            except Conflict:
                continue
            return

    await asyncio.gather(*(increment() for _ in range(25)))
    (row,) = await store.get([b"n"])
    assert row is not None
    assert row.value == b"25"


async def test_too_large_is_refused_whole(store: KeyValueStore) -> None:
    full = b"x" * MAX_VALUE_BYTES
    refused = [
        Commit(puts=[(b"k" * (MAX_KEY_BYTES + 1), b"")]),
        Commit(puts=[(b"a", b""), (b"k", full + b"x")]),
        Commit(puts=[(b"%d" % i, full) for i in range(MAX_COMMIT_BYTES // MAX_VALUE_BYTES)]),
        Commit(deletes=[b"%d" % i for i in range(MAX_COMMIT_ITEMS + 1)]),
    ]
    for commit in refused:
        with pytest.raises(TooLarge):
            await store.commit(commit)
    assert await all_rows(store) == []
    await store.commit(Commit(puts=[(b"k", full)]))
    assert (await all_rows(store))[0].value == full


async def test_a_key_written_twice_is_a_defect_of_the_caller(store: KeyValueStore) -> None:
    for commit in [Commit(puts=[(b"a", b"1"), (b"a", b"2")]), Commit(puts=[(b"a", b"")], deletes=[b"a"])]:
        with pytest.raises(ValueError, match="more than once"):
            await store.commit(commit)


async def test_a_lease_is_exclusive_until_it_ends(store: KeyValueStore, clock: Clock) -> None:
    mine = await store.lease("sweep", "a", ttl_s=10)
    assert mine.epoch == 1
    with pytest.raises(LeaseLost):
        await store.lease("sweep", "b", ttl_s=10)
    clock.now_s += 9
    renewed = await store.lease("sweep", "a", ttl_s=10)
    assert renewed == mine
    clock.now_s += 9
    with pytest.raises(LeaseLost):
        await store.lease("sweep", "b", ttl_s=10)
    clock.now_s += 1
    theirs = await store.lease("sweep", "b", ttl_s=10)
    assert theirs.epoch == 2
    assert (await store.lease("other", "a", ttl_s=10)).epoch == 1


async def test_a_lease_fences_the_holder_before(store: KeyValueStore, clock: Clock) -> None:
    old = await store.lease("sweep", "a", ttl_s=1)
    fence = RowIs(old.key, old.version)
    await store.commit(Commit([fence], [(b"w", b"1")]))
    await store.lease("sweep", "a", ttl_s=1)
    await store.commit(Commit([fence], [(b"w", b"2")]))
    clock.now_s += 1
    new = await store.lease("sweep", "b", ttl_s=1)
    with pytest.raises(Conflict):
        await store.commit(Commit([fence], [(b"w", b"late")]))
    await store.commit(Commit([RowIs(new.key, new.version)], [(b"w", b"3")]))
    with pytest.raises(LeaseLost):
        await store.lease("sweep", "a", ttl_s=1)


async def test_one_of_many_takers_gets_a_lease(store: KeyValueStore) -> None:
    takers = (store.lease("sweep", f"holder{i}", ttl_s=10) for i in range(20))
    taken = await asyncio.gather(*takers, return_exceptions=True)
    assert sum(not isinstance(one, LeaseLost) for one in taken) == 1


async def test_watch_hints_at_puts_and_deletes_below_its_prefix(store: KeyValueStore) -> None:
    watch = aiter(store.watch(b"q"))
    await put(store, b"q1")
    await put(store, b"q2")
    await anext(watch)
    waiting = asyncio.ensure_future(anext(watch))
    await put(store, b"p", b"r")
    with pytest.raises(Conflict):
        await store.commit(Commit([RowIs(b"q1", 0)], [(b"q1", b"")]))
    assert not waiting.done()
    await store.commit(Commit(deletes=[b"q1"]))
    await waiting


async def test_close_ends_watches_and_refuses_calls(store: KeyValueStore, tmp_path: Path) -> None:
    watch = store.watch(b"")
    pending = [asyncio.ensure_future(store.commit(Commit(puts=[(b"%d" % i, b"")]))) for i in range(5)]
    await asyncio.gather(*pending)
    await store.close()
    assert [hint async for hint in watch] == []
    for call in [store.get([b"a"]), store.scan(b"", b"z", limit=1), store.commit(Commit())]:
        with pytest.raises(StoreFailed):
            await call
    with pytest.raises(StoreFailed):
        await store.backup(str(tmp_path / "late"))
    await store.close()


async def test_backup_never_replaces_a_file(store: KeyValueStore, tmp_path: Path) -> None:
    await store.backup(str(tmp_path / "copy"))
    assert (tmp_path / "copy").exists()
    with pytest.raises(StoreFailed):
        await store.backup(str(tmp_path / "copy"))


def test_prefix_end_lies_beyond_every_key_of_the_prefix() -> None:
    longest = b"\xff" * MAX_KEY_BYTES
    assert prefix_end(b"") > longest
    assert prefix_end(b"\xff") > longest
    assert prefix_end(b"a\xff") == b"b"
    assert prefix_end(longest) > longest

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.namespace.harness import Harness
from tests.namespace.seeding import seed_objects

from zerohop.errors import FormatTooNew
from zerohop.model import ANONYMOUS, ObjectRecord
from zerohop.rpc import master_api as m
from zerohop_master import listing
from zerohop_master.kv.memory import MemoryStore
from zerohop_master.rows import LISTED_OBJECT, OBJECT, ListedObject


async def page(harness: Harness, **fields: object) -> m.ObjectPage:
    request = m.ListObjects(caller=ANONYMOUS, bucket="b", **fields)  # type: ignore[arg-type]
    return await listing.list_objects(harness.namespace, request)


def names(page: m.ObjectPage) -> tuple[list[str], list[str]]:
    return [entry.key for entry in page.entries], list(page.prefixes)


async def test_groups_and_keys_share_a_page(harness: Harness) -> None:
    await seed_objects(harness, ["a", "a/", "a/1", "a//2", "b/1", "b0", "c/d/e", "é/1", "é/2"])
    assert names(await page(harness, delimiter="/")) == (["a", "b0"], ["a/", "b/", "c/", "é/"])
    assert names(await page(harness, prefix="a/", delimiter="/")) == (["a/", "a/1"], ["a//"])
    assert names(await page(harness, prefix="c", delimiter="d/")) == ([], ["c/d/"])
    assert names(await page(harness, delimiter="é")) == (
        ["a", "a/", "a//2", "a/1", "b/1", "b0", "c/d/e"],
        ["é"],
    )
    assert names(await page(harness, prefix="zzz")) == ([], [])


async def test_an_after_that_is_a_common_prefix_passes_over_its_group(harness: Harness) -> None:
    await seed_objects(harness, ["a/1", "a/2", "b"])
    assert names(await page(harness, delimiter="/", after="a/")) == (["b"], [])
    assert names(await page(harness, delimiter="/", after="a/", inclusive=True)) == (["b"], ["a/"])
    assert names(await page(harness, delimiter="/", after="a/1")) == (["b"], ["a/"])
    assert names(await page(harness, after="a/")) == (["a/1", "a/2", "b"], [])
    assert names(await page(harness, after="a/1", inclusive=True)) == (["a/1", "a/2", "b"], [])


async def test_a_limit_of_zero_is_an_empty_page_with_nothing_after_it(harness: Harness) -> None:
    await seed_objects(harness, ["a"])
    empty = await page(harness, limit=0)
    assert (names(empty), empty.next_name, empty.next_key) == (([], []), "", "")


async def test_versions_are_the_null_versions(harness: Harness) -> None:
    await seed_objects(harness, ["a", "b/1", "c"])
    request = m.ListObjectVersions(caller=ANONYMOUS, bucket="b", delimiter="/", limit=1)
    first = await listing.list_object_versions(harness.namespace, request)
    assert [(e.key, e.version_id, e.latest) for e in first.entries] == [("a", "null", True)]
    assert (first.next_key, first.next_version_id) == ("a", "null")
    request = m.ListObjectVersions(caller=ANONYMOUS, bucket="b", delimiter="/", key_marker="a", limit=1)
    second = await listing.list_object_versions(harness.namespace, request)
    assert (second.prefixes, second.next_key, second.next_version_id) == (("b/",), "b/", "")
    request = m.ListObjectVersions(caller=ANONYMOUS, bucket="b", delimiter="/", key_marker="b/", limit=1)
    third = await listing.list_object_versions(harness.namespace, request)
    assert ([e.key for e in third.entries], third.next_key) == (["c"], "")


async def test_a_page_costs_what_it_shows(harness: Harness) -> None:
    await seed_objects(harness, [f"{group:03}/{key:03}" for group in range(40) for key in range(100)])
    counters = harness.store.counters
    for fields, rows, prefixes in (
        ({"delimiter": "/", "limit": 10}, 0, 10),
        ({"delimiter": "/"}, 0, 40),
        ({"limit": 10}, 10, 0),
        ({"after": "020/050", "limit": 10}, 10, 0),
        ({"prefix": "039/", "delimiter": "/"}, 100, 0),
    ):
        before = counters.rows_read, counters.seeks
        found = await page(harness, **fields)
        assert (len(found.entries), len(found.prefixes)) == (rows, prefixes)
        assert counters.rows_read - before[0] <= rows + prefixes + 4, fields
        assert counters.seeks - before[1] <= prefixes + 6, fields


@dataclass(frozen=True)
class Query:
    prefix: str
    delimiter: str
    limit: int


ALPHABET = st.text("a/é\0", max_size=4)


def expected_names(keys: set[str], query: Query) -> list[str]:
    """Keys and common prefixes of a listing, in byte order."""
    found = set()
    for key in keys:
        if key.startswith(query.prefix):
            end = key.find(query.delimiter, len(query.prefix)) if query.delimiter else -1
            found.add(key if end < 0 else key[: end + len(query.delimiter)])
    return sorted(found, key=str.encode)


@settings(max_examples=150, deadline=None)
@given(
    st.sets(ALPHABET.filter(bool), max_size=25),
    st.builds(Query, ALPHABET, st.sampled_from(["", "/", "//", "é", "a/", "\0"]), st.integers(1, 4)),
    st.booleans(),
)
async def test_pages_put_together_are_the_listing(keys: set[str], query: Query, by_next_key: bool) -> None:
    harness = await Harness.start(MemoryStore())
    await harness.create_bucket()
    await seed_objects(harness, sorted(keys))
    found: list[str] = []
    after, inclusive = "", False
    while True:
        got = await page(
            harness,
            prefix=query.prefix,
            delimiter=query.delimiter,
            limit=query.limit,
            after=after,
            inclusive=inclusive,
        )
        together = [entry.key for entry in got.entries] + list(got.prefixes)
        assert len(together) <= query.limit
        found += sorted(together, key=str.encode)
        if not got.next_name:
            break
        assert got.next_name == found[-1]
        after, inclusive = (got.next_key, True) if by_next_key else (got.next_name, False)
    assert found == expected_names(keys, query)


@pytest.mark.soak(cost_s=25)
@pytest.mark.timeout(600)
async def test_a_million_keys_are_listed_page_by_page(harness: Harness) -> None:
    count = 1_000_000
    await seed_objects(harness, (f"{i // 1000:04}/{i:07}" for i in range(count)))
    counters = harness.store.counters
    seen, after = 0, ""
    while True:
        before = counters.rows_read
        got = await page(harness, after=after)
        assert counters.rows_read - before <= 1004
        seen += len(got.entries)
        after = got.next_name
        if not after:
            break
    assert seen == count
    before = counters.rows_read
    assert len((await page(harness, delimiter="/")).prefixes) == 1000
    assert counters.rows_read - before <= 1004


def test_a_listing_reads_the_fields_of_objects_where_they_stand() -> None:
    fields = ListedObject.__struct_fields__
    assert fields == ObjectRecord.__struct_fields__[: len(fields)]
    old = OBJECT.encode(ObjectRecord(key="k", size_bytes=1, etag="e", modified_ms=2, headers={"a": "b"}))
    listed = LISTED_OBJECT.decode(old)
    assert (listed.key, listed.size_bytes, listed.storage_class, listed.unpersisted) == (
        "k",
        1,
        "STANDARD",
        False,
    )


def test_rows_of_a_page_are_decoded_as_each_alone() -> None:
    records = [ObjectRecord(key=f"{n}", size_bytes=n, etag="e" * n, modified_ms=n) for n in range(3)]
    values = [OBJECT.encode(record) for record in records]
    for count in range(4):
        assert LISTED_OBJECT.decode_all(values[:count]) == [LISTED_OBJECT.decode(v) for v in values[:count]]
    with pytest.raises(FormatTooNew, match="format 2"):
        LISTED_OBJECT.decode_all([*values, b"\x02" + values[0][1:]])

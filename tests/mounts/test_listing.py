"""Listing a mounted bucket: what the origin has, with local writes among it, a page at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.mounts.endless_bucket import endless_bucket
from tests.mounts.mounted import PREFIX, Mounted, Site
from tests.mounts.remote import ACCESS_KEY, SECRET_KEY, Remote

Mount = Callable[..., Mounted]

AT_ORIGIN = ["a", "b/1", "b/2", "b/3", "b0", "c/d/e", "c/f", "z"]
LOCAL = ["a", "aa", "b/2", "b/25", "c/d/x", "d/new", "d/newer", "zz"]
ALL = sorted({*AT_ORIGIN, *LOCAL})


@pytest.fixture
def mixed(mount: Mount) -> Mounted:
    """Half of it is at the origin, and half is not there yet."""
    mounted = mount(write_policy="must_cache", metadata_ttl_s=-1.0)
    for key in AT_ORIGIN:
        mounted.place(key, b"origin")
    for key in LOCAL:
        mounted.s3.put_object(Bucket=mounted.name, Key=key, Body=b"written here")
    return mounted


def expected(prefix: str, delimiter: str) -> tuple[list[str], list[str]]:
    """Keys and common prefixes."""
    keys, groups = [], set()
    for key in ALL:
        if key.startswith(prefix):
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            if end < 0:
                keys.append(key)
            else:
                groups.add(key[: end + 1])
    return keys, sorted(groups)


def test_fs_ls_asks_for_pages_and_not_for_objects(mount: Mount, site: Site, remote: Remote) -> None:
    mounted = mount()
    for number in range(30):
        mounted.place(f"d/{number:02}", b"body")
    assert mounted.read("d/07") == b"body"
    remote.forget()
    lines = site.cluster.cli("fs", "ls", "-R", f"/{mounted.name}/d").stdout.splitlines()
    assert [line.split()[-2] for line in lines] == ["100%" if number == 7 else "0%" for number in range(30)]
    asked = [line for line in remote.proxy.requests if "list-type=2" not in line]
    assert [line for line in asked if f"/{PREFIX}/d/" in line] == []


@pytest.mark.parametrize("page", [1, 2, 3, 1000])
@pytest.mark.parametrize(("prefix", "delimiter"), [("", ""), ("", "/"), ("b/", ""), ("c/", "/"), ("b", "/")])
def test_pages_of_both(mixed: Mounted, page: int, prefix: str, delimiter: str) -> None:
    keys: list[str] = []
    groups: list[str] = []
    for shown in mixed.s3.get_paginator("list_objects_v2").paginate(
        Bucket=mixed.name, Prefix=prefix, Delimiter=delimiter, PaginationConfig={"PageSize": page}
    ):
        entries, prefixes = shown.get("Contents", []), shown.get("CommonPrefixes", [])
        assert len(entries) + len(prefixes) <= page
        keys += [entry["Key"] for entry in entries]
        groups += [entry["Prefix"] for entry in prefixes]
        for entry in entries:
            assert entry["Size"] == len(b"written here" if entry["Key"] in LOCAL else b"origin")
    assert (keys, groups) == expected(prefix, delimiter)
    marker = ""
    seen: list[str] = []
    while True:
        old: Any = mixed.s3.list_objects(
            Bucket=mixed.name, Prefix=prefix, Delimiter=delimiter, MaxKeys=page, Marker=marker
        )
        names = [entry["Key"] for entry in old.get("Contents", [])]
        names += [entry["Prefix"] for entry in old.get("CommonPrefixes", [])]
        seen += names
        if not old["IsTruncated"]:
            break
        marker = old.get("NextMarker") or max(names)
    assert sorted(seen) == sorted(keys + groups)


@pytest.mark.parametrize("after", ["a", "aa", "b/", "b/2", "b/99", "zzz"])
def test_start_after(mixed: Mounted, after: str) -> None:
    shown = mixed.s3.list_objects_v2(Bucket=mixed.name, StartAfter=after)
    assert [entry["Key"] for entry in shown.get("Contents", [])] == [key for key in ALL if key > after]


def test_versions(mixed: Mounted) -> None:
    shown = mixed.s3.list_object_versions(Bucket=mixed.name)["Versions"]
    assert [(entry["Key"], entry["VersionId"], entry["IsLatest"]) for entry in shown] == [
        (key, "null", True) for key in ALL
    ]


def test_marker_of_the_mounts_own_folder(mounted: Mounted) -> None:
    mounted.remote.s3.put_object(Bucket=mounted.remote_bucket, Key=f"{PREFIX}/", Body=b"")
    mounted.place("only", b"x")
    mounted.place("second", b"x")
    assert mounted.keys() == ["only", "second"]
    shown = mounted.s3.list_objects_v2(Bucket=mounted.name, MaxKeys=1)
    assert [entry["Key"] for entry in shown["Contents"]] == ["only"]
    assert shown["IsTruncated"]


def test_page_is_kept_while_nothing_is_written(mounted: Mounted, remote: Remote) -> None:
    mounted.place("file", b"x")
    remote.forget()
    for _ in range(3):
        assert mounted.keys() == ["file"]
    assert len(remote.listings()) == 1
    assert mounted.read("file") == b"x"  # reading what was not known is no reason to list anew
    assert mounted.keys() == ["file"]
    assert len(remote.listings()) == 1
    mounted.s3.put_object(Bucket=mounted.name, Key="new", Body=b"x")
    assert mounted.keys() == ["file", "new"]


@pytest.mark.parametrize("count", [20_000, pytest.param(1_000_000, marks=pytest.mark.soak(cost_s=120))])
def test_costs_the_page(site: Site, count: int) -> None:
    with endless_bucket(count) as origin:
        info = site.mount(
            "s3://endless",
            options={"endpoint": origin.url, "path_style": "true", "region": "us-east-1"},
            secrets={"access_key": ACCESS_KEY, "secret_key": SECRET_KEY},
        )
        mounted = Mounted(site, info, None, "endless")  # type: ignore[arg-type]
        origin.pages = 0
        for start in (0, count // 2, count - 10):
            shown = mounted.s3.list_objects_v2(Bucket=mounted.name, StartAfter=origin.key(start), MaxKeys=10)
            numbers = range(start + 1, min(start + 11, count))
            assert [entry["Key"] for entry in shown["Contents"]] == [origin.key(number) for number in numbers]
        assert origin.pages == 3
        processes = [process for process in site.cluster.processes() if process.pid]  # type: ignore[union-attr]
        before = sum(process.memory_info().rss for process in processes)
        pages = mounted.s3.get_paginator("list_objects_v2").paginate(Bucket=mounted.name)
        assert sum(len(page["Contents"]) for page in pages) == count
        assert origin.pages == 3 + count // 1000
        assert sum(process.memory_info().rss for process in processes) - before < 300 << 20

"""Mounts of HDFS against Hadoop's own cluster, besides what all origins do."""

from __future__ import annotations

import asyncio

import pytest
from hdfs_native import Client, FileStatus, WriteOptions
from tests.origins.conftest import mount
from tests.origins.stores import PLAIN, names_of, put, read

from zerohop.errors import (
    InvalidRequest,
    KeyNotFound,
    NotSupported,
    OriginChanged,
    OriginRefused,
    UnderStoreFailed,
)
from zerohop_worker.origins.hdfs import HdfsOrigin
from zerohop_worker.origins.hdfs_staging import HdfsStaged
from zerohop_worker.origins.interface import WriteCondition
from zerohop_worker.origins.opening import open_origin

pytestmark = pytest.mark.soak(cost_s=5)


@pytest.fixture
def uri(hadoop_port: int, hdfs_folder: str) -> str:
    return f"hdfs://127.0.0.1:{hadoop_port}{hdfs_folder}"


def _write(hdfs: Client, path: str, body: bytes) -> None:
    with hdfs.create(path, WriteOptions(overwrite=True)) as writer:
        writer.write(body)


async def test_what_others_wrote_and_changed(hdfs: Client, hdfs_folder: str, uri: str) -> None:
    origin = open_origin(mount(uri), {})
    _write(hdfs, f"{hdfs_folder}/a.json", b"first")
    found = await origin.head("a.json")
    assert found is not None
    assert found.attributes.headers == {"content-type": "application/json"}
    opened = await origin.open("a.json", 0, None, match=found.validator)
    _write(hdfs, f"{hdfs_folder}/a.json", b"other")
    with pytest.raises((OriginChanged, UnderStoreFailed)):
        _ = [piece async for piece in opened.pieces()]
    await opened.close()
    with pytest.raises(OriginChanged):
        await origin.open("a.json", 0, None, match=found.validator)
    assert await read(origin, "a.json") == b"other"
    with hdfs.append(f"{hdfs_folder}/a.json") as writer:
        writer.write(b" and more")
    assert await read(origin, "a.json") == b"other and more"
    await origin.close()


async def test_a_file_that_is_being_written_is_read_whole_or_not(
    hdfs: Client, hdfs_folder: str, uri: str
) -> None:
    origin = open_origin(mount(uri), {})
    writer = hdfs.create(f"{hdfs_folder}/log")
    writer.write(b"line\n")
    writer.hsync()
    try:
        got = await read(origin, "log")
    except UnderStoreFailed as error:
        got = error.message.encode()
    assert got in (b"", b"line\n") or b"being written" in got
    writer.close()
    assert await read(origin, "log") == b"line\n"
    await origin.close()


async def test_two_files_of_one_size_and_time_are_told_apart(
    hdfs: Client, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = open_origin(mount(uri), {})
    look = HdfsStaged._look
    times = []

    def looking(self: HdfsStaged, path: str, condition: WriteCondition) -> FileStatus | None:
        """As if what is there had been finished in the millisecond of the staged file."""
        staged = hdfs.get_file_info(self._path)
        hdfs.set_times(path, staged.modification_time, staged.access_time)
        times.append(staged.modification_time)
        return look(self, path, condition)

    await put(origin, "key", b"one")
    monkeypatch.setattr(HdfsStaged, "_look", looking)
    written = await put(origin, "key", b"two")
    found = await origin.head("key")
    assert found is not None
    assert written.validator == found.validator
    assert found.validator.modified_ms == times[0] + 1
    await origin.close()


async def test_files_and_folders_of_one_name(uri: str) -> None:
    origin = open_origin(mount(uri), {})
    await put(origin, "a/b", b"x")
    await put(origin, "file", b"x")
    for key, said in (("a", "a folder of that name"), ("file/below", "a file, not a folder")):
        with pytest.raises(InvalidRequest, match=said):
            await put(origin, key, b"y")
    with pytest.raises(InvalidRequest):
        await origin.put("file/", [], PLAIN)
    with pytest.raises(InvalidRequest):
        await origin.put("folder/", [b"with bytes"], PLAIN)
    for key in ("a", "file/below", "file/", "a/", "a:b", "a//b"):
        with pytest.raises(KeyNotFound):
            await origin.head(key)
    assert await origin.delete(["a", "file/below", "a:b", "a/"]) == {}
    assert await names_of(origin) == ["a/b", "file"]
    await origin.close()


async def test_empty_folders_are_markers(hdfs: Client, hdfs_folder: str, uri: str) -> None:
    origin = open_origin(mount(uri), {})
    await origin.put("made/here/", [], PLAIN)
    hdfs.mkdirs(f"{hdfs_folder}/theirs")
    assert await names_of(origin) == ["made/here/", "theirs/"]
    assert await read(origin, "made/here/") == b""
    await put(origin, "made/here/file", b"x")
    assert await names_of(origin) == ["made/here/file", "theirs/"]
    assert await origin.delete(["made/here/file", "theirs/"]) == {}
    assert await names_of(origin) == []
    assert hdfs.get_file_info(hdfs_folder).isdir
    await origin.close()


async def test_a_large_folder_is_listed_page_by_page(hdfs: Client, hdfs_folder: str, uri: str) -> None:
    origin = open_origin(mount(uri), {})
    names = [f"{number:05}" if number % 2 else f"\u00e4{number:05}" for number in range(2500)]
    for name in names:
        hdfs.mkdirs(f"{hdfs_folder}/all/{name}", create_parent=True)
    found: list[str] = []
    after = ""
    while True:
        page = await origin.list("all/", "/", after, 400)
        found += page.prefixes
        if not page.next_after:
            break
        after = page.next_after
    assert found == sorted(f"all/{name}/" for name in names)
    await origin.close()


async def test_nothing_is_left_behind(hdfs: Client, hdfs_folder: str, uri: str) -> None:
    origin = open_origin(mount(uri), {})
    assert isinstance(origin, HdfsOrigin)
    await origin.check()
    staged = [origin.stage(f"key-{number}", PLAIN) for number in range(3)]
    await asyncio.gather(*(one.write_part([b"x" * 100_000]) for one in staged))
    assert len(list(hdfs.list_status(f"{hdfs_folder}/.zerohop-staging"))) == 3
    await staged[0].commit()
    await staged[1].abort()
    await staged[2].abort()
    assert list(hdfs.list_status(f"{hdfs_folder}/.zerohop-staging")) == []
    assert await names_of(origin) == ["key-0"]
    old = f"{hdfs_folder}/.zerohop-staging/old"
    _write(hdfs, old, b"x")
    hdfs.set_times(old, 1, 1)
    await origin.check()
    assert list(hdfs.list_status(f"{hdfs_folder}/.zerohop-staging")) == []
    await origin.close()


async def test_mount_errors(hadoop_port: int, hdfs: Client, hdfs_folder: str, uri: str) -> None:
    _write(hdfs, f"{hdfs_folder}/file", b"x")
    for wrong in (f"{uri}/none", f"{uri}/file"):
        origin = open_origin(mount(wrong), {})
        with pytest.raises(OriginRefused, match="no folder"):
            await origin.check()
        await origin.close()
    both = mount(f"hdfs://service{hdfs_folder}", namenodes=f"127.0.0.1:1,127.0.0.1:{hadoop_port}")
    origin = open_origin(both, {})
    await origin.check()
    assert await names_of(origin) == ["file"]
    await origin.close()


async def test_what_cannot_be_written_is_told_before(hdfs: Client, hdfs_folder: str, uri: str) -> None:
    origin = open_origin(mount(uri), {})
    _write(hdfs, f"{hdfs_folder}/file", b"x")
    _write(hdfs, f"{hdfs_folder}/folder/file", b"x")
    hdfs.mkdirs(f"{hdfs_folder}/empty", create_parent=True)
    for key in ("file", "new", "folder/new", "new/folder/new", "folder/", "new/"):
        await origin.check_write(key, PLAIN)
    for key in ("folder", "empty", "file/", "file/below", "file/far/below"):
        with pytest.raises(InvalidRequest, match=key.strip("/")):
            await origin.check_write(key, PLAIN)
        with pytest.raises(InvalidRequest):
            await put(origin, key, b"" if key.endswith("/") else b"x")
    for key in ("a//b", "../up", "a:b", ".snapshot/a", "x" * 300):
        with pytest.raises(InvalidRequest):
            await origin.check_write(key, PLAIN)
    with pytest.raises(NotSupported):
        await origin.check_write("new", PLAIN._replace(tags={"a": "b"}))
    # It only looks.
    assert await names_of(origin) == ["empty/", "file", "folder/file"]
    assert await read(origin, "file") == b"x"
    await origin.close()

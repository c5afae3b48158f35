"""What is a folder's alone: keys as paths, links, files that change in place, and the order of its listings."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.origins.conftest import mount
from tests.origins.stores import PLAIN, names_of, put, read, walk

from zerohop.errors import InvalidRequest, KeyNotFound, OriginChanged, OriginRefused, UnderStoreFailed
from zerohop_worker.origins.folder_files import is_young
from zerohop_worker.origins.folder_listing import FolderLister
from zerohop_worker.origins.folder_paths import OWN_FOLDER, Root
from zerohop_worker.origins.interface import OriginStore
from zerohop_worker.origins.names import group_of
from zerohop_worker.origins.opening import open_origin


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mounted"
    made.mkdir()
    return made


@pytest.fixture
async def origin(folder: Path) -> AsyncIterator[OriginStore]:
    store = open_origin(mount(f"file://{folder}"), {})
    yield store
    await store.close()


@pytest.mark.parametrize(
    "key",
    ["/lead", "a//b", "a/../b", "..", ".", "./a", "nul\0", "x" * 256, f"{OWN_FOLDER}/x", "/", "", "\ud800"],
)
async def test_keys_that_no_path_stands_for(origin: OriginStore, key: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot hold the key"):
        await put(origin, key, b"x")
    with pytest.raises(InvalidRequest):
        origin.stage(key, PLAIN)
    with pytest.raises(KeyNotFound):
        await origin.head(key)
    assert await origin.delete([key]) == {}
    assert await names_of(origin) == []


async def test_a_file_and_a_folder_of_one_name(origin: OriginStore) -> None:
    await put(origin, "file", b"x")
    with pytest.raises(InvalidRequest, match="is a file, not a folder"):
        await put(origin, "file/below", b"x")
    await put(origin, "folder/below", b"x")
    with pytest.raises(InvalidRequest, match="there is a folder of that name"):
        await put(origin, "folder", b"x")
    assert await names_of(origin) == ["file", "folder/below"]


async def test_links_are_neither_followed_nor_shown(
    origin: OriginStore, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "outside")
    (folder / "file-link").symlink_to(tmp_path / "outside/secret")
    for key in ("link/secret", "file-link", "link/"):
        with pytest.raises((KeyNotFound, InvalidRequest)):
            await origin.head(key)
    with pytest.raises(InvalidRequest):
        await put(origin, "link/new", b"x")
    assert await origin.delete(["link/secret", "file-link"]) == {}
    assert await names_of(origin) == []
    assert sorted(os.listdir(tmp_path / "outside")) == ["secret"]


async def test_a_change_in_place_is_seen(origin: OriginStore, folder: Path) -> None:
    written = await put(origin, "key", b"one")
    times = (folder / "key").stat()
    (folder / "key").write_bytes(b"two")
    os.utime(folder / "key", ns=(times.st_atime_ns, times.st_mtime_ns))
    found = await origin.head("key", unless=written.validator)
    assert found is not None
    with pytest.raises(OriginChanged):
        await origin.open("key", 0, None, match=written.validator)


async def test_a_change_while_it_is_read_is_seen(origin: OriginStore, folder: Path) -> None:
    await put(origin, "key", bytes(3 << 20))
    for change in (
        lambda: (folder / "key").write_bytes(bytes(3 << 20)),
        lambda: os.truncate(folder / "key", 1 << 20),
    ):
        opened = await origin.open("key", 0, None)
        pieces = opened.pieces()
        await anext(pieces)
        change()
        with pytest.raises(OriginChanged):
            async for _ in pieces:
                pass
        await opened.close()


def test_a_file_is_young_for_the_granularity_of_its_time() -> None:
    def info(at_ns: int) -> os.stat_result:
        return os.stat_result((0o100644, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0.0, 0.0, 0.0, at_ns, at_ns, at_ns))

    fine, coarse = 5_000_000_001, 5_000_000_000
    assert is_young(info(fine), fine + 5_000_000) == 15_000_000
    assert is_young(info(fine), fine + 20_000_000) == 0
    assert is_young(info(coarse), coarse + 1_500_000_000) == 500_000_000
    assert is_young(info(coarse), coarse + 2_000_000_000) == 0
    assert is_young(info(fine), fine - 1) == 0


async def test_empty_folders_are_markers(origin: OriginStore, folder: Path) -> None:
    (folder / "theirs").mkdir()
    await put(origin, "ours/", b"")
    assert await names_of(origin) == ["ours/", "theirs/"]
    await put(origin, "ours/file", b"x")
    await put(origin, "theirs/file", b"x")
    assert await names_of(origin) == ["ours/", "ours/file", "theirs/file"]
    assert await walk(origin, "", "/", 1) == ["ours/", "theirs/"]
    found = await origin.head("ours/")
    assert found is not None
    assert found.validator.size_bytes == 0
    with pytest.raises(KeyNotFound):
        await origin.head("theirs/")
    assert await origin.delete(["ours/file", "theirs/file"]) == {}
    assert await names_of(origin) == ["ours/"]
    assert await origin.delete(["ours/"]) == {}
    assert sorted(os.listdir(folder)) == [OWN_FOLDER]


async def test_types_are_guessed_and_digests_known(origin: OriginStore, folder: Path) -> None:
    (folder / "page.html").write_text("<html>")
    found = await origin.head("page.html")
    assert found is not None
    assert found.attributes.headers == {"content-type": "text/html"}
    assert found.client_etag.endswith("-1")
    written = await put(origin, "hello", b"hello")
    assert written.client_etag == "5d41402abc4b2a76b9719d911017c592"
    (folder / "hello").write_bytes(b"other")
    changed = await origin.head("hello")
    assert changed is not None
    assert changed.client_etag.endswith("-1")


async def test_mount_errors(tmp_path: Path, folder: Path) -> None:
    missing = open_origin(mount(f"file://{tmp_path}/missing"), {})
    with pytest.raises(OriginRefused, match="No such file"):
        await missing.check()
    await missing.close()
    store = open_origin(mount(f"file://{folder}", read_only=True), {})
    await store.check()
    assert os.listdir(folder) == []
    folder.rename(tmp_path / "elsewhere")
    folder.mkdir()
    with pytest.raises(UnderStoreFailed, match="unmounted"):
        await store.head("key")
    await store.close()


async def test_an_aborted_write_leaves_no_file(origin: OriginStore, folder: Path) -> None:
    staged = origin.stage("a/b", PLAIN)
    await staged.write_part([b"x"])
    await staged.abort()
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert not (folder / "a").exists()
    assert await read(origin, (await put(origin, "a/b", b"y")).key) == b"y"


_NAME = st.text(alphabet="a-/0\u00e9", min_size=1, max_size=6).filter(lambda key: "" not in key.split("/"))


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.sets(_NAME, max_size=12),
    prefix=st.one_of(st.just(""), st.text(alphabet="a-/0\u00e9", max_size=4)),
    delimiter=st.sampled_from(["", "/", "-", "a"]),
    limit=st.integers(1, 5),
    window=st.integers(1, 4),
)
def test_listings_are_those_of_a_model(
    tmp_path_factory: pytest.TempPathFactory,
    keys: set[str],
    prefix: str,
    delimiter: str,
    limit: int,
    window: int,
) -> None:
    root = tmp_path_factory.mktemp("listed")
    kept = {key for key in keys if not any(other.startswith(key + "/") for other in keys)}
    for key in kept:
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).touch()
    expected = sorted({group_of(key, prefix, delimiter) or key for key in kept if key.startswith(prefix)})
    lister = FolderLister(Root(str(root)), window_names=window)
    found: list[str] = []
    while True:
        page = lister.page(prefix, delimiter, found[-1] if found else "", limit)
        found += sorted([*(one.key for one in page.objects), *page.prefixes])
        if not page.next_after:
            break
        assert page.next_after == found[-1]
    assert found == expected

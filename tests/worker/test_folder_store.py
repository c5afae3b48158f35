"""The under-store in a folder: order, pages, ranges, the stamp, and which calls are synced before a commit returns."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from zerohop.errors import ContentNotFound, UnderStoreFailed
from zerohop.model import content_id
from zerohop_worker.files import Files
from zerohop_worker.understore.folder import FolderStore


async def put(store: FolderStore, content: bytes, data: bytes) -> None:
    staged = store.stage(content)
    await staged.write([data[:3], data[3:]])
    await staged.commit()
    await staged.abort()  # without effect now


async def test_contents_are_listed_in_the_order_of_their_ids(tmp_path: Path) -> None:
    store = FolderStore(tmp_path, "w-1")
    await store.start()
    ids = [
        content_id(session, number, 1 << 20)
        for session in (b"\x00sessio1", b"\xffsessio2", b"sessions")
        for number in (1, 4095, 4096, 70_000, 1 << 40)
    ]
    for content in reversed(ids):
        await put(store, content, content)
    for after in (b"", *ids, bytes(16), b"\xff" * 16, b"sessions"):
        for limit in (1, 4, 100):
            listed = await store.list_contents(after, limit)
            assert [item.content for item in listed] == [item for item in sorted(ids) if item > after][:limit]
            assert all(item.length == 16 for item in listed)
    await store.delete(ids[3])
    await store.delete(ids[3])
    assert ids[3] not in [item.content for item in await store.list_contents(b"", 100)]
    await store.close()


async def test_ranges_and_what_is_missing(tmp_path: Path) -> None:
    store = FolderStore(tmp_path, "w-1")
    await store.start()
    data = os.urandom(3 << 20)
    content = content_id(b"sessions", 1, 1 << 20)
    await put(store, content, data)
    for offset, length in ((0, len(data)), (1, 1), (1 << 20, (1 << 20) + 5), (0, 0)):
        pieces = [piece async for piece in store.read(content, offset, length)]
        assert b"".join(pieces) == data[offset : offset + length]
        assert all(len(piece) <= 1 << 20 for piece in pieces)
    with pytest.raises(UnderStoreFailed):
        _ = [piece async for piece in store.read(content, 0, len(data) + 1)]
    with pytest.raises(ContentNotFound):
        await store.stat(content_id(b"sessions", 2, 1 << 20))
    await store.close()


async def test_all_workers_find_one_stamp(tmp_path: Path) -> None:
    stores = [FolderStore(tmp_path, f"w-{number}") for number in range(8)]
    stamps = await asyncio.gather(*(store.start() for store in stores))
    assert len(set(stamps)) == 1
    assert len(stamps[0]) == 32
    for store in stores:
        await store.close()


async def test_an_aborted_content_leaves_nothing(tmp_path: Path) -> None:
    store = FolderStore(tmp_path, "w-1")
    await store.start()
    staged = store.stage(content_id(b"sessions", 1, 1 << 20))
    await staged.write([b"data"])
    await staged.abort()
    assert await store.list_contents(b"", 10) == []
    assert list((tmp_path / "staging" / "w-1").iterdir()) == []
    await store.close()


class TracedFiles(Files):
    """Notes which calls were made, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def sync(self, fd: int) -> None:
        self.calls.append("sync")
        super().sync(fd)

    def sync_folder(self, folder: Path) -> None:
        self.calls.append(f"sync_folder {folder.name}")
        super().sync_folder(folder)

    def rename(self, source: Path, target: Path) -> None:
        self.calls.append("rename")
        super().rename(source, target)


async def test_a_commit_syncs_data_then_name_and_new_folders(tmp_path: Path) -> None:
    files = TracedFiles()
    store = FolderStore(tmp_path, "w-1", files)
    await store.start()
    files.calls.clear()
    await put(store, content_id(b"sessions", 1, 1 << 20), b"data")
    session = b"sessions".hex()
    assert files.calls == [
        "sync",
        "sync_folder contents",
        f"sync_folder {session}",
        "rename",
        "sync_folder 00000000000",
    ]
    files.calls.clear()
    await put(store, content_id(b"sessions", 2, 1 << 20), b"data")
    assert files.calls == ["sync", "rename", "sync_folder 00000000000"]
    await store.close()


class KeptPages(Files):
    """Notes which bytes of a file were let go."""

    def __init__(self) -> None:
        self.ranges: list[tuple[int, int]] = []

    def let_go(self, fd: int, offset: int, size_bytes: int) -> None:
        self.ranges.append((offset, size_bytes))
        super().let_go(fd, offset, size_bytes)


async def test_a_large_content_is_on_its_way_to_the_disk_while_it_grows(tmp_path: Path) -> None:
    files = KeptPages()
    store = FolderStore(tmp_path, "w-1", files)
    await store.start()
    mib = 1 << 20
    for number, (cached, at_the_end) in enumerate([(True, [(0, 0)]), (False, [])], start=1):
        staged = store.stage(content_id(b"sessions", number, mib))
        for size_bytes in (mib - 1, 1, mib // 2):
            await staged.write([bytes(size_bytes)])
        assert files.ranges == [(0, mib)]
        await staged.commit([bytes(mib)], cached=cached)
        assert files.ranges == [(0, mib), (mib, mib + mib // 2), *at_the_end]
        files.ranges.clear()
    await store.close()


async def test_a_small_content_stays_in_memory(tmp_path: Path) -> None:
    files = KeptPages()
    store = FolderStore(tmp_path, "w-1", files)
    await store.start()
    staged = store.stage(content_id(b"sessions", 1, 1 << 20))
    await staged.commit([b"data"], cached=True)
    assert files.ranges == []
    await store.close()


async def test_what_is_found_is_made_durable_before_it_is_told(tmp_path: Path) -> None:
    """Its writer may have been killed after he gave it its name, and before that was on disk."""
    content = content_id(b"sessions", 1, 1 << 20)
    dead = FolderStore(tmp_path, "w-1")
    await dead.start()
    await put(dead, content, b"data")
    await dead.close()
    files = TracedFiles()
    store = FolderStore(tmp_path, "w-1", files)
    await store.start()
    files.calls.clear()
    assert (await store.stat(content)).length == 4
    session = b"sessions".hex()
    assert files.calls == ["sync_folder contents", f"sync_folder {session}", "sync_folder 00000000000"]
    await store.close()

"""Bodies on their way to an origin: how many a worker takes at a time."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from zerohop.errors import Overloaded
from zerohop.model import MountInfo, ObjectRecord
from zerohop_worker.block_store import BlockStore
from zerohop_worker.mounts.registry import OpenMount
from zerohop_worker.mounts.staging import Staged, StagedWrites
from zerohop_worker.origins.opening import open_origin

_MEMORY_BYTES = 1 << 30
_PART_BYTES = 16 << 20
_LONG_BYTES = 1 << 30


async def test_bodies_that_begin_together_find_room_in_memory_for_all(tmp_path: Path) -> None:
    """Each may fill a part before the first of them is sent: what may come counts, not what has."""
    info = MountInfo(mount_id=b"\0\0\0\1", bucket="data", uri=f"file://{tmp_path}")
    mount = OpenMount(info, open_origin(info, {}))
    writes = StagedWrites(cast("BlockStore", None))  # which has no part in what is not to be cached

    def begin(size_bytes: int) -> Staged:
        record = ObjectRecord(key="key", etag="", size_bytes=max(0, size_bytes), modified_ms=0)
        return writes.begin(mount, record, b"", size_bytes)

    small = [begin(1000) for _ in range(100)]
    unknown = begin(-1)
    many = [begin(_LONG_BYTES) for _ in range(_MEMORY_BYTES // _PART_BYTES - 1)]
    with pytest.raises(Overloaded):
        begin(1)
    await writes.drop(unknown)
    begin(1)
    for staged in (*small, *many):
        await writes.drop(staged)
    await mount.store.close()

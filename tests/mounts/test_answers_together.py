"""Who asks about a cold object together with others gets the bytes that came along only if they are his."""

from __future__ import annotations

from typing import Any

import pytest

from zerohop.model import ANONYMOUS, ObjectRecord
from zerohop.rpc.master_api import ObjectResult
from zerohop.rpc.origin_api import ResolveMounted
from zerohop_worker.mounts.owner import _for


@pytest.mark.parametrize(
    ("offset", "size", "came"),
    [
        (10, -1, b"abcd"),
        (10, 2, b"ab"),
        (10, 0, b""),
        (0, -1, b""),
        (12, 2, b""),
        (-1, 90, b"abcd"),
        (-1, 5, b""),
    ],
)
def test_whose_bytes_they_are(offset: int, size: int, came: bytes) -> None:
    fields: dict[str, Any] = {"caller": ANONYMOUS, "mount_id": b"1234", "bucket": "mnt", "key": "key"}
    request = ResolveMounted(**fields, read_offset=offset, read_bytes=size)
    record = ObjectRecord(key="key", size_bytes=100, etag="", modified_ms=0)
    result = ObjectResult(record=record, row_version=0, bucket_owner="", came=b"abcd", came_at=10)
    assert _for(request, result).came == came

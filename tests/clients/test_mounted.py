"""A bucket as a file system, by s3fs-fuse."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.clients.access import Access
from tests.clients.catalogue import PREFIX
from tests.clients.mounted import mounted

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.mark.parametrize("prefix", ["", PREFIX], ids=["root", "prefix"])
def test_files_and_folders(access: Access, judge: S3Client, tmp_path: Path, prefix: str) -> None:
    bucket = f"mounted-{random.randbytes(6).hex()}"
    judge.create_bucket(Bucket=bucket)
    judge.put_object(Bucket=bucket, Key="made/by/boto3", Body=b"hello")
    body = random.randbytes(300_000)
    with mounted(replace(access, bucket=bucket, prefix=prefix, folder=str(tmp_path))) as point:
        assert (point / "made/by/boto3").read_bytes() == b"hello"
        (point / "folder").mkdir()
        file = point / "folder/file"
        file.write_bytes(body)
        with file.open("r+b") as edited:
            edited.seek(100)
            edited.write(b"edited")
        with file.open("ab") as appended:
            appended.write(b"appended")
        file.chmod(0o640)
        os.utime(file, (1_000_000_000, 1_000_000_000))
        file.rename(point / "folder/renamed")
        assert sorted(path.name for path in point.iterdir()) == ["folder", "made"]
        assert [path.name for path in (point / "folder").iterdir()] == ["renamed"]
        status = (point / "folder/renamed").stat()
        assert (status.st_mode & 0o777, status.st_mtime) == (0o640, 1_000_000_000)
        (point / "made/by/boto3").unlink()
        (point / "made/by").rmdir()
    stored = judge.get_object(Bucket=bucket, Key="folder/renamed")["Body"].read()
    assert stored == body[:100] + b"edited" + body[106:] + b"appended"
    assert [entry["Key"] for entry in judge.list_objects_v2(Bucket=bucket)["Contents"]] == [
        "folder/",
        "folder/renamed",
    ]

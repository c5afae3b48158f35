"""Every client there and back: one small object and one upload in parts."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.clients.access import Client
from tests.clients.catalogue import ADDRESSED, OVER_HTTPS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


pytestmark = pytest.mark.parametrize("addressed", [*ADDRESSED, *OVER_HTTPS], indirect=True)


def test_a_small_object(client: Client, bucket: str, judge: S3Client, tmp_path: Path) -> None:
    body = random.randbytes(1000)
    source, target = tmp_path / "source.bin", tmp_path / "target.bin"
    source.write_bytes(body)
    client.put("folder/small.bin", source)
    assert judge.get_object(Bucket=bucket, Key="folder/small.bin")["Body"].read() == body
    assert client.list("folder/") == [("folder/small.bin", 1000)]
    client.get("folder/small.bin", target)
    assert target.read_bytes() == body
    client.delete("folder/small.bin")
    assert keys_below(judge, bucket, "folder/") == []


def test_an_upload_in_parts(
    client: Client, bucket: str, judge: S3Client, parts_file: Path, tmp_path: Path
) -> None:
    client.put_in_parts("parts.bin", parts_file)
    stored = judge.get_object(Bucket=bucket, Key="parts.bin")
    assert stored["ETag"].endswith(('-2"', '-3"')), "it was not uploaded in parts"
    assert stored["Body"].read() == parts_file.read_bytes()
    target = tmp_path / "target.bin"
    client.get("parts.bin", target)
    assert target.read_bytes() == parts_file.read_bytes()
    assert ("parts.bin", parts_file.stat().st_size) in client.list("")
    client.delete("parts.bin")
    assert keys_below(judge, bucket, "parts") == []


def test_an_object_of_another_client(client: Client, bucket: str, judge: S3Client, tmp_path: Path) -> None:
    body = random.randbytes(100_000)
    judge.put_object(Bucket=bucket, Key="written/by-boto3", Body=body, Metadata={"colour": "blue"})
    client.get("written/by-boto3", tmp_path / "target.bin")
    assert (tmp_path / "target.bin").read_bytes() == body
    client.delete("written/by-boto3")


def keys_below(judge: S3Client, bucket: str, prefix: str) -> list[str]:
    """The objects that are left, without the empty ones that stand for folders."""
    listed = judge.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    return [entry["Key"] for entry in listed if not entry["Key"].endswith("/")]

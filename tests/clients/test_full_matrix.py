"""Everything that a client is asked to do in earnest, with every client. Minutes long, so in `make soak`."""

from __future__ import annotations

import hashlib
import io
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError
from tests.clients.access import Access, Client
from tests.clients.catalogue import ADDRESSED, CLIENTS, ODD_KEYS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = [pytest.mark.soak(cost_s=5), pytest.mark.parametrize("addressed", ADDRESSED, indirect=True)]

LARGE_BYTES = 100 << 20


def test_an_empty_object(client: Client, bucket: str, judge: S3Client, tmp_path: Path) -> None:
    (tmp_path / "source").touch()
    client.put("empty.bin", tmp_path / "source")
    assert judge.get_object(Bucket=bucket, Key="empty.bin")["Body"].read() == b""
    assert ("empty.bin", 0) in client.list("")
    client.get("empty.bin", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == b""
    client.delete("empty.bin")


def test_a_large_object(client: Client, bucket: str, judge: S3Client, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(random.randbytes(1 << 20) * (LARGE_BYTES >> 20) + b"end")
    client.put("large.bin", source)
    stored = io.BytesIO()
    judge.download_fileobj(bucket, "large.bin", stored)
    assert hashlib.sha256(stored.getbuffer()).digest() == hashlib.sha256(source.read_bytes()).digest()
    client.get("large.bin", target)
    assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(source.read_bytes()).digest()
    client.delete("large.bin")


def test_ranges(client: Client, bucket: str, judge: S3Client) -> None:
    body = random.randbytes(6_000_000)
    judge.put_object(Bucket=bucket, Key="ranges.bin", Body=body)
    for start, stop in [(0, 1), (5, 500), (4_194_300, 4_194_310), (5_999_999, 6_000_000)]:
        assert client.get_range("ranges.bin", start, stop) == body[start:stop]
    client.delete("ranges.bin")


def test_a_copy(client: Client, bucket: str, judge: S3Client) -> None:
    body = random.randbytes(50_000)
    judge.put_object(Bucket=bucket, Key="copies/from here.bin", Body=body)
    client.copy("copies/from here.bin", "copies/to+there.bin")
    assert judge.get_object(Bucket=bucket, Key="copies/to+there.bin")["Body"].read() == body
    assert judge.get_object(Bucket=bucket, Key="copies/from here.bin")["Body"].read() == body


def test_a_list_of_several_pages(client: Client, bucket: str, judge: S3Client) -> None:
    keys = [f"pages/{number % 7}/é {number:04}" for number in range(1100)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda key: judge.put_object(Bucket=bucket, Key=key, Body=b"x"), keys))
    assert sorted(client.list("pages/")) == sorted((key, 1) for key in keys)
    assert sorted(client.list("pages/3/")) == sorted((key, 1) for key in keys if key[6] == "3")


@pytest.mark.timeout(600)
def test_odd_keys(client: Client, addressed: tuple[str, Access], judge: S3Client, tmp_path: Path) -> None:
    """All but those that the client itself changes or refuses; that list is exact, and `docs/clients.md` tells it."""
    name, access = addressed
    troubles = {}
    for odd, key in ODD_KEYS.items():
        try:
            _there_and_back(client, key, judge, access.bucket, tmp_path)
        except (AssertionError, ClientError, OSError, ValueError) as trouble:
            troubles[odd] = str(trouble)
        finally:
            # Some of what is left would spoil the listings of all keys after it.
            judge.delete_object(Bucket=access.bucket, Key=key)
    told = "\n".join(f"{odd}: ...{trouble[-500:]}" for odd, trouble in troubles.items())
    assert sorted(troubles) == sorted(CLIENTS[name].cannot_name), told


def _there_and_back(client: Client, key: str, judge: S3Client, bucket: str, folder: Path) -> None:
    body = random.randbytes(100)
    (folder / "source").write_bytes(body)
    (folder / "target").unlink(missing_ok=True)
    client.put(key, folder / "source")
    assert judge.get_object(Bucket=bucket, Key=key)["Body"].read() == body
    assert (key, 100) in client.list("")
    client.get(key, folder / "target")
    assert (folder / "target").read_bytes() == body
    client.delete(key)
    with pytest.raises(ClientError):
        judge.head_object(Bucket=bucket, Key=key)

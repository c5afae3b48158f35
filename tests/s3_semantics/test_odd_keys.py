"""Keys of every form that S3 allows: written, read, listed, copied, tagged and deleted, exactly as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from tests.s3_semantics.conftest import Refused
from tests.s3_semantics.signed_http import SignedHttp

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PATHS = [
    "with space and+plus",
    "percent%20 %2F %",
    "ünïcödé/数/\U0001f600",
    "q?a=b&c=d#e",
    "quote'\"<>&;",
    "a/b/c/d/e/f/g",
    "trailing.",
    "~tilde-and_*(!)",
    "colon:and@at",
    "back\\slash",
]
"""What a file system can hold, too."""

OTHERS = [
    "double//slash",
    "/leading",
    "trailing/",
    ".",
    "..",
    "a/./b",
    "a/../b",
    "//",
    "\x01control\x7f",
    "line\nfeed\tand\rmore",
    "é" * 450,
]


def everything(s3: S3Client, send: SignedHttp, bucket: str, keys: list[str]) -> None:
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode(), Metadata={"key": quote(key[:100])})
    for key in keys:
        found = s3.get_object(Bucket=bucket, Key=key)
        assert (found["Body"].read(), found["Metadata"]) == (key.encode(), {"key": quote(key[:100])})
        assert send("HEAD", f"/{bucket}/{key}").headers["content-length"] == str(len(key.encode()))
    for size in (1000, 1):
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, PaginationConfig={"PageSize": size}
        )
        listed = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        assert listed == sorted(keys, key=str.encode)
    for key in keys:
        listed = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"]]
        assert key in listed
        s3.put_object_tagging(Bucket=bucket, Key=key, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
        source: Any = {"Bucket": bucket, "Key": key}
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
        copied = s3.get_object(Bucket=bucket, Key="copy")
        assert (copied["Body"].read(), copied["TagCount"]) == (key.encode(), 1)
    s3.delete_object(Bucket=bucket, Key=keys[0])
    identified: Any = {"Objects": [{"Key": key} for key in [*keys, "copy"] if key.isprintable()]}
    assert "Errors" not in s3.delete_objects(Bucket=bucket, Delete=identified)
    for key in keys:
        if not key.isprintable():
            s3.delete_object(Bucket=bucket, Key=key)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_paths(s3: S3Client, send: SignedHttp, bucket: str) -> None:
    everything(s3, send, bucket, PATHS)


def test_what_is_no_path(s3: S3Client, send: SignedHttp, bucket: str) -> None:
    everything(s3, send, bucket, OTHERS)


def test_a_key_and_a_folder_of_one_name(s3: S3Client, send: SignedHttp, bucket: str) -> None:
    everything(s3, send, bucket, ["name", "name/", "name/below", "name-", "name/below/"])


def test_markers_of_folders(s3: S3Client, bucket: str) -> None:
    for key in ("folder/", "folder/file", "empty/"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"" if key.endswith("/") else b"x")
    page = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [entry["Prefix"] for entry in page["CommonPrefixes"]] == ["empty/", "folder/"]
    inside = s3.list_objects_v2(Bucket=bucket, Delimiter="/", Prefix="folder/")["Contents"]
    assert [(entry["Key"], entry["Size"]) for entry in inside] == [("folder/", 0), ("folder/file", 1)]
    assert s3.head_object(Bucket=bucket, Key="empty/")["ContentLength"] == 0
    s3.delete_object(Bucket=bucket, Key="folder/")
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["empty/", "folder/file"]


@pytest.mark.parametrize("key", ["k" * 1025, "é" * 513])
def test_keys_that_are_too_long(s3: S3Client, refused: Refused, bucket: str, key: str) -> None:
    where: Any = {"Bucket": bucket, "Key": key}
    too_long = (400, "KeyTooLongError")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert refused(s3.put_object, **where, Body=b"x") == too_long
    assert refused(s3.put_object, **where, Body=b"x" * 100_000) == too_long
    assert refused(s3.create_multipart_upload, **where) == too_long
    assert refused(s3.copy_object, **where, CopySource=f"{bucket}/k") == too_long

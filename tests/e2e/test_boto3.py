"""boto3 round trips against real processes: what an ordinary S3 program does all day."""

from __future__ import annotations

import hashlib
import io
import random
from typing import TYPE_CHECKING

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.support.cluster import Cluster
from tests.support.real_cluster import RealCluster

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef, CopySourceTypeDef

ODD_KEYS = [
    "plain",
    "a//b",
    "/leading",
    "trailing/",
    ".",
    "..",
    "../up",
    "a/../b",
    "a/./b",
    "with space",
    "plus+plus",
    "per%cent%2Fslash",
    "q?u=e&r#y",
    "ünïcödé/日本語/🪣",
    "tab\tnewline\n",
    "quote\"'<>&",
    "back\\slash",
    "a" * 1024,
    "ü" * 512,
    "~tilde*star;semi:colon,comma",
]


@pytest.fixture(
    scope="module",
    params=[
        ("cluster", ""),
        ("cluster", "/api/v1/s3"),
        pytest.param(("real_cluster", ""), marks=pytest.mark.several_workers),
    ],
    ids=["root", "prefix", "several-workers"],
)
def s3(request: pytest.FixtureRequest) -> S3Client:
    name, prefix = request.param
    cluster: Cluster | RealCluster = request.getfixturevalue(name)
    user = cluster.user("boto3-user")
    return boto3.client(
        "s3",
        endpoint_url=cluster.endpoint + prefix,
        aws_access_key_id=user.access_key,
        aws_secret_access_key=user.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
    )


@pytest.fixture
def bucket(s3: S3Client) -> str:
    name = f"boto3-{random.randbytes(6).hex()}"
    s3.create_bucket(Bucket=name)
    return name


def status_of(error: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    return error.value.response["ResponseMetadata"]["HTTPStatusCode"], error.value.response["Error"]["Code"]


@pytest.mark.parametrize("size", [0, 1, 16383, 16384, 16385, 4 << 20, (4 << 20) + 1, 9_000_001])
def test_an_object_comes_back_as_it_was_put(s3: S3Client, bucket: str, size: int) -> None:
    body = random.randbytes(size)
    put = s3.put_object(
        Bucket=bucket, Key="k", Body=body, ContentType="text/x-test", Metadata={"colour": "blue"}
    )
    assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == body
    assert (got["ETag"], got["ContentLength"], got["ContentType"]) == (put["ETag"], size, "text/x-test")
    assert got["Metadata"] == {"colour": "blue"}
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["ContentLength"], head["ETag"]) == (size, put["ETag"])
    assert head["LastModified"] == got["LastModified"]


def test_a_hundred_mebibytes_by_multipart(s3: S3Client, bucket: str) -> None:
    body = random.randbytes(1 << 20) * 100
    config = TransferConfig(multipart_threshold=8 << 20, multipart_chunksize=8 << 20, max_concurrency=4)
    s3.upload_fileobj(io.BytesIO(body), bucket, "big", Config=config)
    head = s3.head_object(Bucket=bucket, Key="big")
    digests = b"".join(hashlib.md5(body[at : at + (8 << 20)]).digest() for at in range(0, len(body), 8 << 20))
    assert head["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-13"'
    assert head["ContentLength"] == len(body)
    sink = io.BytesIO()
    s3.download_fileobj(bucket, "big", sink, Config=config)
    assert hashlib.sha256(sink.getvalue()).digest() == hashlib.sha256(body).digest()
    across = s3.get_object(Bucket=bucket, Key="big", Range=f"bytes={(8 << 20) - 5}-{(24 << 20) + 4}")
    assert across["Body"].read() == body[(8 << 20) - 5 : (24 << 20) + 5]


def test_keys_of_every_odd_form_round_trip(s3: S3Client, bucket: str) -> None:
    for number, key in enumerate(ODD_KEYS):
        s3.put_object(Bucket=bucket, Key=key, Body=str(number).encode())
    for number, key in enumerate(ODD_KEYS):
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == str(number).encode()
    listed = s3.list_objects_v2(Bucket=bucket)
    assert [entry["Key"] for entry in listed["Contents"]] == sorted(ODD_KEYS, key=lambda key: key.encode())
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in ODD_KEYS]})
    assert sorted(entry["Key"] for entry in deleted["Deleted"]) == sorted(ODD_KEYS)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_listing_pages_and_groups(s3: S3Client, bucket: str) -> None:
    keys = [*(f"{top}/{sub}/{leaf}" for top in "abc" for sub in "xyz" for leaf in "123"), "top"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 4})
    assert [entry["Key"] for page in pages for entry in page.get("Contents", [])] == keys
    old = s3.get_paginator("list_objects").paginate(Bucket=bucket, PaginationConfig={"PageSize": 5})
    assert [entry["Key"] for page in old for entry in page.get("Contents", [])] == keys
    grouped = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [group["Prefix"] for group in grouped["CommonPrefixes"]] == ["a/", "b/", "c/"]
    assert [entry["Key"] for entry in grouped["Contents"]] == ["top"]
    for page_size in (1, 2, 3):
        found: list[str] = []
        pager = s3.get_paginator("list_objects_v2")
        for page in pager.paginate(
            Bucket=bucket, Prefix="b/", Delimiter="/", PaginationConfig={"PageSize": page_size}
        ):
            found += [group["Prefix"] for group in page.get("CommonPrefixes", [])]
        assert found == ["b/x/", "b/y/", "b/z/"]


def test_ranges(s3: S3Client, bucket: str) -> None:
    body = random.randbytes(5_000_000)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    for header, wanted in [
        ("bytes=0-0", body[:1]),
        ("bytes=100-199", body[100:200]),
        ("bytes=4999999-", body[-1:]),
        ("bytes=-500", body[-500:]),
        ("bytes=-9000000", body),
        ("bytes=4194300-4194310", body[4194300:4194311]),
        ("bytes=10-99999999", body[10:]),
    ]:
        got = s3.get_object(Bucket=bucket, Key="k", Range=header)
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert got["Body"].read() == wanted
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="k", Range="bytes=5000000-")
    assert status_of(error) == (416, "InvalidRange")


def test_copies_share_and_outlive_their_source(s3: S3Client, bucket: str) -> None:
    for name, size in (("small", 100), ("large", 6 << 20)):
        body = random.randbytes(size)
        s3.put_object(Bucket=bucket, Key=name, Body=body, Metadata={"a": "1"}, ContentType="text/plain")
        s3.copy_object(Bucket=bucket, Key=f"{name} copy", CopySource={"Bucket": bucket, "Key": name})
        s3.copy_object(
            Bucket=bucket,
            Key=f"{name}-replaced",
            CopySource={"Bucket": bucket, "Key": name},
            MetadataDirective="REPLACE",
            Metadata={"b": "2"},
            ContentType="text/html",
        )
        s3.delete_object(Bucket=bucket, Key=name)
        kept = s3.get_object(Bucket=bucket, Key=f"{name} copy")
        assert (kept["Body"].read(), kept["Metadata"], kept["ContentType"]) == (
            body,
            {"a": "1"},
            "text/plain",
        )
        replaced = s3.get_object(Bucket=bucket, Key=f"{name}-replaced")
        assert (replaced["Body"].read(), replaced["Metadata"]) == (body, {"b": "2"})
        assert replaced["ContentType"] == "text/html"


def test_upload_part_copy(s3: S3Client, bucket: str) -> None:
    source = random.randbytes(12 << 20)
    s3.put_object(Bucket=bucket, Key="source", Body=source)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="target")["UploadId"]
    where: CopySourceTypeDef = {"Bucket": bucket, "Key": "source"}
    whole = s3.upload_part_copy(Bucket=bucket, Key="target", UploadId=upload, PartNumber=1, CopySource=where)
    some = s3.upload_part_copy(
        Bucket=bucket,
        Key="target",
        UploadId=upload,
        PartNumber=2,
        CopySource=where,
        CopySourceRange="bytes=7-1000006",
    )
    parts: list[CompletedPartTypeDef] = [
        {"PartNumber": 1, "ETag": whole["CopyPartResult"]["ETag"]},
        {"PartNumber": 2, "ETag": some["CopyPartResult"]["ETag"]},
    ]
    s3.complete_multipart_upload(
        Bucket=bucket, Key="target", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    assert s3.get_object(Bucket=bucket, Key="target")["Body"].read() == source + source[7:1000007]


def test_errors_are_those_of_s3(s3: S3Client, bucket: str) -> None:
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="missing")
    assert status_of(error) == (404, "NoSuchKey")
    with pytest.raises(ClientError) as error:
        s3.list_objects_v2(Bucket="no-such-bucket-anywhere")
    assert status_of(error) == (404, "NoSuchBucket")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    with pytest.raises(ClientError) as error:
        s3.delete_bucket(Bucket=bucket)
    assert status_of(error) == (409, "BucketNotEmpty")
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"y", IfNoneMatch="*")
    assert status_of(error) == (412, "PreconditionFailed")
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"y", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")
    assert status_of(error) == (400, "BadDigest")
    with pytest.raises(ClientError) as error:
        s3.get_bucket_policy(Bucket=bucket)
    assert status_of(error) == (404, "NoSuchBucketPolicy")
    with pytest.raises(ClientError) as error:
        s3.put_bucket_accelerate_configuration(Bucket=bucket, AccelerateConfiguration={"Status": "Enabled"})
    assert status_of(error) == (501, "NotImplemented")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_a_wrong_secret_and_an_unknown_key_are_refused(cluster: Cluster) -> None:
    user = cluster.user("boto3-user")
    for access_key, secret, code in (
        (user.access_key, "wrong", "SignatureDoesNotMatch"),
        ("AKIAUNKNOWN", user.secret_key, "InvalidAccessKeyId"),
    ):
        client = boto3.client(
            "s3",
            endpoint_url=cluster.endpoint,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret,
            region_name="us-east-1",
        )
        with pytest.raises(ClientError) as error:
            client.list_buckets()
        assert status_of(error) == (403, code)

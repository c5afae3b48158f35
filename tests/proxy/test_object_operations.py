"""Operations on objects as boto3 sends them: conditions, checksums, copies, deletes, versions."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.inprocess import InProcessCluster
from tests.proxy.raw_http import RawConnection
from tests.proxy.users import s3_client

from zerohop.model import UserRecord


@pytest.fixture
async def s3(cluster: InProcessCluster, user: UserRecord) -> Any:
    client = s3_client(cluster, user)
    await asyncio.to_thread(client.create_bucket, Bucket="box")
    return client


def refused(call: Callable[..., Any], **arguments: Any) -> tuple[int, str]:
    """Status and code of the error that the call meets."""
    with pytest.raises(ClientError) as error:
        call(**arguments)
    response: Any = error.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


async def test_conditional_reads(s3: Any) -> None:
    def work() -> None:
        etag = s3.put_object(Bucket="box", Key="k", Body=b"x")["ETag"]
        modified = s3.head_object(Bucket="box", Key="k")["LastModified"]
        assert s3.get_object(Bucket="box", Key="k", IfMatch=etag)["Body"].read() == b"x"
        assert refused(s3.get_object, Bucket="box", Key="k", IfMatch='"no"')[0] == 412
        assert refused(s3.get_object, Bucket="box", Key="k", IfNoneMatch=etag)[0] == 304
        assert refused(s3.head_object, Bucket="box", Key="k", IfModifiedSince=modified)[0] == 304
        assert refused(s3.get_object, Bucket="box", Key="k", Range="bytes=5-") == (416, "InvalidRange")

    await asyncio.to_thread(work)


@pytest.mark.parametrize("size", [10, 100_000])
async def test_conditional_writes(s3: Any, size: int) -> None:
    body = os.urandom(size)

    def work() -> None:
        etag = s3.put_object(Bucket="box", Key="k", Body=body, IfNoneMatch="*")["ETag"]
        assert refused(s3.put_object, Bucket="box", Key="k", Body=body, IfNoneMatch="*") == (
            412,
            "PreconditionFailed",
        )
        assert refused(s3.put_object, Bucket="box", Key="k", Body=body, IfMatch='"no"') == (
            412,
            "PreconditionFailed",
        )
        assert refused(s3.put_object, Bucket="box", Key="none", Body=body, IfMatch=etag) == (404, "NoSuchKey")
        s3.put_object(Bucket="box", Key="k", Body=body, IfMatch=etag)
        assert refused(s3.delete_object, Bucket="box", Key="k", IfMatch='"no"') == (412, "PreconditionFailed")
        s3.delete_object(Bucket="box", Key="k", IfMatch=etag)
        assert refused(s3.head_object, Bucket="box", Key="k")[0] == 404

    await asyncio.to_thread(work)


async def test_of_many_creations_one_wins(s3: Any) -> None:
    def create(number: int) -> int:
        try:
            s3.put_object(Bucket="box", Key="k", Body=bytes([number]) * 20_000, IfNoneMatch="*")
        except ClientError as error:
            return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
        return 200

    statuses = await asyncio.gather(*(asyncio.to_thread(create, number) for number in range(8)))
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 409, 412}


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
@pytest.mark.parametrize("size", [11, 300_000])
async def test_checksums_are_checked_kept_and_returned(s3: Any, algorithm: str, size: int) -> None:
    body = os.urandom(size)

    def work() -> None:
        put = s3.put_object(Bucket="box", Key="k", Body=body, ChecksumAlgorithm=algorithm)
        value = put[f"Checksum{algorithm}"]
        assert put["ChecksumType"] == "FULL_OBJECT"
        got = s3.get_object(Bucket="box", Key="k", ChecksumMode="ENABLED")
        assert got[f"Checksum{algorithm}"] == value
        assert got["Body"].read() == body
        wrong = {f"Checksum{algorithm}": base64.b64encode(bytes(len(base64.b64decode(value)))).decode()}
        assert refused(s3.put_object, Bucket="box", Key="new", Body=body, **wrong) == (400, "BadDigest")
        assert refused(s3.head_object, Bucket="box", Key="new")[0] == 404

    await asyncio.to_thread(work)


async def test_a_wrong_md5_stores_nothing(raw: RawConnection) -> None:
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    for size in (10, 1_000_000):
        answer = await raw.request("PUT /bucket/k HTTP/1.1", f"Content-MD5: {wrong}", body=bytes(size))
        assert (answer.status, answer.code) == (400, "BadDigest")
    assert (await raw.request("HEAD /bucket/k HTTP/1.1")).status == 404


@pytest.mark.parametrize("size", [10, 5_000_000])
async def test_copies(s3: Any, size: int) -> None:
    body = os.urandom(size)

    def work() -> None:
        s3.put_object(Bucket="box", Key="k", Body=body, ContentType="text/x", Metadata={"a": "1"})
        etag = s3.head_object(Bucket="box", Key="k")["ETag"]
        copied = s3.copy_object(Bucket="box", Key="c", CopySource={"Bucket": "box", "Key": "k"})
        assert copied["CopyObjectResult"]["ETag"] == etag
        got = s3.get_object(Bucket="box", Key="c")
        assert (got["Body"].read(), got["ContentType"], got["Metadata"]) == (body, "text/x", {"a": "1"})

        source = {"Bucket": "box", "Key": "k"}
        s3.copy_object(
            Bucket="box", Key="k", CopySource=source, MetadataDirective="REPLACE", Metadata={"b": "2"}
        )
        assert s3.head_object(Bucket="box", Key="k")["Metadata"] == {"b": "2"}
        assert refused(s3.copy_object, Bucket="box", Key="k", CopySource=source) == (400, "InvalidRequest")
        assert refused(s3.copy_object, Bucket="box", Key="d", CopySource="box/none") == (404, "NoSuchKey")
        refusal = refused(s3.copy_object, Bucket="box", Key="d", CopySource=source, CopySourceIfMatch='"no"')
        assert refusal == (412, "PreconditionFailed")
        rehashed = s3.copy_object(Bucket="box", Key="d", CopySource=source, ChecksumAlgorithm="SHA256")
        assert (
            rehashed["CopyObjectResult"]["ChecksumSHA256"]
            == base64.b64encode(hashlib.sha256(body).digest()).decode()
        )
        assert s3.get_object(Bucket="box", Key="d")["Body"].read() == body

    await asyncio.to_thread(work)


async def test_delete_many(s3: Any, raw: RawConnection) -> None:
    def work() -> None:
        for number in range(5):
            s3.put_object(Bucket="box", Key=f"k{number}", Body=b"")
        keys = [{"Key": "k0"}, {"Key": "k1"}, {"Key": "never"}, {"Key": "k2", "ETag": '"no"'}]
        result = s3.delete_objects(Bucket="box", Delete={"Objects": keys})
        assert {item["Key"] for item in result["Deleted"]} == {"k0", "k1", "never"}
        assert [(item["Key"], item["Code"]) for item in result["Errors"]] == [("k2", "PreconditionFailed")]
        quiet = s3.delete_objects(Bucket="box", Delete={"Objects": [{"Key": "k3"}], "Quiet": True})
        assert "Deleted" not in quiet
        left = [item["Key"] for item in s3.list_objects_v2(Bucket="box")["Contents"]]
        assert left == ["k2", "k4"]

    await asyncio.to_thread(work)
    unvouched = b"<Delete><Object><Key>k</Key></Object></Delete>"
    answer = await raw.request("POST /bucket?delete HTTP/1.1", body=unvouched)
    assert (answer.status, answer.code) == (400, "InvalidRequest")


async def test_listings_go_page_by_page(s3: Any) -> None:
    keys = sorted(["a", "a/1", "a/2", "b", "c/x/y", "d e", "ü"], key=lambda key: key.encode())

    def work() -> None:
        for key in keys:
            s3.put_object(Bucket="box", Key=key, Body=b"")
        for name in ("list_objects", "list_objects_v2"):
            pages = s3.get_paginator(name).paginate(Bucket="box", PaginationConfig={"PageSize": 2})
            assert [item["Key"] for page in pages for item in page.get("Contents", ())] == keys
            pages = s3.get_paginator(name).paginate(
                Bucket="box", Delimiter="/", PaginationConfig={"PageSize": 1}
            )
            found = list(pages)
            assert [i["Key"] for p in found for i in p.get("Contents", ())] == ["a", "b", "d e", "ü"]
            assert [i["Prefix"] for p in found for i in p.get("CommonPrefixes", ())] == ["a/", "c/"]
        versions = s3.list_object_versions(Bucket="box", MaxKeys=3)
        assert [(v["Key"], v["VersionId"], v["IsLatest"]) for v in versions["Versions"]] == [
            (key, "null", True) for key in keys[:3]
        ]
        assert refused(s3.delete_bucket, Bucket="box") == (409, "BucketNotEmpty")

    await asyncio.to_thread(work)


async def test_overrides_are_for_signed_requests(s3: Any, raw: RawConnection) -> None:
    def work() -> None:
        s3.put_object(Bucket="box", Key="k", Body=b"x")
        assert s3.get_object(Bucket="box", Key="k", ResponseContentType="text/y")["ContentType"] == "text/y"

    await asyncio.to_thread(work)
    await raw.request("PUT /bucket/k HTTP/1.1", body=b"x")
    answer = await raw.request("GET /bucket/k?response-content-type=text/y HTTP/1.1")
    assert (answer.status, answer.code) == (400, "InvalidRequest")


@pytest.mark.parametrize("policy", ["through", "cache_through", "async_through", "must_cache"])
async def test_a_write_policy_can_be_asked_for(raw: RawConnection, policy: str) -> None:
    for size in (10, 100_000):
        put = await raw.request(
            "PUT /bucket/k HTTP/1.1", f"x-zerohop-write-policy: {policy}", body=b"z" * size
        )
        assert put.status == 200
        assert (await raw.request("GET /bucket/k HTTP/1.1")).body == b"z" * size


async def test_an_unknown_write_policy_is_refused(raw: RawConnection) -> None:
    put = await raw.request("PUT /bucket/k HTTP/1.1", "x-zerohop-write-policy: hope", body=b"z")
    assert (put.status, put.code) == (400, "InvalidArgument")


async def test_other_operations_are_not_implemented_by_name(s3: Any) -> None:
    def work() -> None:
        rules: Any = {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}
        with pytest.raises(ClientError, match="PutBucketCors") as raised:
            s3.put_bucket_cors(Bucket="box", CORSConfiguration=rules)
        assert raised.value.response["Error"]["Code"] == "NotImplemented"

    await asyncio.to_thread(work)


async def test_the_region_decides_on_creating_again(raw: RawConnection, cluster: InProcessCluster) -> None:
    assert (await raw.request("PUT /bucket HTTP/1.1", "Content-Length: 0")).status == 200
    async with RawConnection(await cluster.add_proxy(region="eu-south-7")) as elsewhere:
        again = await elsewhere.request("PUT /bucket HTTP/1.1", "Content-Length: 0")
        assert (again.status, again.code) == (409, "BucketAlreadyOwnedByYou")
        located = await elsewhere.request("GET /bucket?location HTTP/1.1")
        assert b">eu-south-7</LocationConstraint>" in located.body

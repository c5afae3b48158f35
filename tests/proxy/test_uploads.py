"""Multipart uploads as boto3 sends them."""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.inprocess import InProcessCluster
from tests.proxy.raw_http import RawConnection
from tests.proxy.users import s3_client

from zerohop.model import UserRecord

_MIN = 5 << 20


@pytest.fixture
async def s3(cluster: InProcessCluster, user: UserRecord) -> Any:
    client = s3_client(cluster, user)
    await asyncio.to_thread(client.create_bucket, Bucket="box")
    return client


def _etag(parts: list[bytes]) -> str:
    digest = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)).hexdigest()
    return f'"{digest}-{len(parts)}"'


async def test_parts_become_the_object(s3: Any) -> None:
    parts = [os.urandom(_MIN), os.urandom(_MIN + 1), os.urandom(100)]

    def work() -> None:
        upload = s3.create_multipart_upload(Bucket="box", Key="k", ContentType="text/x", Metadata={"a": "1"})
        named = {"Bucket": "box", "Key": "k", "UploadId": upload["UploadId"]}
        listed = [
            {"PartNumber": number, "ETag": s3.upload_part(**named, PartNumber=number, Body=part)["ETag"]}
            for number, part in enumerate(parts, 1)
        ]
        assert [p["Size"] for p in s3.list_parts(**named)["Parts"]] == [len(part) for part in parts]
        assert [u["Key"] for u in s3.list_multipart_uploads(Bucket="box")["Uploads"]] == ["k"]
        for _ in range(2):  # the same again is answered the same
            done = s3.complete_multipart_upload(**named, MultipartUpload={"Parts": listed})
            assert done["ETag"] == _etag(parts)
        got = s3.get_object(Bucket="box", Key="k")
        assert got["Body"].read() == b"".join(parts)
        assert (got["ContentType"], got["Metadata"]) == ("text/x", {"a": "1"})
        second = s3.get_object(Bucket="box", Key="k", PartNumber=2)
        assert second["PartsCount"] == 3
        assert second["Body"].read() == parts[1]
        crossing = s3.get_object(Bucket="box", Key="k", Range=f"bytes={_MIN - 5}-{_MIN + 4}")
        assert crossing["Body"].read() == parts[0][-5:] + parts[1][:5]
        assert "Uploads" not in s3.list_multipart_uploads(Bucket="box")

    await asyncio.to_thread(work)


@pytest.mark.parametrize(
    "algorithm, kind",
    [("CRC32", "COMPOSITE"), ("CRC32", "FULL_OBJECT"), ("CRC64NVME", "FULL_OBJECT"), ("SHA256", "COMPOSITE")],
)
async def test_checksums_of_uploads(s3: Any, algorithm: str, kind: str) -> None:
    parts = [os.urandom(_MIN), os.urandom(1000)]

    def work() -> None:
        upload = s3.create_multipart_upload(
            Bucket="box", Key="k", ChecksumAlgorithm=algorithm, ChecksumType=kind
        )
        named = {"Bucket": "box", "Key": "k", "UploadId": upload["UploadId"]}
        listed = []
        for number, part in enumerate(parts, 1):
            sent = s3.upload_part(**named, PartNumber=number, Body=part, ChecksumAlgorithm=algorithm)
            name = f"Checksum{algorithm}"
            listed.append({"PartNumber": number, "ETag": sent["ETag"], name: sent[name]})
        done = s3.complete_multipart_upload(**named, MultipartUpload={"Parts": listed})
        assert done["ChecksumType"] == kind
        value = done[f"Checksum{algorithm}"]
        assert value.endswith("-2") == (kind == "COMPOSITE")
        if kind == "FULL_OBJECT":
            whole = s3.put_object(Bucket="box", Key="w", Body=b"".join(parts), ChecksumAlgorithm=algorithm)
            assert whole[f"Checksum{algorithm}"] == value
        head = s3.head_object(Bucket="box", Key="k", ChecksumMode="ENABLED")
        assert head[f"Checksum{algorithm}"] == value

    await asyncio.to_thread(work)


async def test_parts_are_copied(s3: Any) -> None:
    body = os.urandom(_MIN + 77)

    def work() -> None:
        s3.put_object(Bucket="box", Key="source", Body=body)
        upload = s3.create_multipart_upload(Bucket="box", Key="k")
        named = {"Bucket": "box", "Key": "k", "UploadId": upload["UploadId"]}
        whole = s3.upload_part_copy(**named, PartNumber=1, CopySource="box/source")
        some = s3.upload_part_copy(
            **named, PartNumber=2, CopySource="box/source", CopySourceRange="bytes=10-5242889"
        )
        listed = [
            {"PartNumber": 1, "ETag": whole["CopyPartResult"]["ETag"]},
            {"PartNumber": 2, "ETag": some["CopyPartResult"]["ETag"]},
        ]
        done = s3.complete_multipart_upload(**named, MultipartUpload={"Parts": listed})
        assert done["ETag"] == _etag([body, body[10:5242890]])
        assert s3.get_object(Bucket="box", Key="k")["Body"].read() == body + body[10:5242890]
        s3.copy_object(Bucket="box", Key="again", CopySource="box/k")
        assert s3.get_object(Bucket="box", Key="again")["Body"].read() == body + body[10:5242890]

    await asyncio.to_thread(work)


async def test_completion_checks_the_list(s3: Any) -> None:
    def work() -> None:
        upload = s3.create_multipart_upload(Bucket="box", Key="k")
        named = {"Bucket": "box", "Key": "k", "UploadId": upload["UploadId"]}
        etags = [s3.upload_part(**named, PartNumber=n, Body=b"small")["ETag"] for n in (1, 2)]
        one, two = ({"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, 1))
        for listed, code in (
            ([one, two], "EntityTooSmall"),
            ([two, one], "InvalidPartOrder"),
            ([{**one, "ETag": '"no"'}], "InvalidPart"),
            ([one, {**two, "PartNumber": 7}], "InvalidPart"),
        ):
            with pytest.raises(ClientError) as error:
                s3.complete_multipart_upload(**named, MultipartUpload={"Parts": listed})
            assert error.value.response["Error"]["Code"] == code
        s3.abort_multipart_upload(**named)
        with pytest.raises(ClientError) as error:
            s3.upload_part(**named, PartNumber=1, Body=b"late")
        assert error.value.response["Error"]["Code"] == "NoSuchUpload"

    await asyncio.to_thread(work)


async def test_the_dialect_of_the_page(raw: RawConnection) -> None:
    base = "/api/v1/s3/bucket/k"
    begun = await raw.request(f"POST {base}?uploads HTTP/1.1", "Content-Length: 0")
    upload = begun.body.partition(b"<UploadId>")[2].partition(b"</UploadId>")[0].decode()
    assert (await raw.request(f"PUT {base}?partNumber=1&uploadId={upload} HTTP/1.1")).status == 200
    for number in (2, 3):
        line = f"PUT {base}?partNumber={number}&uploadId={upload} HTTP/1.1"
        assert (await raw.request(line, body=b"part")).status == 200
    assert (await raw.request(f"POST {base}?uploadId={upload} HTTP/1.1")).status == 200
    assert (await raw.request(f"GET {base} HTTP/1.1")).body == b"partpart"

    plain = await raw.request("PUT /bucket/k HTTP/1.1")
    assert (plain.status, plain.code) == (411, "MissingContentLength")

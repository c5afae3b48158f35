"""Objects of one PUT whose bytes are neither inline nor, behind a mount, in one request to the origin."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import TYPE_CHECKING, Any

import pytest
from tests.s3_semantics.conftest import Refused
from tests.s3_semantics.signed_http import SignedHttp

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SIZES = [100_000, (17 << 20) + 3]
DESCRIBED: dict[str, Any] = {
    "ContentType": "a/b",
    "CacheControl": "no-cache",
    "ContentDisposition": "attachment",
    "ContentEncoding": "gzip",
    "ContentLanguage": "de",
    "WebsiteRedirectLocation": "/r",
    "Metadata": {"m": "v"},
    "StorageClass": "STANDARD_IA",
}


@pytest.mark.parametrize("size", SIZES)
def test_one_object_in_all_answers(s3: S3Client, refused: Refused, bucket: str, size: int) -> None:
    body = secrets.token_bytes(size)
    where: Any = {"Bucket": bucket, "Key": "k"}
    put = s3.put_object(**where, Body=body, ChecksumAlgorithm="CRC32C", Tagging="a=b", **DESCRIBED)
    etag = f'"{hashlib.md5(body).hexdigest()}"'
    assert put["ETag"] == etag
    (listed,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert (listed["ETag"], listed["Size"], listed["StorageClass"]) == (etag, size, "STANDARD_IA")
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == (["CRC32C"], "FULL_OBJECT")
    (version,) = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert version["ETag"] == etag
    for call in (s3.head_object, s3.get_object):
        found: Any = call(**where, ChecksumMode="ENABLED", IfMatch=listed["ETag"])
        assert {name: found[name] for name in DESCRIBED} == DESCRIBED
        assert (found["ETag"], found["ContentLength"], found["TagCount"]) == (etag, size, 1)
        assert (found["ChecksumCRC32C"], found["ChecksumType"]) == (put["ChecksumCRC32C"], "FULL_OBJECT")
        assert "PartsCount" not in found
        assert "Body" not in found or found["Body"].read() == body
    first: Any = s3.get_object(**where, PartNumber=1)
    assert (first["ContentLength"], first["Body"].read() == body) == (size, True)
    assert refused(s3.get_object, **where, PartNumber=2) == (416, "InvalidPartNumber")
    told: Any = s3.get_object_attributes(
        **where, ObjectAttributes=["ETag", "Checksum", "ObjectParts", "ObjectSize"]
    )
    assert (told["ETag"], told["ObjectSize"]) == (etag.strip('"'), size)
    assert told["Checksum"] == {"ChecksumCRC32C": put["ChecksumCRC32C"], "ChecksumType": "FULL_OBJECT"}
    assert "ObjectParts" not in told
    middle = s3.get_object(**where, Range=f"bytes={size // 2}-{size // 2 + 9}")
    assert middle["Body"].read() == body[size // 2 : size // 2 + 10]
    s3.delete_object(**where, IfMatch=listed["ETag"])
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content-MD5": base64.b64encode(hashlib.md5(b"other").digest()).decode()}, "BadDigest"),
        ({"x-amz-checksum-crc32": "AAAAAA=="}, "BadDigest"),
        ({"x-amz-content-sha256": hashlib.sha256(b"other").hexdigest()}, "XAmzContentSHA256Mismatch"),
    ],
)
def test_what_is_not_as_announced_is_not_stored(
    send: SignedHttp, bucket: str, size: int, headers: dict[str, str], code: str
) -> None:
    path = f"/{bucket}/k"
    reply = send("PUT", path, headers=headers, body=b"x" * size)
    assert (reply.status, reply.code) == (400, code)
    assert send("HEAD", path).status == 404
    assert send("GET", f"/{bucket}", "list-type=2").text("KeyCount") == "0"


@pytest.mark.parametrize("size", SIZES)
def test_conditions(s3: S3Client, refused: Refused, bucket: str, size: int) -> None:
    where: Any = {"Bucket": bucket, "Key": "k"}
    body = b"x" * size
    assert refused(s3.put_object, **where, Body=body, IfMatch='"other"') == (404, "NoSuchKey")
    etag = s3.put_object(**where, Body=body, IfNoneMatch="*")["ETag"]
    failed = (412, "PreconditionFailed")
    assert refused(s3.put_object, **where, Body=body, IfNoneMatch="*") == failed
    assert refused(s3.put_object, **where, Body=body, IfMatch='"other"') == failed
    assert refused(s3.delete_object, **where, IfMatch='"other"') == failed
    s3.put_object(**where, Body=body + b"y", IfMatch=etag)
    assert s3.head_object(**where)["ContentLength"] == size + 1


def test_trailing_checksums(s3: S3Client, send: SignedHttp, bucket: str) -> None:
    """aws-chunked bodies: nothing of their framing is stored, and a wrong trailer stores nothing at all."""
    data = b"y" * 70_000
    right = base64.b64encode(hashlib.sha256(data).digest()).decode()
    wrong = base64.b64encode(hashlib.sha256(b"").digest()).decode()
    for value, status in ((wrong, 400), (right, 200)):
        body = b"%x\r\n%s\r\n0\r\nx-amz-checksum-sha256:%s\r\n\r\n" % (len(data), data, value.encode())
        headers = {
            "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "x-amz-decoded-content-length": str(len(data)),
            "x-amz-trailer": "x-amz-checksum-sha256",
            "Content-Encoding": "aws-chunked",
        }
        reply = send("PUT", f"/{bucket}/k", headers=headers, body=body)
        assert reply.status == status, reply.body
        assert send("HEAD", f"/{bucket}/k").status == (200 if status == 200 else 404)
    found = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (found["Body"].read(), found["ChecksumSHA256"]) == (data, right)
    assert "ContentEncoding" not in found

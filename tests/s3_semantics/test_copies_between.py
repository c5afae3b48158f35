"""Copies between buckets, of which one, both or none are mounts: what arrives is always the same."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from tests.s3_semantics.conftest import NewBucket, Refused
from tests.s3_semantics.signed_http import SignedHttp

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MIN_PART = 5 << 20
DESCRIBED: dict[str, Any] = {
    "ContentType": "a/b",
    "CacheControl": "no-cache",
    "ContentLanguage": "de, en",
    "Metadata": {"m": "v"},
}
Direction = tuple[str, str]


@pytest.fixture(params=["there", "back", "within", "across"])
def direction(
    request: pytest.FixtureRequest, s3: S3Client, bucket: str, new_bucket: NewBucket
) -> Iterator[Direction]:
    """Buckets of source and target. `across`: two of the same kind."""
    if request.param == "within":
        yield bucket, bucket
    elif request.param == "across":
        with new_bucket() as other:
            yield bucket, other
    else:
        native = f"{bucket}-native"
        s3.create_bucket(Bucket=native)
        yield (bucket, native) if request.param == "back" else (native, bucket)


def tags_of(s3: S3Client, bucket: str, key: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]}


@pytest.mark.parametrize("size", [0, 1000, 100_000, 3 << 20])
def test_what_arrives(s3: S3Client, direction: Direction, size: int) -> None:
    source, target = direction
    body = secrets.token_bytes(size)
    put = s3.put_object(
        Bucket=source, Key="k", Body=body, Tagging="a=b", ChecksumAlgorithm="SHA256", **DESCRIBED
    )
    answer: Any = s3.copy_object(Bucket=target, Key="copy", CopySource=f"{source}/k")
    copied = answer["CopyObjectResult"]
    etag = f'"{hashlib.md5(body).hexdigest()}"'
    assert (copied["ETag"], copied["ChecksumSHA256"]) == (etag, put["ChecksumSHA256"])
    found: Any = s3.get_object(Bucket=target, Key="copy", ChecksumMode="ENABLED")
    assert {name: found[name] for name in DESCRIBED} == DESCRIBED
    assert (found["Body"].read(), found["ETag"]) == (body, etag)
    assert (found["ChecksumSHA256"], found["ChecksumType"]) == (put["ChecksumSHA256"], "FULL_OBJECT")
    assert found["LastModified"] == copied["LastModified"]
    assert tags_of(s3, target, "copy") == {"a": "b"}
    (entry,) = s3.list_objects_v2(Bucket=target, Prefix="copy")["Contents"]
    assert (entry["ETag"], entry["Size"], entry["ChecksumAlgorithm"]) == (etag, size, ["SHA256"])


def test_what_replaces(s3: S3Client, direction: Direction) -> None:
    source, target = direction
    s3.put_object(Bucket=source, Key="k", Body=b"x" * 20_000, Tagging="a=b", **DESCRIBED)
    replaced: Any = {
        "MetadataDirective": "REPLACE",
        "TaggingDirective": "REPLACE",
        "Tagging": "c=d&e=f",
        "ContentType": "c/d",
        "Metadata": {"n": "w"},
        "StorageClass": "GLACIER_IR",
    }
    for key in ("copy", "k"):
        s3.copy_object(Bucket=target, Key=key, CopySource=f"{source}/k", **replaced)
        found: Any = s3.get_object(Bucket=target, Key=key)
        assert (found["Body"].read(), found["ContentType"], found["Metadata"], found["StorageClass"]) == (
            b"x" * 20_000,
            "c/d",
            {"n": "w"},
            "GLACIER_IR",
        )
        assert "CacheControl" not in found
        assert tags_of(s3, target, key) == {"c": "d", "e": "f"}


def test_with_conditions(s3: S3Client, refused: Refused, direction: Direction) -> None:
    source, target = direction
    etag = s3.put_object(Bucket=source, Key="k", Body=b"x" * 20_000)["ETag"]
    where: Any = {"Bucket": target, "Key": "copy", "CopySource": f"{source}/k"}
    failed = (412, "PreconditionFailed")
    assert refused(s3.copy_object, **where, CopySourceIfMatch='"other"') == failed
    assert refused(s3.copy_object, **where, CopySourceIfNoneMatch=etag) == failed
    assert refused(s3.copy_object, **where, IfMatch=etag) == (404, "NoSuchKey")
    s3.copy_object(**where, CopySourceIfMatch=etag, IfNoneMatch="*")
    assert refused(s3.copy_object, **where, IfNoneMatch="*") == failed
    assert refused(s3.copy_object, **where, IfMatch='"other"') == failed
    s3.copy_object(**where, IfMatch=etag)
    missing = {**where, "CopySource": f"{source}/missing"}
    assert refused(s3.copy_object, **missing) == (404, "NoSuchKey")


def test_parts(s3: S3Client, send: SignedHttp, direction: Direction) -> None:
    source, target = direction
    body = secrets.token_bytes(MIN_PART + 1000)
    s3.put_object(Bucket=source, Key="k", Body=body)
    where: Any = {"Bucket": target, "Key": "parts"}
    upload = s3.create_multipart_upload(**where, Tagging="a=b", **DESCRIBED)["UploadId"]
    parts: list[Any] = []
    for number, span in enumerate(("", f"bytes=0-{MIN_PART - 1}", "bytes=7-99"), 1):
        asked: Any = {"CopySourceRange": span} if span else {}
        part: Any = s3.upload_part_copy(
            **where, UploadId=upload, PartNumber=number, CopySource=f"{source}/k", **asked
        )
        parts.append({"PartNumber": number, "ETag": part["CopyPartResult"]["ETag"]})
    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
    whole = body + body[:MIN_PART] + body[7:100]
    found: Any = s3.get_object(**where)
    assert {name: found[name] for name in DESCRIBED} == DESCRIBED
    assert (found["Body"].read() == whole, found["TagCount"]) == (True, 1)
    assert found["ETag"].endswith('-3"')
    # And what was uploaded in parts is copied as a whole.
    s3.copy_object(Bucket=source, Key="whole", CopySource=f"{target}/parts")
    copied = s3.get_object(Bucket=source, Key="whole")
    assert (copied["Body"].read() == whole, copied["Metadata"], copied["TagCount"]) == (True, {"m": "v"}, 1)
    second = send("GET", f"/{target}/parts", "partNumber=2")
    assert (second.status, second.body == body[:MIN_PART]) == (206, True)

"""Tags of objects: set with an object and after it, copied, counted, removed, and refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
from tests.s3_semantics.conftest import Refused
from tests.s3_semantics.signed_http import SignedHttp

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LONGEST = {"k" * 128: "v" * 256}
TEN = {f"key {number}": f"_.:/=+-@ {number}" for number in range(10)}


def tag_set(tags: dict[str, str]) -> Any:
    return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}


def tags_of(s3: S3Client, bucket: str, key: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]}


@pytest.mark.parametrize("tags", [{}, {"a": ""}, {"größe": "数 1"}, LONGEST, TEN])
def test_tags_are_set_in_every_way(s3: S3Client, bucket: str, tags: dict[str, str]) -> None:
    header = urlencode(tags)
    s3.put_object(Bucket=bucket, Key="put", Body=b"x", Tagging=header)
    s3.put_object(Bucket=bucket, Key="later", Body=b"x", Tagging="old=one")
    s3.put_object_tagging(Bucket=bucket, Key="later", Tagging=tag_set(tags))
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", Tagging=header)["UploadId"]
    whole: Any = {"Bucket": bucket, "Key": "parts", "UploadId": upload}
    etag = s3.upload_part(**whole, PartNumber=1, Body=b"x")["ETag"]
    s3.complete_multipart_upload(**whole, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    s3.copy_object(Bucket=bucket, Key="copied", CopySource=f"{bucket}/put")
    s3.copy_object(
        Bucket=bucket,
        Key="replaced",
        CopySource=f"{bucket}/later",
        TaggingDirective="REPLACE",
        Tagging=header,
    )
    for key in ("put", "later", "parts", "copied", "replaced"):
        assert tags_of(s3, bucket, key) == tags, key
        for described in (s3.head_object(Bucket=bucket, Key=key), s3.get_object(Bucket=bucket, Key=key)):
            assert described.get("TagCount", 0) == len(tags)


def test_a_change_of_tags_changes_nothing_else(send: SignedHttp, s3: S3Client, bucket: str) -> None:
    path = f"/{bucket}/k"
    send("PUT", path, body=b"x" * 20_000, headers={"x-amz-meta-a": "b", "Content-Type": "c/d"})
    before = send("GET", path)
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging=tag_set({"a": "b"}))
    tagged = send("GET", path)
    assert tagged.headers.pop("x-amz-tagging-count") == "1"
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    changing = {"date", "x-amz-request-id", "x-amz-id-2", "x-zerohop-source"}
    for after in (tagged, send("GET", path)):
        assert after.body == before.body
        assert {n: v for n, v in after.headers.items() if n not in changing} == {
            n: v for n, v in before.headers.items() if n not in changing
        }
    assert tags_of(s3, bucket, "k") == {}


def test_tags_end_with_their_object(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=b")
    s3.put_object(Bucket=bucket, Key="k", Body=b"y")
    assert tags_of(s3, bucket, "k") == {}
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging=tag_set({"a": "b"}))
    s3.copy_object(
        Bucket=bucket,
        Key="k",
        CopySource=f"{bucket}/k",
        MetadataDirective="REPLACE",
        TaggingDirective="REPLACE",
    )
    assert tags_of(s3, bucket, "k") == {}


@pytest.mark.parametrize(
    "tags",
    [
        {"k" * 129: "v"},
        {"k": "v" * 257},
        {"k!": "v"},
        {"k": "v\n"},
        {"aws:k": "v"},
        {str(number): "v" for number in range(11)},
    ],
)
def test_tags_that_cannot_be(s3: S3Client, refused: Refused, bucket: str, tags: dict[str, str]) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=b")
    header = urlencode(tags, quote_via=quote)
    wrong = (400, "InvalidTag")
    assert refused(s3.put_object_tagging, Bucket=bucket, Key="k", Tagging=tag_set(tags)) == wrong
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"y", Tagging=header) == wrong
    assert refused(s3.create_multipart_upload, Bucket=bucket, Key="k", Tagging=header) == wrong
    assert tags_of(s3, bucket, "k") == {"a": "b"}


@pytest.mark.parametrize("header", ["a=b&a=c", "%ff=b", "a=%ff"])
def test_headers_that_are_no_tags(send: SignedHttp, bucket: str, header: str) -> None:
    reply = send("PUT", f"/{bucket}/k", body=b"x", headers={"x-amz-tagging": header})
    assert (reply.status, reply.code, reply.text("ArgumentName")) == (400, "InvalidArgument", "x-amz-tagging")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MissingRequestBodyError"),
        (b"<Tagging>", "MalformedXML"),
        (b"<Tagging/>", "MalformedXML"),
        (b"<Tags><TagSet/></Tags>", "MalformedXML"),
        (b"<Tagging><TagSet><Tag><Key>k</Key></Tag></TagSet></Tagging>", "MalformedXML"),
        (b"<Tagging><TagSet><Key>k</Key></TagSet></Tagging>", "MalformedXML"),
        (b"<Tagging><TagSet/><TagSet/></Tagging>", "MalformedXML"),
        (b"<Tagging><TagSet><Tag><Key/><Value>v</Value></Tag></TagSet></Tagging>", "InvalidTag"),
        (
            b"<Tagging><TagSet>" + b"<Tag><Key>k</Key><Value/></Tag>" * 2 + b"</TagSet></Tagging>",
            "InvalidTag",
        ),
    ],
)
def test_documents_that_are_refused(send: SignedHttp, bucket: str, body: bytes, code: str) -> None:
    send("PUT", f"/{bucket}/k", body=b"x")
    reply = send("PUT", f"/{bucket}/k", "tagging", body=body)
    assert (reply.status, reply.code) == (400, code)


def test_tags_of_what_is_not_there(s3: S3Client, refused: Refused, bucket: str) -> None:
    missing: Any = {"Bucket": bucket, "Key": "missing"}
    assert refused(s3.get_object_tagging, **missing) == (404, "NoSuchKey")
    assert refused(s3.put_object_tagging, **missing, Tagging=tag_set({})) == (404, "NoSuchKey")
    assert refused(s3.delete_object_tagging, **missing) == (404, "NoSuchKey")
    s3.put_object(**missing, Body=b"x")
    assert s3.get_object_tagging(**missing, VersionId="null")["TagSet"] == []
    other = {**missing, "VersionId": "3HL4kqtJlcpXroDTDmJrmSpXd3dIbrHY"}
    assert refused(s3.get_object_tagging, **other) == (404, "NoSuchVersion")
    assert refused(s3.put_object_tagging, **other, Tagging=tag_set({})) == (404, "NoSuchVersion")

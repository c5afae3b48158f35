"""CopyObject and UploadPartCopy: sources, directives, conditions, ranges."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from tests.s3_semantics.signed_http import Reply, SignedHttp

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BODY = b"hello world"
OLD = "Sun, 22 Nov 2020 16:10:53 GMT"


class Copies:
    """Copies within a bucket that holds the object `k`, and `o dd+key/ü?&`."""

    def __init__(self, send: SignedHttp, bucket: str) -> None:
        self.send = send
        self.bucket = bucket
        described = {
            "Content-Type": "a/b",
            "x-amz-meta-a": "1",
            "x-amz-storage-class": "STANDARD_IA",
            "x-amz-website-redirect-location": "/r",
        }
        send("PUT", f"/{bucket}/k", headers=described, body=BODY)
        send("PUT", f"/{bucket}/o dd+key/ü?&", body=b"odd")

    def copy(self, source: str, target: str = "copy", **headers: str) -> Reply:
        sent = {"x-amz-copy-source": source, **{n.replace("_", "-"): v for n, v in headers.items()}}
        return self.send("PUT", f"/{self.bucket}/{target}", headers=sent)

    def head(self, key: str = "copy") -> dict[str, str]:
        return self.send("HEAD", f"/{self.bucket}/{key}").headers


@pytest.fixture
def copies(send: SignedHttp, bucket: str) -> Copies:
    return Copies(send, bucket)


def test_what_is_copied(copies: Copies) -> None:
    reply = copies.copy(f"/{copies.bucket}/k")
    assert reply.xml.tag == "CopyObjectResult"
    assert reply.text("ETag") == f'"{hashlib.md5(BODY).hexdigest()}"'
    head = copies.head()
    assert (head["content-type"], head["x-amz-meta-a"]) == ("a/b", "1")
    # The storage class and the redirect are each object's own.
    assert "x-amz-storage-class" not in head
    assert "x-amz-website-redirect-location" not in head
    copies.copy(
        f"{copies.bucket}/k",
        Content_Type="c/d",
        x_amz_meta_b="2",
        x_amz_storage_class="GLACIER_IR",
        x_amz_website_redirect_location="/s",
    )
    head = copies.head()
    assert (head["content-type"], head["x-amz-meta-a"], "x-amz-meta-b" in head) == ("a/b", "1", False)
    assert (head["x-amz-storage-class"], head["x-amz-website-redirect-location"]) == ("GLACIER_IR", "/s")


def test_replacing_the_metadata(copies: Copies) -> None:
    copies.copy(
        f"{copies.bucket}/k", x_amz_metadata_directive="REPLACE", x_amz_meta_b="2", Content_Type="c/d"
    )
    head = copies.head()
    assert (head["content-type"], head["x-amz-meta-b"], "x-amz-meta-a" in head) == ("c/d", "2", False)


def test_onto_itself(copies: Copies) -> None:
    source = f"{copies.bucket}/k"
    refused = copies.copy(source, "k")
    assert (refused.status, refused.code) == (400, "InvalidRequest")
    for change in (
        {"x_amz_metadata_directive": "REPLACE"},
        {"x_amz_storage_class": "STANDARD"},
        {"x_amz_website_redirect_location": "/z"},
    ):
        assert copies.copy(source, "k", **change).status == 200
    assert copies.send("GET", f"/{source}").body == BODY


@pytest.mark.parametrize(
    ("source", "status", "code"),
    [
        ("/{bucket}/k", 200, ""),
        ("{bucket}%2Fk", 200, ""),
        ("{bucket}/k?versionId=null", 200, ""),
        ("{bucket}/o%20dd%2Bkey/%C3%BC%3F%26", 200, ""),
        ("", 400, "InvalidArgument"),
        ("{bucket}", 400, "InvalidArgument"),
        ("{bucket}/", 400, "InvalidArgument"),
        ("{bucket}/k?colour=red", 400, "InvalidArgument"),
        ("{bucket}/k?versionId=short", 400, "InvalidArgument"),
        ("{bucket}/k?versionId=3HL4kqtJlcpXroDTDmJ.rmSpXd3dIbrH", 404, "NoSuchVersion"),
        ("{bucket}/none", 404, "NoSuchKey"),
        ("semantics-no-such-bucket/k", 404, "NoSuchBucket"),
        ("Bad_Name/k", 400, "InvalidBucketName"),
    ],
)
def test_sources(copies: Copies, source: str, status: int, code: str) -> None:
    reply = copies.copy(source.format(bucket=copies.bucket))
    assert (reply.status, reply.code) == (status, code)
    if code in ("NoSuchVersion", "NoSuchKey"):
        assert reply.text("Key") == (
            "k" if code == "NoSuchVersion" else "none"
        )  # the source's, not the target's


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"x_amz_metadata_directive": "MOVE"}, 400, "InvalidArgument"),
        ({"x_amz_tagging_directive": "MOVE"}, 400, "InvalidArgument"),
        ({"x_amz_checksum_algorithm": "ADLER32"}, 400, "InvalidRequest"),
        ({"x_amz_source_expected_bucket_owner": "111122223333"}, 403, "AccessDenied"),
        ({"x_amz_storage_class": "GOLD"}, 400, "InvalidStorageClass"),
        ({"x_amz_copy_source_server_side_encryption_customer_algorithm": "AES256"}, 501, "NotImplemented"),
    ],
)
def test_refused(copies: Copies, headers: dict[str, str], status: int, code: str) -> None:
    reply = copies.copy(f"{copies.bucket}/k", **headers)
    assert (reply.status, reply.code) == (status, code)


def test_conditions(copies: Copies) -> None:
    head = copies.head("k")
    tag, modified = head["etag"], head["last-modified"]
    start = "x-amz-copy-source-if-"
    cases: list[tuple[dict[str, str], str | None]] = [
        ({"match": tag}, None),
        ({"match": tag.strip('"')}, None),
        ({"match": '"other"'}, "match"),
        ({"none-match": tag}, "none-match"),
        ({"none-match": '"other"'}, None),
        ({"modified-since": OLD}, None),
        ({"modified-since": modified}, "modified-since"),
        ({"unmodified-since": OLD}, "unmodified-since"),
        ({"unmodified-since": modified}, None),
        ({"match": tag, "unmodified-since": OLD}, None),  # S3 API reference, CopyObject: these two pairs
        ({"none-match": tag, "modified-since": OLD}, "none-match"),
    ]
    for conditions, failing in cases:
        reply = copies.copy(
            f"{copies.bucket}/k", **{start + name: value for name, value in conditions.items()}
        )
        assert reply.status == (412 if failing else 200), conditions
        assert reply.text("Condition") == (start + failing if failing else None)
    source = f"{copies.bucket}/k"
    assert copies.copy(source, If_None_Match="*").text("Condition") == "If-None-Match"
    assert copies.copy(source, "new", If_None_Match="*").status == 200
    assert copies.copy(source, "new", If_Match='"other"').status == 412


def test_with_another_checksum(copies: Copies) -> None:
    reply = copies.copy(f"{copies.bucket}/k", x_amz_checksum_algorithm="CRC32C")
    assert (reply.text("ChecksumCRC32C"), reply.text("ChecksumType")) == ("yZRlqg==", "FULL_OBJECT")


def test_from_and_to_others(copies: Copies, send_other: SignedHttp) -> None:
    sent = {"x-amz-copy-source": f"{copies.bucket}/k"}
    assert send_other("PUT", f"/{copies.bucket}/copy", headers=sent).code == "AccessDenied"
    theirs = f"{copies.bucket}-theirs"
    assert send_other("PUT", f"/{theirs}").status == 200
    assert send_other("PUT", f"/{theirs}/copy", headers=sent).code == "AccessDenied"
    assert copies.send("PUT", f"/{theirs}/copy", headers=sent).code == "AccessDenied"
    assert copies.send("PUT", "/semantics-no-such-bucket/copy", headers=sent).code == "NoSuchBucket"


@pytest.mark.parametrize(
    ("asked", "copied"),
    [
        (None, BODY),
        ("bytes=0-4", b"hello"),
        ("bytes=10-10", b"d"),
        ("bytes=0-11", None),
        ("bytes=20-30", None),
        ("bytes=5-", None),
        ("bytes=-3", None),
        ("bytes=4-2", None),
        ("0-4", None),
        ("bytes=0-1,3-4", None),
    ],
)
def test_ranges_of_parts(copies: Copies, s3: S3Client, asked: str | None, copied: bytes | None) -> None:
    upload_id = s3.create_multipart_upload(Bucket=copies.bucket, Key="m")["UploadId"]
    sent = {"x-amz-copy-source": f"{copies.bucket}/k"}
    if asked is not None:
        sent["x-amz-copy-source-range"] = asked
    reply = copies.send("PUT", f"/{copies.bucket}/m", f"partNumber=1&uploadId={upload_id}", headers=sent)
    if copied is None:
        assert (reply.status, reply.code, reply.text("ArgumentName")) == (
            400,
            "InvalidArgument",
            "x-amz-copy-source-range",
        )
    else:
        assert (reply.xml.tag, reply.text("ETag")) == (
            "CopyPartResult",
            f'"{hashlib.md5(copied).hexdigest()}"',
        )


def test_parts_that_cannot_be_copied(copies: Copies, s3: S3Client) -> None:
    upload_id = s3.create_multipart_upload(Bucket=copies.bucket, Key="m")["UploadId"]
    for query, source, condition, code in [
        (f"partNumber=1&uploadId={upload_id}", "none", {}, "NoSuchKey"),
        (f"partNumber=0&uploadId={upload_id}", "k", {}, "InvalidArgument"),
        ("partNumber=1&uploadId=none", "k", {}, "NoSuchUpload"),
        (
            f"partNumber=1&uploadId={upload_id}",
            "k",
            {"x-amz-copy-source-if-match": "no"},
            "PreconditionFailed",
        ),
    ]:
        sent = {"x-amz-copy-source": f"{copies.bucket}/{source}", **condition}
        assert copies.send("PUT", f"/{copies.bucket}/m", query, headers=sent).code == code

"""Objects: what is stored with them, given back, and refused."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import pytest
from tests.s3_semantics.signed_http import SignedHttp

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BODY = b"hello world"
OLD = "Sun, 22 Nov 2020 16:10:53 GMT"
FUTURE = "Sat, 22 Nov 2098 16:10:53 GMT"


def md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body).digest()).decode()


@pytest.fixture
def path(s3: S3Client, bucket: str) -> str:
    """Path of an object that holds BODY."""
    s3.put_object(Bucket=bucket, Key="k", Body=BODY)
    return f"/{bucket}/k"


def test_headers_come_back(send: SignedHttp, bucket: str) -> None:
    given = {
        "Content-Type": "text/x; a=b",
        "Cache-Control": "no-cache",
        "Content-Disposition": 'attachment; filename="a b"',
        "Content-Encoding": "gzip",
        "Content-Language": "de, en",
        "Expires": "not a date",
        "x-amz-meta-upper": "  Spaces  inside  ",
        "x-amz-meta-empty": "",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-website-redirect-location": "/elsewhere",
    }
    put = send("PUT", f"/{bucket}/k", headers=given, body=BODY)
    assert (put.status, put.headers["etag"], put.body) == (200, f'"{hashlib.md5(BODY).hexdigest()}"', b"")
    get, head = send("GET", f"/{bucket}/k"), send("HEAD", f"/{bucket}/k")
    for reply in (get, head):
        assert {name: reply.headers[name.lower()] for name in given} == {
            name: value.strip() for name, value in given.items()
        }
        assert reply.headers["accept-ranges"] == "bytes"
        assert reply.headers["content-length"] == str(len(BODY))
        assert reply.headers["last-modified"].endswith(" GMT")
    assert (get.body, head.body) == (BODY, b"")


def test_defaults(send: SignedHttp, bucket: str) -> None:
    coded = {"Content-Encoding": "aws-chunked", "x-amz-storage-class": "STANDARD"}
    send("PUT", f"/{bucket}/k", headers=coded)
    got = send("GET", f"/{bucket}/k")
    assert got.headers["content-type"] == "binary/octet-stream"
    assert "content-encoding" not in got.headers
    assert "x-amz-storage-class" not in got.headers  # S3 names every class but STANDARD


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-MD5": "zz"}, 400, "InvalidDigest"),
        ({"Content-MD5": ""}, 400, "InvalidDigest"),
        ({"Content-MD5": md5(b"other")}, 400, "BadDigest"),
        ({"x-amz-checksum-crc32": "AAAAAA=="}, 400, "BadDigest"),
        ({"x-amz-checksum-crc32": "short"}, 400, "InvalidRequest"),
        ({"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-sha1": "x"}, 400, "InvalidRequest"),
        ({"x-amz-sdk-checksum-algorithm": "CRC32"}, 400, "InvalidRequest"),
        ({"x-amz-storage-class": "GOLD"}, 400, "InvalidStorageClass"),
        ({"x-amz-acl": "everybody"}, 400, "InvalidArgument"),
        ({"x-amz-acl": "public-read"}, 501, "NotImplemented"),
        ({"x-amz-tagging": "a=b&a=c"}, 400, "InvalidArgument"),
        ({"x-amz-server-side-encryption": "aws:kms"}, 501, "NotImplemented"),
        ({"x-amz-object-lock-mode": "GOVERNANCE"}, 501, "NotImplemented"),
        ({"x-amz-website-redirect-location": "nowhere"}, 400, "InvalidRedirectLocation"),
        ({"x-amz-meta-x": "a" * 2048}, 400, "MetadataTooLarge"),
        ({"If-None-Match": '"tag"'}, 501, "NotImplemented"),
        ({"If-Unmodified-Since": FUTURE}, 501, "NotImplemented"),
        ({"If-Match": "*"}, 404, "NoSuchKey"),
    ],
)
def test_puts_that_are_refused(
    send: SignedHttp, bucket: str, headers: dict[str, str], status: int, code: str
) -> None:
    reply = send("PUT", f"/{bucket}/k", headers=headers, body=BODY)
    assert (reply.status, reply.code) == (status, code)
    assert send("HEAD", f"/{bucket}/k").status == 404


def test_bad_digest_tells_both(send: SignedHttp, bucket: str) -> None:
    reply = send("PUT", f"/{bucket}/k", headers={"Content-MD5": md5(b"other")}, body=BODY)
    assert (reply.text("ExpectedDigest"), reply.text("CalculatedDigest")) == (md5(b"other"), md5(BODY))


@pytest.mark.parametrize(
    ("algorithm", "value"),
    [
        ("crc32", "DUoRhQ=="),
        ("crc32c", "yZRlqg=="),
        ("crc64nvme", "jSnVw/bqjr4="),
        ("sha1", base64.b64encode(hashlib.sha1(BODY).digest()).decode()),
        ("sha256", base64.b64encode(hashlib.sha256(BODY).digest()).decode()),
        ("sha512", base64.b64encode(hashlib.sha512(BODY).digest()).decode()),
        ("md5", md5(BODY)),
    ],
)
def test_checksums(send: SignedHttp, bucket: str, algorithm: str, value: str) -> None:
    name = f"x-amz-checksum-{algorithm}"
    put = send("PUT", f"/{bucket}/k", headers={name: value}, body=BODY)
    assert (put.status, put.headers[name], put.headers["x-amz-checksum-type"]) == (200, value, "FULL_OBJECT")
    for method in ("GET", "HEAD"):
        asked = send(method, f"/{bucket}/k", headers={"x-amz-checksum-mode": "ENABLED"})
        assert (asked.headers[name], asked.headers["x-amz-checksum-type"]) == (value, "FULL_OBJECT")
        assert name not in send(method, f"/{bucket}/k").headers
    listed = send("GET", f"/{bucket}", "list-type=2")
    assert listed.text("Contents/ChecksumAlgorithm") == algorithm.upper()
    attributes = send("GET", f"/{bucket}/k", "attributes", headers={"x-amz-object-attributes": "Checksum"})
    assert attributes.text(f"Checksum/Checksum{algorithm.upper()}") == value


def test_the_checksum_that_s3_adds(send: SignedHttp, bucket: str) -> None:
    put = send("PUT", f"/{bucket}/k", body=BODY)
    assert (put.headers["x-amz-checksum-crc64nvme"], put.headers["x-amz-checksum-type"]) == (
        "jSnVw/bqjr4=",
        "FULL_OBJECT",
    )
    head = send("HEAD", f"/{bucket}/k", headers={"x-amz-checksum-mode": "ENABLED"})
    assert head.headers["x-amz-checksum-crc64nvme"] == "jSnVw/bqjr4="


@pytest.mark.parametrize(
    ("asked", "status", "body", "content_range"),
    [
        ("bytes=0-0", 206, b"h", "bytes 0-0/11"),
        ("bytes=6-", 206, b"world", "bytes 6-10/11"),
        ("bytes=-5", 206, b"world", "bytes 6-10/11"),
        ("bytes=-100", 206, BODY, "bytes 0-10/11"),
        ("bytes=10-1000", 206, b"d", "bytes 10-10/11"),
        ("bytes=11-", 416, None, "bytes */11"),
        ("bytes=-0", 416, None, "bytes */11"),
        ("bytes=5-2", 200, BODY, None),
        ("bytes=0-1,3-4", 200, BODY, None),
        ("lines=0-1", 200, BODY, None),
        ("bytes=a-b", 200, BODY, None),
    ],
)
def test_ranges(
    send: SignedHttp, path: str, asked: str, status: int, body: bytes | None, content_range: str | None
) -> None:
    reply = send("GET", path, headers={"Range": asked})
    assert (reply.status, reply.headers.get("content-range")) == (status, content_range)
    if body is None:
        assert (reply.code, reply.text("ActualObjectSize"), reply.text("RangeRequested")) == (
            "InvalidRange",
            "11",
            asked,
        )
    else:
        assert reply.body == body
    head = send("HEAD", path, headers={"Range": asked})
    assert (head.status, head.headers.get("content-range"), head.body) == (status, content_range, b"")
    if body is not None:
        assert head.headers["content-length"] == str(len(body))


def test_conditional_reads(send: SignedHttp, path: str) -> None:
    known = send("HEAD", path).headers
    tag, modified = known["etag"], known["last-modified"]
    cases: list[tuple[dict[str, str], int]] = [
        ({"If-Match": tag}, 200),
        ({"If-Match": '"other"'}, 412),
        ({"If-None-Match": tag}, 304),
        ({"If-None-Match": f'"other", {tag}'}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-Modified-Since": modified}, 304),
        ({"If-Modified-Since": OLD}, 200),
        ({"If-Unmodified-Since": OLD}, 412),
        ({"If-Unmodified-Since": modified}, 200),
        ({"If-Match": tag, "If-Unmodified-Since": OLD}, 200),
        ({"If-None-Match": tag, "If-Modified-Since": OLD}, 304),
        ({"If-None-Match": '"other"', "If-Modified-Since": modified}, 200),
        ({"If-Match": '"other"', "Range": "bytes=99-"}, 412),
        ({"If-None-Match": tag, "Range": "bytes=99-"}, 304),
        ({"If-Range": tag, "Range": "bytes=0-1"}, 206),
        ({"If-Range": '"other"', "Range": "bytes=0-1"}, 200),
    ]
    for headers, status in cases:
        for method in ("GET", "HEAD"):
            reply = send(method, path, headers=headers)
            assert reply.status == status, headers
            if status == 304:
                assert (reply.headers["etag"], reply.headers["last-modified"], reply.body) == (
                    tag,
                    modified,
                    b"",
                )
                assert "content-length" not in reply.headers
            if status == 412 and method == "GET":
                assert (reply.code, reply.text("Condition")) == ("PreconditionFailed", next(iter(headers)))


@pytest.mark.parametrize(
    ("method", "key", "query", "headers", "status", "code"),
    [
        ("GET", "none", "", {}, 404, "NoSuchKey"),
        ("GET", "k", "versionId=", {}, 400, "InvalidArgument"),
        ("GET", "k", "versionId", {}, 400, "InvalidArgument"),
        ("GET", "k", "attributes&versionId=", {"x-amz-object-attributes": "ETag"}, 400, "InvalidArgument"),
        ("HEAD", "k", "versionId=", {}, 400, ""),
        ("DELETE", "k", "versionId=", {}, 400, "InvalidArgument"),
        ("GET", "k", "versionId=short", {}, 400, "InvalidArgument"),
        ("GET", "k", "versionId=3HL4kqtJlcpXroDTDmJ.rmSpXd3dIbrH", {}, 404, "NoSuchVersion"),
        ("DELETE", "k", "versionId=short", {}, 400, "InvalidArgument"),
        ("GET", "k", "partNumber=2", {}, 416, "InvalidPartNumber"),
        ("GET", "k", "partNumber=0", {}, 400, "InvalidArgument"),
        ("GET", "k", "partNumber=1", {"Range": "bytes=0-1"}, 400, "InvalidRequest"),
        ("GET", "k", "response-content-type=a%0Ab", {}, 400, "InvalidArgument"),
        ("GET", "k", "", {"x-amz-server-side-encryption": "AES256"}, 400, "InvalidArgument"),
        (
            "GET",
            "k",
            "",
            {"x-amz-server-side-encryption-customer-algorithm": "AES256"},
            400,
            "InvalidRequest",
        ),
        ("GET", "k", "attributes", {}, 400, "InvalidRequest"),
        ("GET", "k", "attributes", {"x-amz-object-attributes": "Colour"}, 400, "InvalidArgument"),
        ("DELETE", "k", "", {"If-Match": '"other"'}, 412, "PreconditionFailed"),
        ("DELETE", "none", "", {"If-Match": "*"}, 404, "NoSuchKey"),
        ("DELETE", "k", "", {"If-None-Match": "*"}, 501, "NotImplemented"),
        ("DELETE", "k", "", {"x-amz-if-match-size": "1"}, 501, "NotImplemented"),
        ("PUT", "k" * 1025, "", {}, 400, "KeyTooLongError"),
    ],
)
def test_refused(
    send: SignedHttp,
    path: str,
    method: str,
    key: str,
    query: str,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    reply = send(method, path.removesuffix("k") + key, query, headers=headers)
    assert (reply.status, reply.code) == (status, code)
    assert send("GET", path).body == BODY


def test_an_empty_version_is_told(send: SignedHttp, path: str) -> None:
    for method in ("GET", "DELETE"):
        reply = send(method, path, "versionId=")
        told = [reply.text(name) or "" for name in ("Message", "ArgumentName", "ArgumentValue")]
        assert told == ["Version id cannot be the empty string", "versionId", ""]


def test_overrides_are_for_signed_reads(send: SignedHttp, path: str) -> None:
    query = (
        "response-content-type=a/b&response-content-disposition=c&response-expires=d&response-cache-control=e"
    )
    for method in ("GET", "HEAD"):
        headers = send(method, path, query).headers
        assert [headers[n] for n in ("content-type", "content-disposition", "expires", "cache-control")] == [
            "a/b",
            "c",
            "d",
            "e",
        ]
    public = path.rsplit("/", 1)[0] + "-public"
    assert send("PUT", public, signed=False).status == 200
    assert send("PUT", f"{public}/k", body=BODY, signed=False).status == 200
    assert send("GET", f"{public}/k", signed=False).body == BODY
    assert send("GET", f"{public}/k", query, signed=False).code == "InvalidRequest"


def test_the_null_version(send: SignedHttp, path: str) -> None:
    assert send("GET", path, "versionId=null").body == BODY
    deleted = send("DELETE", path, "versionId=null")
    assert (deleted.status, deleted.headers["x-amz-version-id"]) == (204, "null")
    assert send("DELETE", path).status == 204


def test_attributes(send: SignedHttp, path: str) -> None:
    reply = send(
        "GET", path, "attributes", headers={"x-amz-object-attributes": "ETag,StorageClass,ObjectSize"}
    )
    assert [(child.tag, child.text) for child in reply.xml] == [
        ("ETag", hashlib.md5(BODY).hexdigest()),
        ("StorageClass", "STANDARD"),
        ("ObjectSize", "11"),
    ]


def test_metadata_beyond_ascii(send: SignedHttp, bucket: str) -> None:
    send("PUT", f"/{bucket}/k", headers={"x-amz-meta-word": "=?UTF-8?B?w7w=?="})
    assert send("HEAD", f"/{bucket}/k").headers["x-amz-meta-word"] == "=?UTF-8?B?w7w=?="

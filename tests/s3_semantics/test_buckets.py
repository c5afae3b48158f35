"""Buckets: names, owners, regions, and what is answered about them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest
from tests.s3_semantics.conftest import Place
from tests.s3_semantics.mounted_buckets import MountKind
from tests.s3_semantics.signed_http import SignedHttp
from tests.support.cluster import Cluster
from tests.support.real_cluster import RealCluster

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def fresh() -> str:
    return f"semantics-{secrets.token_hex(6)}"


def constraint(region: str) -> bytes:
    inner = f"<LocationConstraint>{region}</LocationConstraint>"
    return f"<CreateBucketConfiguration>{inner}</CreateBucketConfiguration>".encode()


@pytest.mark.parametrize(
    "name",
    ["ab", "a" * 64, "Upper", "under_score", "two..dots", "-start", "end-", "10.8.5.4", "xn--a", "a-s3alias"],
)
def test_names_that_no_bucket_may_have(send: SignedHttp, name: str) -> None:
    for method in ("PUT", "GET"):
        reply = send(method, f"/{name}")
        assert (reply.status, reply.code, reply.text("BucketName")) == (400, "InvalidBucketName", name)


def test_creating_again(send: SignedHttp, send_other: SignedHttp, bucket: str) -> None:
    again = send("PUT", f"/{bucket}")
    assert (again.status, again.headers["location"]) == (200, f"/{bucket}")
    taken = send_other("PUT", f"/{bucket}")
    assert (taken.status, taken.code, taken.text("BucketName")) == (409, "BucketAlreadyExists", bucket)
    elsewhere = send("PUT", f"/{bucket}", body=constraint("eu-west-1"))
    assert (elsewhere.status, elsewhere.code) == (409, "BucketAlreadyOwnedByYou")


@pytest.mark.parametrize(
    ("asked", "location", "region"),
    [
        ("", "", "us-east-1"),
        ("us-east-1", "", "us-east-1"),
        ("eu-central-1", "eu-central-1", "eu-central-1"),
        ("EU", "EU", "eu-west-1"),
    ],
)
def test_regions(send: SignedHttp, asked: str, location: str, region: str) -> None:
    name = fresh()
    assert send("PUT", f"/{name}", body=constraint(asked)).status == 200
    assert send("GET", f"/{name}", "location").xml.text in (location or None, location)
    assert send("HEAD", f"/{name}").headers["x-amz-bucket-region"] == region
    listed = send("GET", "/", f"bucket-region={region}&prefix={name}")
    assert listed.texts("Buckets/Bucket/BucketRegion") == [region]
    assert send("GET", "/", f"bucket-region=sa-east-1&prefix={name}").texts("Buckets/Bucket") == []


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({}, constraint("nowhere"), 400, "InvalidLocationConstraint"),
        ({}, b"<CreateBucketConfiguration>", 400, "MalformedXML"),
        ({}, b"<Wrong/>", 400, "MalformedXML"),
        ({"x-amz-acl": "nobody"}, b"", 400, "InvalidArgument"),
        ({"x-amz-acl": "public-read"}, b"", 501, "NotImplemented"),
        ({"x-amz-grant-read": "id=1"}, b"", 501, "NotImplemented"),
        ({"x-amz-bucket-object-lock-enabled": "true"}, b"", 501, "NotImplemented"),
    ],
)
def test_creations_that_are_refused(
    send: SignedHttp, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    name = fresh()
    reply = send("PUT", f"/{name}", headers=headers, body=body)
    assert (reply.status, reply.code) == (status, code)
    assert send("HEAD", f"/{name}").status == 404


def test_head(send: SignedHttp, send_other: SignedHttp, bucket: str) -> None:
    mine = send("HEAD", f"/{bucket}")
    assert (mine.status, mine.headers["x-amz-bucket-region"], mine.body) == (200, "us-east-1", b"")
    theirs = send_other("HEAD", f"/{bucket}")
    assert (theirs.status, theirs.headers["x-amz-bucket-region"], theirs.body) == (403, "us-east-1", b"")
    assert send("HEAD", f"/{bucket}", signed=False).status == 403
    assert send("HEAD", f"/{fresh()}").status == 404


def test_deleting(send: SignedHttp, send_other: SignedHttp, s3: S3Client, bucket: str, place: Place) -> None:
    s3.put_object(Bucket=bucket, Key="k")
    is_mount = isinstance(place, MountKind)
    for reply, expected in [
        (send_other("DELETE", f"/{bucket}"), (403, "AccessDenied")),
        (send("DELETE", f"/{bucket}"), (400, "InvalidRequest") if is_mount else (409, "BucketNotEmpty")),
        (send("DELETE", f"/{fresh()}"), (404, "NoSuchBucket")),
    ]:
        assert (reply.status, reply.code) == expected
    s3.delete_object(Bucket=bucket, Key="k")
    if is_mount:  # which ends by being unmounted
        assert send("DELETE", f"/{bucket}").status == 400
        return
    assert send("DELETE", f"/{bucket}").status == 204
    assert send("HEAD", f"/{bucket}").status == 404


def test_listing(cluster: Cluster | RealCluster) -> None:
    owner = f"lists-{fresh()}"  # the test runs more than once on one cluster
    send = SignedHttp(cluster, cluster.user(owner))
    names = sorted(fresh() for _ in range(5))
    for name in names:
        assert send("PUT", f"/{name}").status == 200
    everything = send("GET", "/")
    assert everything.texts("Buckets/Bucket/Name") == names
    assert everything.text("Owner/DisplayName") == owner
    assert everything.text("Buckets/Bucket/CreationDate").endswith(".000Z")  # type: ignore[union-attr]
    assert everything.texts("Buckets/Bucket/BucketRegion") == []  # older clients send no parameter
    found: list[str] = []
    token = ""
    for _ in range(3):
        page = send("GET", "/", f"max-buckets=2{token}")
        found += page.texts("Buckets/Bucket/Name")
        token = f"&continuation-token={page.text('ContinuationToken')}"
    assert found == names
    assert token == "&continuation-token=None"
    assert send("GET", "/", f"prefix={names[2]}").texts("Buckets/Bucket/Name") == [names[2]]
    for query in ("max-buckets=0", "max-buckets=x", "max-buckets=10001", "continuation-token=garbage"):
        assert send("GET", "/", query).code == "InvalidArgument"


@pytest.mark.parametrize(
    ("method", "key", "query", "status", "code"),
    [
        ("PATCH", "", "", 405, "MethodNotAllowed"),
        ("PATCH", "/k", "", 405, "MethodNotAllowed"),
        ("POST", "/k", "", 405, "MethodNotAllowed"),
        ("POST", "", "", 412, "PreconditionFailed"),
        ("DELETE", "", "acl", 405, "MethodNotAllowed"),
        ("PUT", "", "location", 405, "MethodNotAllowed"),
        ("PUT", "", "policy", 501, "NotImplemented"),
        ("PUT", "", "versioning", 501, "NotImplemented"),
        ("GET", "/k", "torrent", 501, "NotImplemented"),
        ("GET", "/k", "versions", 400, "InvalidRequest"),
        ("GET", "", "acl&policy", 400, "InvalidArgument"),
        ("GET", "", "prefix=%zz", 400, "InvalidArgument"),
        ("GET", "", "prefix=a&prefix=b", 400, "InvalidArgument"),
    ],
)
def test_what_is_meant_by_nothing(
    send: SignedHttp, bucket: str, method: str, key: str, query: str, status: int, code: str
) -> None:
    reply = send(method, f"/{bucket}{key}", query)
    assert (reply.status, reply.code) == (status, code)
    assert reply.text("RequestId") == reply.headers["x-amz-request-id"]
    assert reply.text("HostId") == reply.headers["x-amz-id-2"]


@pytest.mark.parametrize(
    ("method", "key", "query"),
    [
        ("GET", "", ""),
        ("GET", "", "versions"),
        ("GET", "", "uploads"),
        ("GET", "", "location"),
        ("DELETE", "", ""),
        ("PUT", "/k", ""),
        ("GET", "/k", ""),
        ("DELETE", "/k", ""),
        ("POST", "/k", "uploads"),
    ],
)
def test_the_expected_owner_of_a_bucket(
    send: SignedHttp, s3: S3Client, bucket: str, method: str, key: str, query: str
) -> None:
    owner = s3.list_buckets()["Owner"]["ID"]
    expected = "x-amz-expected-bucket-owner"
    if key and not query:
        s3.put_object(Bucket=bucket, Key="k")
    reply = send(method, f"/{bucket}{key}", query, headers={expected: "111122223333"}, body=b"")
    assert (reply.status, reply.code) == (403, "AccessDenied")
    if method != "DELETE":
        assert send(method, f"/{bucket}{key}", query, headers={expected: owner}).status == 200

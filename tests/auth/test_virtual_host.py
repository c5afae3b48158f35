"""Virtual-host style: which Host names a bucket, how it is signed, and that it opens nothing to the unsigned."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import boto3
import pytest
from botocore.config import Config
from tests.auth.signer import Signer
from tests.inprocess import InProcessCluster
from tests.proxy.raw_http import RawConnection

from zerohop.model import UserRecord
from zerohop_proxy.virtual_host import bucket_of_host

_DOMAINS = ("s3.example.test", "example.test")


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("bucket.s3.example.test", "bucket"),
        ("bucket.s3.example.test:39999", "bucket"),
        ("BUCKET.S3.Example.Test", "bucket"),
        ("bucket.s3.example.test.", "bucket"),
        ("a.b.c.s3.example.test", "a.b.c"),
        ("s3.example.test", ""),  # a domain itself, though it is below the other one
        ("s3.example.test:80", ""),
        ("other.example.test", "other"),
        ("example.test", ""),
        ("buckets3.example.test", "buckets3"),
        ("bucket.example.test.evil", ""),
        ("notexample.test", ""),
        (".example.test", ""),
        ("localhost", ""),
        ("127.0.0.1:39999", ""),
        ("[::1]:39999", ""),
        ("localhost:39999/api/v1/s3", ""),
        ("", ""),
    ],
)
def test_which_host_names_a_bucket(host: str, bucket: str) -> None:
    assert bucket_of_host(host, _DOMAINS) == bucket


async def test_the_path_is_the_key(raw: RawConnection, signer: Signer) -> None:
    for host in ("bucket.s3.example.test", "bucket.s3.example.test:8080", "Bucket.example.test"):
        signer.host = host
        put = await signer.send(raw, "PUT", "/api/v1/s3/key", host.encode())
        assert put.status == 200, put.body
        assert (await signer.send(raw, "GET", "/api/v1/s3/key")).body == host.encode()
        assert b"<Key>api/v1/s3/key</Key>" in (await signer.send(raw, "GET", "/")).body
    signer.host = "localhost"
    assert (await signer.send(raw, "GET", "/bucket/api/v1/s3/key")).status == 200


async def test_a_domain_itself_and_foreign_hosts_are_path_style(raw: RawConnection, signer: Signer) -> None:
    for host in ("s3.example.test", "example.test:1234", "somewhere.else"):
        signer.host = host
        assert (await signer.send(raw, "PUT", "/bucket/key", b"x")).status == 200
        assert b"<Name>bucket</Name>" in (await signer.send(raw, "GET", "/")).body


async def test_names_with_dots_and_names_that_are_none(raw: RawConnection, signer: Signer) -> None:
    signer.host = "a.dotted.name.s3.example.test"
    assert (await signer.send(raw, "PUT", "/")).status == 200
    assert (await signer.send(raw, "PUT", "/key", b"x")).status == 200
    signer.host = "localhost"
    assert (await signer.send(raw, "GET", "/a.dotted.name/key")).body == b"x"
    signer.host = "no_bucket.s3.example.test"
    assert (await signer.send(raw, "GET", "/key")).code == "InvalidBucketName"


async def test_a_signature_is_good_for_the_host_and_path_it_names(raw: RawConnection, signer: Signer) -> None:
    signer.host = "bucket.s3.example.test"
    assert (await signer.send(raw, "PUT", "/key", b"x")).status == 200
    # With the prefix left out of the signature it would be another key here.
    shortened = await signer.send(raw, "GET", "/api/v1/s3/key", signed_path="/key")
    assert shortened.code == "SignatureDoesNotMatch"
    with_bucket = await signer.send(raw, "GET", "/key", signed_path="/bucket/key")
    assert with_bucket.code == "SignatureDoesNotMatch"
    moved = await signer.send(raw, "GET", "/key", signed_host="other.s3.example.test")
    assert moved.code == "SignatureDoesNotMatch"
    target = signer.presigned("GET", "/key")
    assert (await raw.request(f"GET {target} HTTP/1.1", host=signer.host)).body == b"x"
    assert (await raw.request(f"GET {target} HTTP/1.1", host="localhost")).status == 403


async def test_version_2_signs_the_bucket(raw: RawConnection, signer: Signer) -> None:
    host = "bucket.s3.example.test"
    good = signer.header_v2("PUT", "/bucket/key")
    assert (await raw.request("PUT /key HTTP/1.1", *good, body=b"two", host=host)).status == 200
    query = signer.query_v2("GET", "/bucket/key")
    assert (await raw.request(f"GET /key?{query} HTTP/1.1", host=host)).body == b"two"
    listed = await raw.request("GET / HTTP/1.1", *signer.header_v2("GET", "/bucket/"), host=host)
    assert listed.status == 200
    bad = signer.header_v2("GET", "/key")
    assert (await raw.request("GET /key HTTP/1.1", *bad, host=host)).code == "SignatureDoesNotMatch"


async def test_unsigned_requests_gain_nothing_by_a_domain(cluster: InProcessCluster) -> None:
    async with RawConnection(cluster.port) as connection:
        assert (await connection.request("PUT /open HTTP/1.1", "Content-Length: 0")).status == 200
        for host in ("open.s3.example.test", "s3.example.test"):
            assert (await connection.request("GET / HTTP/1.1", host=host)).code == "AccessDenied"


@pytest.mark.parametrize("version", ["s3v4", "s3"])
async def test_boto3_in_virtual_style(
    cluster: InProcessCluster, alice: UserRecord, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo

    def here(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        ours = isinstance(host, str) and host.endswith("example.test")
        return resolve("127.0.0.1" if ours else host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    (credential,) = alice.credentials
    s3 = boto3.client(
        "s3",
        endpoint_url=f"http://s3.example.test:{cluster.port}",
        region_name="us-east-1",
        aws_access_key_id=credential.access_key,
        aws_secret_access_key=credential.secret_key,
        config=Config(
            s3={"addressing_style": "virtual"}, signature_version=version, retries={"max_attempts": 1}
        ),
    )
    hosts: list[str] = []
    s3.meta.events.register("before-send.s3", lambda request, **_: hosts.append(request.url.split("/")[2]))

    def work() -> None:
        s3.create_bucket(Bucket="virtual-bucket")
        s3.put_object(Bucket="virtual-bucket", Key="a b/ü+%", Body=b"x" * 100_000)
        assert s3.get_object(Bucket="virtual-bucket", Key="a b/ü+%")["Body"].read() == b"x" * 100_000
        copied: Any = {"Bucket": "virtual-bucket", "Key": "a b/ü+%"}
        s3.copy_object(Bucket="virtual-bucket", Key="copy", CopySource=copied)
        assert s3.list_objects_v2(Bucket="virtual-bucket")["KeyCount"] == 2
        upload = s3.create_multipart_upload(Bucket="virtual-bucket", Key="m")["UploadId"]
        part = s3.upload_part(Bucket="virtual-bucket", Key="m", UploadId=upload, PartNumber=1, Body=b"part")
        done = s3.complete_multipart_upload(
            Bucket="virtual-bucket",
            Key="m",
            UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
        )
        assert done["Location"] == f"http://virtual-bucket.s3.example.test:{cluster.port}/m"
        s3.delete_objects(
            Bucket="virtual-bucket", Delete={"Objects": [{"Key": "copy"}, {"Key": "m"}, {"Key": "a b/ü+%"}]}
        )
        s3.delete_bucket(Bucket="virtual-bucket")
        assert s3.list_buckets()["Buckets"] == []

    await asyncio.to_thread(work)
    assert f"virtual-bucket.s3.example.test:{cluster.port}" in hosts

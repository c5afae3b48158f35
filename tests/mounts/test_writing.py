"""Writing through a mount: by each policy, with conditions, in parts, by copies; and deleting."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from tests.mounts.mounted import BLOCK_BYTES, PREFIX, Mounted, Site, noise, status_of, upload
from tests.mounts.remote import Remote

from zerohop.model import WritePolicy

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Mount = Callable[..., Mounted]

POLICIES = list(WritePolicy)
THROUGH = [WritePolicy.THROUGH, WritePolicy.CACHE_THROUGH]
SIZES = [0, 1, 50_000, 3 * BLOCK_BYTES + 9]


def asking(site: Site, policy: str) -> S3Client:
    """A client that asks for a write policy with each request."""
    return site.client(headers={"x-zerohop-write-policy": policy})


def cached_bytes(site: Site, mounted: Mounted, key: str) -> int:
    listed = site.cluster.cli("fs", "ls", "--json", f"/{mounted.name}/{key}").stdout
    return int(json.loads(listed)["cached_bytes"])


@pytest.mark.parametrize("by_request", [False, True], ids=["mount", "request"])
@pytest.mark.parametrize("policy", POLICIES)
def test_each_policy(mount: Mount, site: Site, remote: Remote, policy: WritePolicy, by_request: bool) -> None:
    other = WritePolicy.THROUGH if policy is WritePolicy.CACHE_THROUGH else WritePolicy.CACHE_THROUGH
    mounted = mount(write_policy=other if by_request else policy)
    client = asking(site, policy) if by_request else mounted.s3
    bodies = {f"file-{size}": noise(size) for size in SIZES}
    remote.forget()
    for key, body in bodies.items():
        answer = client.put_object(
            Bucket=mounted.name, Key=key, Body=body, Metadata={"colour": "red"}, ContentType="text/x"
        )
        assert answer["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
        if policy in THROUGH:
            found = mounted.at_origin(key)
            assert (found["Body"], found["Metadata"], found["ContentType"]) == (
                body,
                {"colour": "red"},
                "text/x",
            )
        assert mounted.read(key) == body
    was_read = [one for one in remote.proxy.requests if one.startswith("GET") and "prefix/file" in one]
    assert bool(was_read) == (policy is WritePolicy.THROUGH)
    assert mounted.keys() == sorted(bodies)
    if policy is WritePolicy.ASYNC_THROUGH:
        mounted.persisted()
    if policy is WritePolicy.MUST_CACHE:
        assert mounted.origin_keys() == []
        assert mounted.unpersisted() == sorted(bodies)
    else:
        assert {key: mounted.at_origin(key)["Body"] for key in bodies} == bodies
    remote.forget()
    for key, body in bodies.items():
        found = mounted.get(key)
        assert (found["Body"], found["Metadata"], found["ETag"]) == (
            body,
            {"colour": "red"},
            f'"{hashlib.md5(body).hexdigest()}"',
        )
    assert not [one for one in remote.proxy.requests if one.startswith("GET")]


def test_through_leaves_nothing_in_the_cache(mount: Mount, site: Site) -> None:
    mounted = mount(write_policy="through")
    for size in (1000, 2 * BLOCK_BYTES):
        mounted.s3.put_object(Bucket=mounted.name, Key="file", Body=noise(size))
        assert cached_bytes(site, mounted, "file") == 0
    mounted = mount(write_policy="cache_through")
    mounted.s3.put_object(Bucket=mounted.name, Key="file", Body=noise(2 * BLOCK_BYTES))
    assert cached_bytes(site, mounted, "file") == 2 * BLOCK_BYTES


@pytest.mark.parametrize("policy", POLICIES)
def test_overwriting(mount: Mount, policy: WritePolicy) -> None:
    mounted = mount(write_policy=policy, metadata_ttl_s=-1.0)
    mounted.place("file", b"the origin's")
    assert mounted.read("file") == b"the origin's"
    for body in (noise(2 * BLOCK_BYTES), b"short", noise(100_000), b""):
        mounted.s3.put_object(Bucket=mounted.name, Key="file", Body=body)
        assert mounted.read("file") == body
        (entry,) = mounted.s3.list_objects_v2(Bucket=mounted.name)["Contents"]
        assert entry["Size"] == len(body)
        if policy is WritePolicy.ASYNC_THROUGH:
            mounted.persisted()
        expected = b"the origin's" if policy is WritePolicy.MUST_CACHE else body
        assert mounted.at_origin("file")["Body"] == expected
    mounted.s3.delete_object(Bucket=mounted.name, Key="file")
    assert (mounted.status("file"), mounted.keys(), mounted.origin_keys()) == (404, [], [])


@pytest.mark.parametrize("policy", POLICIES)
def test_conditional_writes(mount: Mount, policy: WritePolicy) -> None:
    mounted = mount(write_policy=policy)
    mounted.place("file", b"first")
    etag = mounted.at_origin("file")["ETag"]

    def put(key: str, size: int = 10, **condition: Any) -> str:
        return mounted.s3.put_object(Bucket=mounted.name, Key=key, Body=noise(size), **condition)["ETag"]

    for size in (10, 2 * BLOCK_BYTES):
        with pytest.raises(ClientError) as refused:
            put("file", size, IfNoneMatch="*")
        assert status_of(refused) == (412, "PreconditionFailed")
        with pytest.raises(ClientError) as refused:
            put("file", size, IfMatch='"other"')
        assert status_of(refused) == (412, "PreconditionFailed")
        with pytest.raises(ClientError) as refused:
            put("missing", size, IfMatch=etag)
        assert status_of(refused)[0] == 404
        assert mounted.read("file") == mounted.at_origin("file")["Body"] == b"first"
    new = put("file", 20, IfMatch=etag)
    with pytest.raises(ClientError):
        put("file", IfMatch=etag)
    put("file", 2 * BLOCK_BYTES, IfMatch=new)
    put("absent", IfNoneMatch="*")
    with pytest.raises(ClientError) as refused:
        put("absent", IfNoneMatch="*")
    assert status_of(refused) == (412, "PreconditionFailed")
    mounted.place("behind our back", b"x")
    with pytest.raises(ClientError) as refused:
        put("behind our back", IfNoneMatch="*")
    assert status_of(refused) == (412, "PreconditionFailed")


@pytest.mark.parametrize("size", [1000, BLOCK_BYTES + 5])
def test_one_of_two_writers_wins(mounted: Mounted, size: int) -> None:
    bodies = [noise(size) for _ in range(8)]

    def put(body: bytes) -> bool:
        try:
            mounted.s3.put_object(Bucket=mounted.name, Key="file", Body=body, IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise
            return False
        return True

    with ThreadPoolExecutor(len(bodies)) as pool:
        outcomes = list(pool.map(put, bodies))
    (won,) = [body for body, outcome in zip(bodies, outcomes, strict=True) if outcome]
    assert mounted.read("file") == mounted.at_origin("file")["Body"] == won


@pytest.mark.parametrize("policy", POLICIES)
def test_multipart(mount: Mount, remote: Remote, policy: WritePolicy) -> None:
    mounted = mount(write_policy=policy)
    parts = [noise(5 << 20), noise(6 << 20), noise(77)]
    body = b"".join(parts)
    etag = upload(mounted.s3, mounted.name, "file", parts)
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    assert etag == f'"{hashlib.md5(digests).hexdigest()}-3"'
    assert mounted.read("file") == body
    if policy is WritePolicy.ASYNC_THROUGH:
        mounted.persisted()
    if policy is WritePolicy.MUST_CACHE:
        assert mounted.origin_keys() == []
        return
    found = mounted.at_origin("file")
    assert (found["Body"], found["ETag"], found["Metadata"], found["ContentType"]) == (
        body,
        etag,
        {"m": "1"},
        "text/x",
    )
    assert mounted.origin_uploads() == []
    assert mounted.read("file") == body
    assert mounted.s3.head_object(Bucket=mounted.name, Key="file")["ETag"] == etag


def test_copies(mounted: Mounted, site: Site) -> None:
    native = f"native-{mounted.name}"
    mounted.s3.create_bucket(Bucket=native)
    small, large = noise(1000), noise(2 * BLOCK_BYTES)
    for key, body in (("small", small), ("large", large)):
        mounted.place(key, body, Metadata={"m": key}, ContentType="text/x")
        mounted.s3.copy_object(Bucket=mounted.name, Key=f"copied/{key}", CopySource=f"{mounted.name}/{key}")
        found = mounted.at_origin(f"copied/{key}")
        assert (found["Body"], found["Metadata"], found["ContentType"]) == (body, {"m": key}, "text/x")
        mounted.s3.copy_object(Bucket=native, Key=key, CopySource=f"{mounted.name}/{key}")
        mounted.s3.copy_object(Bucket=mounted.name, Key=f"back/{key}", CopySource=f"{native}/{key}")
        for where, name in ((native, key), (mounted.name, f"back/{key}"), (mounted.name, f"copied/{key}")):
            got: Any = mounted.s3.get_object(Bucket=where, Key=name)
            assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (body, {"m": key}, "text/x")
        assert mounted.at_origin(f"back/{key}")["Body"] == body
        mounted.s3.copy_object(
            Bucket=mounted.name,
            Key=key,
            CopySource=f"{mounted.name}/{key}",
            MetadataDirective="REPLACE",
            Metadata={"n": "new"},
        )
        assert mounted.at_origin(key)["Metadata"] == {"n": "new"}
        assert mounted.get(key)["Metadata"] == {"n": "new"}
        assert mounted.read(key) == body
    tagged = {"Metadata": {"m": "tagged"}, "Tagging": "colour=green"}
    mounted.place("tagged", small, **tagged)
    for where in (mounted.name, native):
        mounted.s3.copy_object(Bucket=where, Key="tagged-too", CopySource=f"{mounted.name}/tagged")
        assert tags_of(mounted.s3, where, "tagged-too") == {"colour": "green"}
    assert tags_of(mounted.remote.s3, mounted.remote_bucket, f"{PREFIX}/tagged-too") == {"colour": "green"}
    site.cluster.cli("fs", "cp", f"/{mounted.name}/tagged", f"/{native}/tagged-cp")
    site.cluster.cli("fs", "mv", f"/{mounted.name}/tagged", f"/{mounted.name}/tagged-mv")
    for where, key in ((native, "tagged-cp"), (mounted.name, "tagged-mv")):
        assert tags_of(mounted.s3, where, key) == {"colour": "green"}
    with pytest.raises(ClientError) as missing:
        mounted.s3.copy_object(Bucket=mounted.name, Key="x", CopySource=f"{mounted.name}/nothing")
    assert status_of(missing)[0] == 404
    done = upload_copied_parts(mounted, "large", len(large))
    assert mounted.at_origin(done)["Body"] == mounted.read(done) == large * 3


def tags_of(s3: Any, bucket: str, key: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]}


def upload_copied_parts(mounted: Mounted, source: str, size: int) -> str:
    mounted.place("five", mounted.read(source) * 3)
    started = mounted.s3.create_multipart_upload(Bucket=mounted.name, Key="parts")
    part = mounted.s3.upload_part_copy(
        Bucket=mounted.name,
        Key="parts",
        UploadId=started["UploadId"],
        PartNumber=1,
        CopySource=f"{mounted.name}/five",
        CopySourceRange=f"bytes=0-{3 * size - 1}",
    )
    mounted.s3.complete_multipart_upload(
        Bucket=mounted.name,
        Key="parts",
        UploadId=started["UploadId"],
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]},
    )
    return "parts"


@pytest.mark.parametrize("policy", [WritePolicy.ASYNC_THROUGH, WritePolicy.MUST_CACHE])
def test_copies_of_local_objects(mount: Mount, policy: WritePolicy) -> None:
    mounted = mount(write_policy=policy)
    for body in (b"small", noise(2 * BLOCK_BYTES)):
        mounted.s3.put_object(Bucket=mounted.name, Key="file", Body=body)
        mounted.s3.copy_object(Bucket=mounted.name, Key="copy", CopySource=f"{mounted.name}/file")
        assert mounted.read("copy") == body
        mounted.s3.delete_object(Bucket=mounted.name, Key="file")
        assert mounted.read("copy") == body
        assert mounted.keys() == ["copy"]


def test_deletes(mount: Mount) -> None:
    mounted = mount(write_policy="async_through", metadata_ttl_s=-1.0)
    for number in range(20):
        mounted.place(f"origin-{number}", b"x")
        mounted.s3.put_object(Bucket=mounted.name, Key=f"local-{number}", Body=noise(70_000 * (number % 2)))
    mounted.read("origin-0")
    keys = [f"{kind}-{number}" for kind in ("origin", "local", "missing") for number in range(19)]
    done = mounted.s3.delete_objects(Bucket=mounted.name, Delete={"Objects": [{"Key": key} for key in keys]})
    assert [entry["Key"] for entry in done["Deleted"]] == keys
    assert not done.get("Errors")
    assert mounted.keys() == ["local-19", "origin-19"]
    mounted.persisted()
    assert sorted(mounted.origin_keys()) == ["local-19", "origin-19"]
    mounted.s3.delete_object(Bucket=mounted.name, Key="missing")
    for key in ("local-19", "origin-19"):
        mounted.s3.delete_object(Bucket=mounted.name, Key=key)
        assert mounted.status(key) == 404
    assert (mounted.keys(), mounted.origin_keys()) == ([], [])


@pytest.mark.parametrize("size", [1000, 100_000, 2 * BLOCK_BYTES, 20 << 20])
def test_bad_checksum_stores_nothing(mounted: Mounted, site: Site, size: int) -> None:
    mounted.place("file", b"as it was")
    client = site.client(headers={"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="})
    for key in ("file", "new"):
        with pytest.raises(ClientError) as refused:
            client.put_object(Bucket=mounted.name, Key=key, Body=noise(size))
        assert status_of(refused) == (400, "BadDigest")
    assert mounted.read("file") == b"as it was"
    assert (mounted.origin_keys(), mounted.keys(), mounted.origin_uploads()) == (["file"], ["file"], [])


@pytest.mark.parametrize("size", [50_000, 20 << 20])
def test_cut_body_stores_nothing(mounted: Mounted, remote: Remote, size: int) -> None:
    mounted.place("file", b"as it was")
    for key in ("file", "new"):
        url = urlsplit(
            mounted.s3.generate_presigned_url("put_object", Params={"Bucket": mounted.name, "Key": key})
        )
        assert url.hostname
        with socket.create_connection((url.hostname, url.port or 80)) as sock:
            head = (
                f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: {size}\r\n\r\n"
            )
            sock.sendall(head.encode() + bytes(size - 1))
            sock.shutdown(socket.SHUT_WR)
            answer = sock.recv(1000)
            assert not answer.startswith(b"HTTP/1.1 2"), answer
    assert mounted.read("file") == b"as it was"
    assert (mounted.origin_keys(), mounted.keys()) == (["file"], ["file"])


def test_read_only(mount: Mount, site: Site, tmp_path: Path) -> None:
    mounted = mount(read_only=True)
    mounted.place("file", b"as it was")
    writes: list[Callable[[], object]] = [
        lambda: mounted.s3.put_object(Bucket=mounted.name, Key="new", Body=b"x"),
        lambda: mounted.s3.put_object(Bucket=mounted.name, Key="new", Body=noise(2 * BLOCK_BYTES)),
        lambda: asking(site, "must_cache").put_object(Bucket=mounted.name, Key="new", Body=b"x"),
        lambda: asking(site, "async_through").put_object(Bucket=mounted.name, Key="new", Body=noise(100_000)),
        lambda: mounted.s3.delete_object(Bucket=mounted.name, Key="file"),
        lambda: mounted.s3.delete_objects(Bucket=mounted.name, Delete={"Objects": [{"Key": "file"}]}),
        lambda: mounted.s3.copy_object(Bucket=mounted.name, Key="c", CopySource=f"{mounted.name}/file"),
        lambda: mounted.s3.put_object_tagging(
            Bucket=mounted.name, Key="file", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]}
        ),
        lambda: mounted.s3.create_multipart_upload(Bucket=mounted.name, Key="new"),
    ]
    for number, write in enumerate(writes):
        with pytest.raises(ClientError) as refused:
            write()
        assert status_of(refused) == (403, "AccessDenied"), number
    assert mounted.read("file") == b"as it was"
    assert (mounted.keys(), mounted.origin_keys()) == (["file"], ["file"])

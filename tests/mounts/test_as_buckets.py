"""What a mount is to S3 clients besides its objects: a bucket that is listed, found, owned, and not deleted; and what
it answers where it may not be written, or its origin cannot hold what is written.

What it has in common with every bucket is in tests/s3_semantics, which runs on mounts, too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.mounts.mounted import PREFIX, Mounted, Site, noise, status_of, upload
from tests.mounts.remote import Remote, eventually

from zerohop.model import WritePolicy

Mount = Callable[..., Mounted]


def refused(call: Callable[..., Any], **arguments: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return status_of(error)


def test_a_bucket_among_buckets(mounted: Mounted, site: Site) -> None:
    s3, name = mounted.s3, mounted.name
    assert name in [bucket["Name"] for bucket in s3.list_buckets(Prefix=name)["Buckets"]]
    assert s3.head_bucket(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None
    s3.create_bucket(Bucket=name)  # one's own, as in us-east-1
    mounted.place("file", b"x")
    assert mounted.read("file") == b"x"


def test_it_is_unmounted_and_not_deleted(mounted: Mounted) -> None:
    for _ in range(2):
        assert refused(mounted.s3.delete_bucket, Bucket=mounted.name) == (400, "InvalidRequest")
        mounted.place("file", b"x")
    assert mounted.read("file") == b"x"


@pytest.mark.parametrize("policy", list(WritePolicy))
def test_read_only(mount: Mount, policy: WritePolicy) -> None:
    mounted = mount(read_only=True, write_policy=policy)
    s3 = mounted.s3
    etag = mounted.place("file", b"the origin's", Tagging="a=b") and mounted.at_origin("file")["ETag"]
    file: Any = {"Bucket": mounted.name, "Key": "file"}
    source = f"{mounted.name}/file"
    denied = (403, "AccessDenied")
    for size in (0, 10, 100_000, 17 << 20):
        assert refused(s3.put_object, **file, Body=b"x" * size) == denied
        assert refused(s3.put_object, **file, Body=b"x" * size, IfMatch=etag) == denied
    assert refused(s3.create_multipart_upload, **file) == denied
    assert refused(s3.copy_object, Bucket=mounted.name, Key="copy", CopySource=source) == denied
    assert refused(s3.delete_object, **file) == denied
    assert refused(s3.delete_object, **file, IfMatch=etag) == denied
    tags: Any = {"TagSet": [{"Key": "c", "Value": "d"}]}
    assert refused(s3.put_object_tagging, **file, Tagging=tags) == denied
    assert refused(s3.delete_object_tagging, **file) == denied
    keys: Any = {"Objects": [{"Key": "file"}, {"Key": "none"}]}
    assert refused(s3.delete_objects, Bucket=mounted.name, Delete=keys) == denied
    found = mounted.at_origin("file")
    assert (found["Body"], found["TagCount"]) == (b"the origin's", 1)
    assert mounted.read("file") == b"the origin's"
    assert s3.get_object_tagging(**file)["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert (mounted.origin_keys(), mounted.origin_uploads(), mounted.unpersisted()) == (["file"], [], [])


@pytest.mark.parametrize("policy", list(WritePolicy))
def test_keys_that_are_too_long_for_the_origin(mount: Mount, policy: WritePolicy) -> None:
    """They have its prefix there."""
    mounted = mount(write_policy=policy)
    s3 = mounted.s3
    too_long = (400, "KeyTooLongError")
    key = "k" * (1024 - len(PREFIX))
    where: Any = {"Bucket": mounted.name, "Key": key}
    s3.put_object(Bucket=mounted.name, Key="file", Body=b"x")
    for size in (10, 100_000):
        assert refused(s3.put_object, **where, Body=b"x" * size) == too_long
    assert refused(s3.create_multipart_upload, **where) == too_long
    assert refused(s3.copy_object, **where, CopySource=f"{mounted.name}/file") == too_long
    for call in (s3.get_object, s3.head_object, s3.get_object_tagging):
        assert refused(call, **where)[0] == 404
    s3.delete_object(**where)  # what is not there is deleted with success
    fits = key[:-1]
    body = noise(100_000)
    s3.put_object(Bucket=mounted.name, Key=fits, Body=body)
    assert mounted.read(fits) == body
    if policy is not WritePolicy.MUST_CACHE:
        mounted.persisted()
        assert mounted.at_origin(fits)["Body"] == body


def test_a_failed_write_leaves_nothing_at_the_origin(mounted: Mounted) -> None:
    s3 = mounted.s3
    for size in (10, 100_000, 17 << 20):
        where: Any = {"Bucket": mounted.name, "Key": "file", "Body": b"x" * size}
        assert refused(s3.put_object, **where, ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==") == (400, "BadDigest")
        assert refused(s3.put_object, **where, ChecksumSHA256=f"{'A' * 43}=") == (400, "BadDigest")
    started = s3.create_multipart_upload(Bucket=mounted.name, Key="file")["UploadId"]
    named: Any = {"Bucket": mounted.name, "Key": "file", "UploadId": started}
    tags = [s3.upload_part(**named, PartNumber=number, Body=b"x" * 10_000)["ETag"] for number in (1, 2)]
    parts: Any = {"Parts": [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]}
    assert refused(s3.complete_multipart_upload, **named, MultipartUpload=parts) == (400, "EntityTooSmall")
    s3.abort_multipart_upload(**named)
    assert mounted.origin_keys() == []
    eventually(lambda: not mounted.origin_uploads(), "what was staged is removed")
    assert mounted.keys() == []


@pytest.mark.parametrize("policy", [WritePolicy.ASYNC_THROUGH, WritePolicy.MUST_CACHE])
def test_tags_of_what_the_origin_does_not_have_yet(mount: Mount, remote: Remote, policy: WritePolicy) -> None:
    mounted = mount(write_policy=policy)
    mounted.place("file", b"older", Tagging="a=b")
    file: Any = {"Bucket": mounted.name, "Key": "file"}
    remote.do(remote.proxy.refuse)
    mounted.s3.put_object(**file, Body=b"newer")
    assert mounted.s3.get_object_tagging(**file)["TagSet"] == []
    tags = [{"Key": "c", "Value": "d"}]
    mounted.s3.put_object_tagging(**file, Tagging={"TagSet": tags})  # type: ignore[typeddict-item]
    assert mounted.s3.get_object_tagging(**file)["TagSet"] == tags
    assert mounted.s3.head_object(**file)["TagCount"] == 1
    remote.do(remote.proxy.refuse, False)
    if policy is WritePolicy.ASYNC_THROUGH:
        mounted.persisted()
        found = mounted.at_origin("file")
        assert (found["Body"], found["TagCount"]) == (b"newer", 1)
    else:
        assert mounted.at_origin("file")["Body"] == b"older"
    assert mounted.s3.get_object_tagging(**file)["TagSet"] == tags


def test_other_versions(mounted: Mounted) -> None:
    """There is one, `null`. Asking for another, or deleting it, leaves that alone."""
    mounted.place("file", b"x", Tagging="a=b")
    other: Any = {"Bucket": mounted.name, "Key": "file", "VersionId": "3HL4kqtJlcpXroDTDmJ.rmSpXd3dIbrH"}
    for call in (mounted.s3.get_object, mounted.s3.get_object_tagging, mounted.s3.delete_object_tagging):
        assert refused(call, **other) == (404, "NoSuchVersion")
    mounted.s3.delete_object(**other)
    version = {"Key": "file", "VersionId": other["VersionId"]}
    removed = mounted.s3.delete_objects(Bucket=mounted.name, Delete={"Objects": [version]})  # type: ignore[list-item]
    assert removed["Deleted"] == [version]
    assert mounted.at_origin("file")["Body"] == mounted.read("file") == b"x"
    assert mounted.at_origin("file")["TagCount"] == 1


def test_etags_of_uploads_are_listed_as_they_were_told(mount: Mount, site: Site, tmp_path: Path) -> None:
    """An origin gives what came in parts, or what is a file, another ETag than the MD5 that its writer expects."""
    folder = tmp_path / "folder"
    buckets = [mount().name, site.mount_folder(folder).bucket]
    for name in buckets:
        small = site.s3.put_object(Bucket=name, Key="small", Body=b"x")["ETag"]
        large = site.s3.put_object(Bucket=name, Key="large", Body=noise(17 << 20))["ETag"]
        parts = upload(site.s3, name, "parts", [noise(5 << 20), b"end"])
        for _ in range(2):
            listed = {one["Key"]: one["ETag"] for one in site.s3.list_objects_v2(Bucket=name)["Contents"]}
            assert listed == {"small": small, "large": large, "parts": parts}
            looked = {key: site.s3.head_object(Bucket=name, Key=key)["ETag"] for key in listed}
            assert looked == listed


def test_checksums_that_the_origin_does_not_know(mounted: Mounted, remote: Remote) -> None:
    """It gets the same bytes without, and no further one of that kind. Bytes that it finds wrong are not sent again."""

    def put(key: str) -> Any:
        return mounted.s3.put_object(Bucket=mounted.name, Key=key, Body=b"x", ChecksumAlgorithm="SHA256")

    told = put("first")["ChecksumSHA256"]
    remote.do(remote.proxy.only, "PUT")
    damaged = b"<Error><Code>BadDigest</Code><Message>other bytes</Message></Error>"
    remote.do(remote.proxy.throttle, 1, b"400 Bad Request", damaged)
    remote.forget()
    assert refused(put, key="second")[0] == 400
    assert len(remote.exchanges("second", "PUT")) == 1
    unknown = b"<Error><Code>InvalidArgument</Code><Message>unsupported header</Message></Error>"
    remote.do(remote.proxy.throttle, 1, b"400 Bad Request", unknown)
    remote.forget()
    put("second")
    assert len(remote.exchanges("second", "PUT")) == 2
    found = mounted.s3.head_object(Bucket=mounted.name, Key="second", ChecksumMode="ENABLED")
    assert found["ChecksumSHA256"] == told
    remote.do(remote.proxy.throttle, 1, b"400 Bad Request", unknown)
    assert refused(put, key="third")[0] == 400  # there was none to leave out
    assert len(remote.exchanges("third", "PUT")) == 1


def test_tags_of_an_origin_that_knows_none(mounted: Mounted, remote: Remote) -> None:
    mounted.place("file", b"x")
    assert mounted.read("file") == b"x"
    file: Any = {"Bucket": mounted.name, "Key": "file"}
    unknown = b"<Error><Code>NotImplemented</Code><Message>no tags here</Message></Error>"
    remote.do(remote.proxy.throttle, 2, b"501 Not Implemented", unknown)
    assert mounted.s3.get_object_tagging(**file)["TagSet"] == []
    tags: Any = {"TagSet": [{"Key": "a", "Value": "b"}]}
    assert refused(mounted.s3.put_object_tagging, **file, Tagging=tags) == (501, "NotImplemented")

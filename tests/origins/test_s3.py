"""What is S3's alone: its keys, ETags, storage classes, and the reasons why a mount is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from tests.origins.conftest import S3_SECRETS, mount
from tests.origins.stores import PLAIN, attributes, put, read, walk
from tests.support.faulty_proxy import FaultyProxy

from zerohop.errors import InvalidRequest, OriginRefused, UnderStoreFailed
from zerohop_worker.origins.interface import OriginStore
from zerohop_worker.origins.opening import open_origin
from zerohop_worker.origins.s3_staging import combined_etag

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ODD_KEYS = (
    "/",
    "//",
    "/leading",
    "a//b",
    "a/./b",
    "a/../b",
    "..",
    "./x",
    "ends/",
    "blank space",
    "plus+and%2Fpercent%",
    "que?ry#fragment&x=1",
    "\u20ac/\U0001f600",
    "quote'\"<>&;",
)


@pytest.fixture
async def origin(moto_port: int, s3_bucket: str) -> AsyncIterator[OriginStore]:
    store = open_origin(mount(f"s3://{s3_bucket}", endpoint=f"http://127.0.0.1:{moto_port}"), S3_SECRETS)
    yield store
    await store.close()


async def test_any_key_is_kept_exactly(origin: OriginStore, s3: S3Client, s3_bucket: str) -> None:
    for key in ODD_KEYS:
        await put(origin, key, key.encode())
    for key in ODD_KEYS:
        assert await read(origin, key) == key.encode()
        assert s3.get_object(Bucket=s3_bucket, Key=key)["Body"].read() == key.encode()
    for limit in (1, 3, 1000):
        assert await walk(origin, "", "", limit) == sorted(ODD_KEYS)
    source = await put(origin, "a//source +%", b"copied")
    await origin.copy("a//source +%", source.validator, "..//target", None)
    assert await read(origin, "..//target") == b"copied"
    assert await origin.delete([*ODD_KEYS, "a//source +%", "..//target"]) == {}
    assert await walk(origin, "", "", 1000) == []


async def test_what_others_wrote_comes_through(origin: OriginStore, s3: S3Client, s3_bucket: str) -> None:
    s3.put_object(
        Bucket=s3_bucket,
        Key="theirs",
        Body=b"bytes",
        ContentType="text/theirs",
        Metadata={"Colour": "blue"},
        StorageClass="STANDARD_IA",
        Tagging="a=1&b=2",
        ChecksumAlgorithm="SHA256",
        ContentEncoding="gzip",
    )
    found = await origin.head("theirs")
    assert found is not None
    etag = s3.head_object(Bucket=s3_bucket, Key="theirs")["ETag"].strip('"')
    assert found.client_etag == found.validator.etag == etag
    assert found.attributes.headers["content-type"] == "text/theirs"
    assert found.attributes.headers["content-encoding"] == "gzip"
    assert found.attributes.metadata == {"colour": "blue"}
    assert found.attributes.storage_class == "STANDARD_IA"
    assert list(found.checksums) == ["sha256"]
    assert await origin.tags("theirs") == {"a": "1", "b": "2"}
    assert await read(origin, "theirs") == b"bytes"


async def test_expires_and_metadata_are_kept_as_they_are(origin: OriginStore) -> None:
    await origin.put("key", [b""], attributes({"expires": "0"}, {"name": "J\u00f6rg", "plain": "x"}))
    found = await origin.head("key")
    assert found is not None
    assert found.attributes.headers["expires"] == "0"
    assert found.attributes.metadata == {"name": "=?UTF-8?B?SsO2cmc=?=", "plain": "x"}


async def test_the_etag_of_parts_is_foreseen(origin: OriginStore, s3: S3Client, s3_bucket: str) -> None:
    staged = origin.stage("parts", PLAIN)
    for size in (5 << 20, 5 << 20, 7):
        await staged.write_part([bytes(size)])
    written = await staged.commit()
    assert written.part_count == 3
    assert written.validator.etag == s3.head_object(Bucket=s3_bucket, Key="parts")["ETag"].strip('"')
    assert combined_etag(["d41d8cd98f00b204e9800998ecf8427e"]) == "59adb24ef3cdbe0297f05b395827453f-1"
    assert combined_etag(["not an md5"]) == ""


async def test_no_such_bucket_is_said_when_mounting(moto_port: int) -> None:
    store = open_origin(mount("s3://no-such-bucket", endpoint=f"http://127.0.0.1:{moto_port}"), S3_SECRETS)
    with pytest.raises(OriginRefused, match="no such bucket"):
        await store.check()
    await store.close()


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (b"403 Forbidden", "AccessDenied", "may not do that"),
        (b"403 Forbidden", "InvalidAccessKeyId", "does not know the access key"),
        (b"403 Forbidden", "SignatureDoesNotMatch", "secret key is not the one"),
        (b"403 Forbidden", "RequestTimeTooSkewed", "clock"),
        (b"400 Bad Request", "ExpiredToken", "session token has expired"),
        (b"403 Forbidden", "SomethingNew", "denies"),
    ],
)
async def test_a_refusal_comes_with_its_reason(moto_port: int, status: bytes, code: str, reason: str) -> None:
    async with FaultyProxy("127.0.0.1", moto_port) as proxy:
        store = open_origin(mount("s3://bucket", endpoint=proxy.url), S3_SECRETS)
        body = f"<Error><Code>{code}</Code><Message>AKIAORIGIN is wrong</Message></Error>".encode()
        proxy.throttle(1, status=status, body=body)
        with pytest.raises(OriginRefused, match=reason) as refused:
            await store.check()
        assert refused.value.details["reason"] == code
        assert "AKIAORIGIN" not in refused.value.message
        assert len(proxy.requests) == 1
        await store.close()


async def test_what_does_not_speak_s3_is_refused(moto_port: int) -> None:
    async with FaultyProxy("127.0.0.1", moto_port) as proxy:
        store = open_origin(mount("s3://bucket", endpoint=proxy.url, max_attempts="1"), S3_SECRETS)
        proxy.throttle(1, status=b"404 Not Found", body=b"<html><body>no such page</html>")
        with pytest.raises(OriginRefused, match="404"):
            await store.check()
        proxy.throttle(1, status=b"200 OK", body=b"<html><body>hello</html>")
        with pytest.raises(UnderStoreFailed):
            await store.check()
        await store.close()


async def test_an_endpoint_that_cannot_be_reached_is_said(unused_tcp_port: int) -> None:
    for endpoint, reason in (
        (f"http://127.0.0.1:{unused_tcp_port}", "refused"),
        ("http://no-such-host.invalid", "no-such-host.invalid"),
    ):
        store = open_origin(mount("s3://bucket", endpoint=endpoint, max_attempts="2"), S3_SECRETS)
        with pytest.raises(UnderStoreFailed, match=r"(?i)" + reason):
            await store.check()
        await store.close()


async def test_without_credentials_it_says_what_to_set(
    moto_port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", f"{tmp_path}/none")
    monkeypatch.setenv("AWS_CONFIG_FILE", f"{tmp_path}/none")
    store = open_origin(mount("s3://bucket", endpoint=f"http://127.0.0.1:{moto_port}"), {})
    with pytest.raises(OriginRefused, match="anonymous"):
        await store.check()
    await store.close()


async def test_what_the_store_does_not_accept_is_an_invalid_request(origin: OriginStore) -> None:
    with pytest.raises(InvalidRequest):
        await origin.put("key", [b"x"], attributes({}, {})._replace(storage_class="NO_SUCH_CLASS"))

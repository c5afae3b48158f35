"""Who may do what: signatures, users that come and go, and unsigned requests."""

from __future__ import annotations

import asyncio
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.inprocess import InProcessCluster, in_process_cluster
from tests.proxy.raw_http import RawConnection
from tests.proxy.users import add_user, remove_user, s3_client

from zerohop.errors import ConfigError
from zerohop.model import UserRecord

_REMOTE = {"host": "0.0.0.0"}


def _code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


@pytest.mark.parametrize("version", ["s3v4", "s3"])
async def test_a_user_signs(cluster: InProcessCluster, user: UserRecord, version: str) -> None:
    s3 = s3_client(cluster, user, signature_version=version)

    def work() -> None:
        s3.create_bucket(Bucket="alices")
        s3.put_object(Bucket="alices", Key="a b/ü+%", Body=b"hello", Metadata={"colour": "blue"})
        got = s3.get_object(Bucket="alices", Key="a b/ü+%")
        assert (got["Body"].read(), got["Metadata"]) == (b"hello", {"colour": "blue"})
        owner = s3.list_buckets()["Owner"]
        assert owner == {"ID": "id-of-alice", "DisplayName": "Alice"}
        url = s3.generate_presigned_url("get_object", Params={"Bucket": "alices", "Key": "a b/ü+%"})
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == b"hello"

    await asyncio.to_thread(work)


async def test_wrong_and_unknown_keys_are_refused(cluster: InProcessCluster, user: UserRecord) -> None:
    good = user.credentials[0]
    for access_key, secret_key, code in (
        (good.access_key, "wrong", "SignatureDoesNotMatch"),
        ("UNKNOWN", "whatever", "InvalidAccessKeyId"),
    ):
        s3: Any = s3_client(cluster, user)
        s3._request_signer._credentials = type(s3._request_signer._credentials)(access_key, secret_key)
        with pytest.raises(ClientError) as error:
            await asyncio.to_thread(s3.list_buckets)
        assert _code(error) == code


async def test_buckets_of_others_are_closed(cluster: InProcessCluster, raw: RawConnection) -> None:
    alice = s3_client(cluster, await add_user(cluster, "alice"))
    bob = s3_client(cluster, await add_user(cluster, "bob"))
    await asyncio.to_thread(alice.create_bucket, Bucket="alices")

    for call in (bob.list_objects_v2, bob.delete_bucket, bob.get_bucket_location):
        with pytest.raises(ClientError) as error:
            await asyncio.to_thread(call, Bucket="alices")
        assert _code(error) == "AccessDenied"
    with pytest.raises(ClientError) as error:
        await asyncio.to_thread(bob.create_bucket, Bucket="alices")
    assert _code(error) == "BucketAlreadyExists"
    with pytest.raises(ClientError) as error:
        await asyncio.to_thread(bob.put_object, Bucket="alices", Key="k", Body=b"")
    assert _code(error) == "AccessDenied"
    assert (await raw.request("GET /alices HTTP/1.1")).code == "AccessDenied"
    await asyncio.to_thread(alice.create_bucket, Bucket="alices")  # again: fine in us-east-1


async def test_a_removed_user_is_out_at_once(cluster: InProcessCluster, user: UserRecord) -> None:
    s3 = s3_client(cluster, user)
    await asyncio.to_thread(s3.create_bucket, Bucket="alices")
    await remove_user(cluster, "alice")
    with pytest.raises(ClientError) as error:
        await asyncio.to_thread(s3.list_buckets)
    assert _code(error) == "InvalidAccessKeyId"


async def test_a_new_user_does_not_disturb_the_others(cluster: InProcessCluster, user: UserRecord) -> None:
    s3 = s3_client(cluster, user)
    await asyncio.to_thread(s3.create_bucket, Bucket="alices")
    for name in ("bob", "carol"):
        await add_user(cluster, name)
        await asyncio.to_thread(s3.put_object, Bucket="alices", Key="k", Body=b"x" * 100_000)


@pytest.mark.parametrize(
    "headers",
    [
        ("Origin: http://evil.example",),
        ("Origin: null",),
        ("Sec-Fetch-Site: cross-site",),
        ("Sec-Fetch-Site: same-site",),
        ("X-Forwarded-For: 1.2.3.4",),
        ("Forwarded: for=1.2.3.4",),
        ("Via: 1.1 proxy",),
    ],
    ids=lambda headers: headers[0],
)
async def test_unsigned_requests_from_elsewhere_are_refused(
    raw: RawConnection, headers: tuple[str, ...]
) -> None:
    answer = await raw.request("GET /bucket HTTP/1.1", *headers)
    assert (answer.status, answer.code) == (403, "AccessDenied")


@pytest.mark.parametrize("host", ["rebound.example", "rebound.example:39999", "127.0.0.1.example", ""])
async def test_unsigned_requests_to_another_name_are_refused(raw: RawConnection, host: str) -> None:
    answer = await raw.request("GET /bucket HTTP/1.1", host=host)
    assert (answer.status, answer.code) == (403, "AccessDenied")


@pytest.mark.parametrize("host", ["localhost:39999", "127.0.0.1", "[::1]:39999", "127.1.2.3", "LOCALHOST"])
async def test_unsigned_requests_to_this_host_are_accepted(raw: RawConnection, host: str) -> None:
    assert (await raw.request("GET /bucket HTTP/1.1", host=host)).status == 200


async def test_a_page_of_our_own_origin_is_let_in(raw: RawConnection) -> None:
    answer = await raw.request(
        "GET /bucket HTTP/1.1", "Origin: http://localhost", "Sec-Fetch-Site: same-origin"
    )
    assert answer.status == 200


async def test_beyond_loopback_it_does_not_start_without_users(cluster: InProcessCluster) -> None:
    with pytest.raises(ConfigError, match="no user"):
        await cluster.add_proxy(**_REMOTE)
    await add_user(cluster, "alice")
    async with RawConnection(await cluster.add_proxy(**_REMOTE)) as connection:
        assert (await connection.request("GET / HTTP/1.1")).code == "AccessDenied"


async def test_anonymous_access_can_be_opened_and_closed() -> None:
    async with (
        in_process_cluster(proxy={"anonymous": "no"}) as running,
        RawConnection(running.port) as closed,
        RawConnection(await running.add_proxy(anonymous="yes", **_REMOTE)) as opened,
    ):
        assert (await closed.request("GET / HTTP/1.1")).code == "AccessDenied"
        assert (await opened.request("GET / HTTP/1.1", host="files.example")).status == 200
        crossing = await opened.request("GET / HTTP/1.1", "Sec-Fetch-Site: cross-site", host="files.example")
        assert crossing.code == "AccessDenied"

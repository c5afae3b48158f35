"""A presigned URL that comes again is not verified again, and yet is good for nothing that the first check refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from tests.inprocess import InProcessCluster
from tests.proxy.raw_http import RawConnection
from tests.proxy.users import remove_user, s3_client

from zerohop.client.cluster import ClusterClient
from zerohop.clock import ManualClock, SystemClock
from zerohop.model import UserRecord
from zerohop_proxy.anonymous_access import AnonymousAccess
from zerohop_proxy.auth import Authenticator
from zerohop_proxy.raw_request import RawRequest
from zerohop_proxy.s3_errors import S3Error

_EXPIRES_S = 60


class Url:
    """A presigned GET of alice's, as it goes over the wire."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host = parts.netloc
        self.path = parts.path
        self.query = parts.query

    def request(
        self, method: str = "GET", path: str = "", query: str = "", host: str = "", **headers: str
    ) -> RawRequest:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return RawRequest(
            method, path or self.path, query or self.query, {"host": host or self.host, **named}
        )


@pytest.fixture
def url(cluster: InProcessCluster, alice: UserRecord) -> Url:
    client = s3_client(cluster, alice, signature_version="s3v4")
    made = client.generate_presigned_url(
        "get_object", Params={"Bucket": "bucket", "Key": "key"}, ExpiresIn=_EXPIRES_S
    )
    client.close()
    return Url(made)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(now_s=SystemClock().now_s())


@pytest.fixture
async def authenticator(cluster: InProcessCluster, clock: ManualClock) -> AsyncIterator[Authenticator]:
    client = await ClusterClient.connect((cluster.master_address,), name="test", heartbeat=False)
    async with client:
        yield Authenticator(client, clock, anonymous=AnonymousAccess.NOBODY, prefix="/api/v1/s3")


async def _code(authenticator: Authenticator, request: RawRequest) -> str:
    try:
        await authenticator.identify(request)
    except S3Error as error:
        return error.code
    return ""


async def _seen(authenticator: Authenticator, url: Url, alice: UserRecord) -> None:
    for _ in range(3):
        identity = await authenticator.identify(url.request())
        assert identity.caller.user == alice.canonical_id
        assert identity.payload.access_key == alice.credentials[0].access_key


async def test_a_url_that_was_seen_expires_all_the_same(
    authenticator: Authenticator, clock: ManualClock, url: Url, alice: UserRecord
) -> None:
    await _seen(authenticator, url, alice)
    signed_s = clock.now_s()
    clock.advance(_EXPIRES_S + 1)
    assert await _code(authenticator, url.request()) == "AccessDenied"
    clock.set_wall(signed_s)
    assert await _code(authenticator, url.request()) == ""


async def test_a_url_that_was_seen_vouches_for_nothing_else(
    authenticator: Authenticator, url: Url, alice: UserRecord
) -> None:
    await _seen(authenticator, url, alice)
    mismatch = "SignatureDoesNotMatch"
    assert await _code(authenticator, url.request("HEAD")) == mismatch
    assert await _code(authenticator, url.request("PUT")) == mismatch
    assert await _code(authenticator, url.request(path="/bucket/other")) == mismatch
    assert await _code(authenticator, url.request(query=f"{url.query}&versionId=null")) == mismatch
    assert await _code(authenticator, url.request(host="elsewhere")) == mismatch
    assert await _code(authenticator, url.request(query=url.query[:-1] + "x")) == mismatch
    assert await _code(authenticator, url.request(x_amz_acl="private")) == "AccessDenied"
    assert await _code(authenticator, url.request(x_amz_security_token="t")) == "AccessDenied"
    assert await _code(authenticator, url.request(authorization="AWS a:b")) == "InvalidArgument"
    await _seen(authenticator, url, alice)


async def test_the_user_of_a_url_that_was_seen_is_out_with_the_next_request(
    cluster: InProcessCluster, raw: RawConnection, url: Url
) -> None:
    for _ in range(3):
        answer = await raw.request(f"GET {url.path}?{url.query} HTTP/1.1", host=url.host)
        assert answer.code == "NoSuchKey"
    await remove_user(cluster, "alice")
    answer = await raw.request(f"GET {url.path}?{url.query} HTTP/1.1", host=url.host)
    assert answer.code == "InvalidAccessKeyId"

"""Who signed, when, where and for what: header and query, versions 4 and 2, and the forms of real clients."""

from __future__ import annotations

import asyncio

import pytest
from tests.auth.signer import Signer
from tests.inprocess import InProcessCluster
from tests.proxy.raw_http import RawConnection, RawResponse

_PREFIX = "/api/v1/s3"


async def _at(port: int, line: str, *headers: str, body: bytes = b"", host: str = "localhost") -> RawResponse:
    async with RawConnection(port) as connection:
        return await connection.request(line, *headers, body=body, host=host)


@pytest.fixture
async def stored(raw: RawConnection, signer: Signer) -> bytes:
    assert (await signer.send(raw, "PUT", "/bucket/a%20key", b"content")).status == 200
    return b"content"


async def test_presigned_urls_carry_every_method(raw: RawConnection, signer: Signer) -> None:
    path = "/bucket/presigned"
    put = await raw.request(f"PUT {signer.presigned('PUT', path)} HTTP/1.1", body=b"by url")
    assert put.status == 200
    assert (await raw.request(f"GET {signer.presigned('GET', path)} HTTP/1.1")).body == b"by url"
    head = await raw.request(f"HEAD {signer.presigned('HEAD', path)} HTTP/1.1")
    assert (head.status, head.headers["content-length"]) == (200, "6")
    # A URL is good for its method alone.
    assert (
        await raw.request(f"DELETE {signer.presigned('GET', path)} HTTP/1.1")
    ).code == "SignatureDoesNotMatch"
    assert (await raw.request(f"DELETE {signer.presigned('DELETE', path)} HTTP/1.1")).status == 204
    assert (await raw.request(f"GET {signer.presigned('GET', path)} HTTP/1.1")).code == "NoSuchKey"


@pytest.mark.parametrize(
    ("skew_s", "expires_s", "status", "code"),
    [
        (-100, 200, 200, ""),
        (-100, 50, 403, "AccessDenied"),
        (-604_000, 604_800, 200, ""),
        (0, 604_801, 400, "AuthorizationQueryParametersError"),
        (0, 0, 400, "AuthorizationQueryParametersError"),
        (-10, -5, 400, "AuthorizationQueryParametersError"),
        (600, 60, 200, ""),  # signed by a clock that is a little fast
        (1200, 60, 403, "AccessDenied"),  # not yet valid
    ],
)
async def test_presigned_urls_expire(
    raw: RawConnection, signer: Signer, stored: bytes, skew_s: int, expires_s: int, status: int, code: str
) -> None:
    signer.skew_s = skew_s
    target = signer.presigned("GET", "/bucket/a%20key", expires_s=expires_s)
    answer = await raw.request(f"GET {target} HTTP/1.1")
    assert (answer.status, answer.code) == (status, code)
    if code == "AccessDenied" and skew_s < 0:
        assert b"<Message>Request has expired</Message>" in answer.body
        assert b"<X-Amz-Expires>50</X-Amz-Expires>" in answer.body


async def test_the_clock_of_a_header_may_be_off_by_a_quarter_of_an_hour(
    raw: RawConnection, signer: Signer, stored: bytes
) -> None:
    for skew_s, status in ((-880, 200), (880, 200), (-920, 403), (920, 403)):
        signer.skew_s = skew_s
        answer = await signer.send(raw, "GET", "/bucket/a%20key")
        assert answer.status == status
        if status == 403:
            assert answer.code == "RequestTimeTooSkewed"
            assert b"<MaxAllowedSkewMilliseconds>900000<" in answer.body


async def test_any_region_or_the_configured_one(
    cluster: InProcessCluster, raw: RawConnection, signer: Signer, stored: bytes
) -> None:
    port = await cluster.add_proxy(region="eu-south-7")
    async with RawConnection(port) as strict:
        for region in ("us-east-1", "eu-south-7", "moon"):
            signer.region = region
            assert (await signer.send(raw, "GET", "/bucket/a%20key")).body == stored
            answer = await signer.send(strict, "GET", "/bucket/a%20key")
            if region == "eu-south-7":
                assert answer.body == stored
            else:
                assert (answer.status, answer.code) == (400, "AuthorizationHeaderMalformed")
                assert b"<Region>eu-south-7</Region>" in answer.body
                assert answer.headers["x-amz-bucket-region"] == "eu-south-7"
                presigned = await strict.request(f"GET {signer.presigned('GET', '/bucket/a%20key')} HTTP/1.1")
                assert presigned.code == "AuthorizationQueryParametersError"


async def test_version_2_in_header_and_query(raw: RawConnection, signer: Signer, stored: bytes) -> None:
    got = await raw.request("GET /bucket/a%20key HTTP/1.1", *signer.header_v2("GET", "/bucket/a%20key"))
    assert got.body == stored
    put = await raw.request(
        "PUT /bucket/two HTTP/1.1",
        *signer.header_v2("PUT", "/bucket/two", content_type="text/plain"),
        body=b"version two",
    )
    assert put.status == 200
    sub = await raw.request("GET /bucket?uploads HTTP/1.1", *signer.header_v2("GET", "/bucket?uploads"))
    assert sub.status == 200
    unsigned_sub = await raw.request("GET /bucket?uploads HTTP/1.1", *signer.header_v2("GET", "/bucket"))
    assert unsigned_sub.code == "SignatureDoesNotMatch"
    query = signer.query_v2("GET", "/bucket/two")
    assert (await raw.request(f"GET /bucket/two?{query} HTTP/1.1")).body == b"version two"
    assert (await raw.request(f"PUT /bucket/two?{query} HTTP/1.1", body=b"x")).code == "SignatureDoesNotMatch"
    past = signer.query_v2("GET", "/bucket/two", expires_s=-1)
    answer = await raw.request(f"GET /bucket/two?{past} HTTP/1.1")
    assert (answer.status, answer.code) == (403, "AccessDenied")
    signer.skew_s = -1000
    late = await raw.request("GET /bucket/two HTTP/1.1", *signer.header_v2("GET", "/bucket/two"))
    assert late.code == "RequestTimeTooSkewed"


async def test_clients_that_leave_the_prefix_out_of_what_they_sign(
    raw: RawConnection, signer: Signer, stored: bytes
) -> None:
    path = f"{_PREFIX}/bucket/a%20key"
    # s3fs-fuse: the path is short, the host as usual. s3cmd: the prefix counts as a part of the host.
    fuse = await signer.send(raw, "GET", path, signed_path="/bucket/a%20key")
    assert fuse.body == stored
    for wire_host in ("localhost", f"localhost{_PREFIX}"):
        s3cmd = await signer.send(
            raw,
            "GET",
            path,
            signed_path="/bucket/a%20key",
            signed_host=f"localhost{_PREFIX}",
            wire_host=wire_host,
        )
        assert s3cmd.body == stored
    put = await signer.send(raw, "PUT", f"{_PREFIX}/bucket/fuse", b"x" * 70_000, signed_path="/bucket/fuse")
    assert put.status == 200
    # But no other shortening.
    other = await signer.send(raw, "GET", path, signed_path="/a%20key")
    assert other.code == "SignatureDoesNotMatch"


async def test_what_is_not_signed_is_refused(
    cluster: InProcessCluster, raw: RawConnection, signer: Signer, stored: bytes
) -> None:
    signed = signer.headers("GET", "/bucket/a%20key", "", "UNSIGNED-PAYLOAD", {}, "")
    del signed["host"]
    lines = [f"{name}: {value}" for name, value in signed.items()]

    def without(name: str) -> list[str]:
        return [line for line in lines if not line.startswith(f"{name}:")]

    cases = [
        (lines, "/bucket/a%20key", "localhost", ""),
        ([*lines, "x-amz-meta-colour: blue"], "/bucket/a%20key", "localhost", "AccessDenied"),
        (lines, "/bucket/a%20keys", "localhost", "SignatureDoesNotMatch"),
        (lines, "/bucket/a%20key?versionId=null", "localhost", "SignatureDoesNotMatch"),
        (lines, "/bucket/a%20key", "localhost:1", "SignatureDoesNotMatch"),
        (without("x-amz-date"), "/bucket/a%20key", "localhost", "AccessDenied"),
    ]
    for given, target, host, code in cases:
        answer = await _at(cluster.port, f"GET {target} HTTP/1.1", *given, host=host)
        assert answer.code == code, (target, host)
    both = await _at(cluster.port, f"GET {signer.presigned('GET', '/bucket/a%20key')} HTTP/1.1", *lines)
    assert both.code == "InvalidArgument"


async def test_overrides_of_headers_are_for_signed_requests(
    cluster: InProcessCluster, raw: RawConnection, signer: Signer, stored: bytes
) -> None:
    query = "response-content-type=text%2Fhtml"
    answer = await signer.send(raw, "GET", "/bucket/a%20key", query=query)
    assert answer.headers["content-type"] == "text/html"
    assert (await _at(cluster.port, "PUT /open HTTP/1.1", "Content-Length: 0")).status == 200
    assert (await _at(cluster.port, "PUT /open/key HTTP/1.1", body=b"x")).status == 200
    for method in ("GET", "HEAD"):
        refused = await _at(cluster.port, f"{method} /open/key?{query} HTTP/1.1")
        assert refused.status == 400
    assert (await _at(cluster.port, f"GET /open/key?{query} HTTP/1.1")).code == "InvalidRequest"


async def test_many_signers_at_once(raw: RawConnection, signer: Signer, stored: bytes) -> None:
    async def one() -> int:
        async with RawConnection(raw.port) as connection:
            return (await signer.send(connection, "GET", "/bucket/a%20key")).status

    assert set(await asyncio.gather(*(one() for _ in range(30)))) == {200}

"""SigV4 against AWS's published examples and botocore's own signers."""

from __future__ import annotations

import datetime
from typing import Any
from unittest import mock
from urllib.parse import quote, urlsplit

import pytest
from botocore import auth as botocore_auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from zerohop_proxy.authorization import Anonymous, SignedRequest, parse_authorization, verify
from zerohop_proxy.payload import PayloadMode, VerifiedPayload
from zerohop_proxy.raw_request import RawRequest
from zerohop_proxy.s3_errors import S3Error

EXAMPLE_KEY = "AKIAIOSFODNN7EXAMPLE"
EXAMPLE_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
EXAMPLE_NOW = 1369353600.0  # 20130524T000000Z
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
HOST = "127.0.0.1:39999"


def raw(method: str, target: str, headers: dict[str, str]) -> RawRequest:
    return RawRequest.from_wire(method, target, [(k.encode(), v.encode()) for k, v in headers.items()])


def authenticate(
    request: RawRequest, secret: str = EXAMPLE_SECRET, now: float = EXAMPLE_NOW, region: str | None = None
) -> VerifiedPayload:
    claim = parse_authorization(request, region=region)
    assert not isinstance(claim, Anonymous)
    return verify(claim, secret, now)


def code_of(request: RawRequest, **kwargs: Any) -> str:
    with pytest.raises(S3Error) as caught:
        authenticate(request, **kwargs)
    return caught.value.code


def botocore_signed(
    method: str,
    target: str,
    headers: dict[str, str] | None = None,
    *,
    signer: type = botocore_auth.S3SigV4Auth,
    body: bytes = b"",
    now: float = EXAMPLE_NOW,
    **options: Any,
) -> RawRequest:
    request = AWSRequest(method=method, url=f"http://{HOST}{target}", headers=headers or {}, data=body)
    request.context["client_config"] = None
    frozen = datetime.datetime.fromtimestamp(now, datetime.UTC)
    with mock.patch("botocore.auth.get_current_datetime", return_value=frozen):
        signer(Credentials(EXAMPLE_KEY, EXAMPLE_SECRET), "s3", "us-east-1", **options).add_auth(request)
    parts = urlsplit(str(request.url))
    wire = {"Host": HOST, **dict(request.headers.items())}
    return raw(method, parts.path + (f"?{parts.query}" if parts.query else ""), wire)


def aws_authorization(signed_headers: str, signature: str) -> str:
    return (
        f"AWS4-HMAC-SHA256 Credential={EXAMPLE_KEY}/20130524/us-east-1/s3/aws4_request,"
        f"SignedHeaders={signed_headers},Signature={signature}"
    )


EXAMPLE_HEADERS = {
    "Host": "examplebucket.s3.amazonaws.com",
    "x-amz-content-sha256": EMPTY,
    "x-amz-date": "20130524T000000Z",
}


@pytest.mark.parametrize(
    ("method", "target", "headers", "signed", "signature"),
    [
        (
            "GET",
            "/test.txt",
            {**EXAMPLE_HEADERS, "Range": "bytes=0-9"},
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            "/test%24file.text",
            {
                **EXAMPLE_HEADERS,
                "Date": "Fri, 24 May 2013 00:00:00 GMT",
                "x-amz-storage-class": "REDUCED_REDUNDANCY",
                "x-amz-content-sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
            },
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET",
            "/?lifecycle",
            EXAMPLE_HEADERS,
            "host;x-amz-content-sha256;x-amz-date",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "GET",
            "/?max-keys=2&prefix=J",
            EXAMPLE_HEADERS,
            "host;x-amz-content-sha256;x-amz-date",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_published_header_examples(
    method: str, target: str, headers: dict[str, str], signed: str, signature: str
) -> None:
    request = raw(method, target, {**headers, "Authorization": aws_authorization(signed, signature)})
    payload = authenticate(request)
    assert payload.access_key == EXAMPLE_KEY
    assert payload.sha256_hex == headers["x-amz-content-sha256"]
    wrong = signature[:-1] + ("0" if signature[-1] != "0" else "1")
    bad = raw(method, target, {**headers, "Authorization": aws_authorization(signed, wrong)})
    assert code_of(bad) == "SignatureDoesNotMatch"


PRESIGNED = (
    "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3"
    "%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
)


def test_published_presigned_example() -> None:
    request = raw("GET", PRESIGNED, {"Host": "examplebucket.s3.amazonaws.com"})
    assert authenticate(request).mode is PayloadMode.UNSIGNED
    assert authenticate(request, now=EXAMPLE_NOW + 86400).access_key == EXAMPLE_KEY
    with pytest.raises(S3Error) as caught:
        authenticate(request, now=EXAMPLE_NOW + 86401)
    assert (caught.value.code, caught.value.message) == ("AccessDenied", "Request has expired")
    assert code_of(request, now=EXAMPLE_NOW - 901) == "AccessDenied"
    assert code_of(request, secret="other") == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("Expires=86400", "Expires=604801", "AuthorizationQueryParametersError"),
        ("Expires=86400", "Expires=0", "AuthorizationQueryParametersError"),
        ("Expires=86400", "Expires=-1", "AuthorizationQueryParametersError"),
        ("Expires=86400", "Expires=" + "9" * 5000, "AuthorizationQueryParametersError"),
        ("Expires=86400", "Expires=%C2%B2", "AuthorizationQueryParametersError"),
        ("%2Fs3%2F", "%2Fec2%2F", "AuthorizationQueryParametersError"),
        ("aws4_request", "aws5_request", "AuthorizationQueryParametersError"),
        ("%2F20130524%2F", "%2F20130525%2F", "AuthorizationQueryParametersError"),
        ("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=date", "AccessDenied"),
        ("&X-Amz-Signature=", "&X-Amz-Other=", "AuthorizationQueryParametersError"),
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", "NotImplemented"),
        ("us-east-1", "%E6%97%A5", "AuthorizationQueryParametersError"),
        ("Signature=aeeed9", "Signature=beeed9", "SignatureDoesNotMatch"),
        ("/test.txt", "/test2.txt", "SignatureDoesNotMatch"),
        ("&X-Amz-Expires", "&a=1&X-Amz-Expires", "SignatureDoesNotMatch"),
        ("&X-Amz-Expires", "&X-Amz-Date=1&X-Amz-Expires", "InvalidArgument"),
    ],
)
def test_presigned_requests_that_are_refused(old: str, new: str, code: str) -> None:
    assert (
        code_of(raw("GET", PRESIGNED.replace(old, new), {"Host": "examplebucket.s3.amazonaws.com"})) == code
    )


def test_unsigned_amz_header_on_a_presigned_request_is_refused() -> None:
    headers = {"Host": "examplebucket.s3.amazonaws.com", "x-amz-acl": "public-read"}
    assert code_of(raw("GET", PRESIGNED, headers)) == "AccessDenied"


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(KEYS, st.dictionaries(KEYS, KEYS, max_size=4))
def test_botocore_header_signatures_over_any_key_and_query(key: str, query: dict[str, str]) -> None:
    encoded = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in query.items())
    target = f"/api/v1/s3/bucket/{quote(key, safe='/-_.~')}" + (f"?{encoded}" if encoded else "")
    request = botocore_signed("GET", target)
    assert authenticate(request).access_key == EXAMPLE_KEY
    request.path += "x"
    assert code_of(request) == "SignatureDoesNotMatch"


@given(KEYS)
def test_botocore_presigned_urls_over_any_key(key: str) -> None:
    target = f"/bucket/{quote(key, safe='/-_.~')}?response-content-type=a%2Fb"
    request = botocore_signed("GET", target, signer=botocore_auth.S3SigV4QueryAuth, expires=60)
    assert authenticate(request, now=EXAMPLE_NOW + 59).mode is PayloadMode.UNSIGNED
    request.method = "PUT"
    assert code_of(request) == "SignatureDoesNotMatch"


def test_whitespace_is_folded_and_repeated_headers_are_joined() -> None:
    request = botocore_signed("PUT", "/b/k", {"x-amz-meta-a": "a   b  c", "x-amz-meta-b": "1,2"})
    split = RawRequest.from_wire(
        "PUT",
        "/b/k",
        [(k.encode(), v.encode()) for k, v in request.headers.items() if k != "x-amz-meta-b"]
        + [(b"X-Amz-Meta-B", b"1"), (b"X-Amz-Meta-B", b"2")],
    )
    authenticate(split)
    split.headers["x-amz-meta-b"] = "2,1"
    assert code_of(split) == "SignatureDoesNotMatch"


def test_a_key_with_dots_and_slashes_is_not_normalised() -> None:
    for path in ("/b/a//b", "/b/a/../b", "/b/./a", "/b/a%2Fb", "/b//", "/b/%2E%2e"):
        authenticate(botocore_signed("GET", path))
    request = botocore_signed("GET", "/b/a/../c")
    request.path = "/b/c"
    assert code_of(request) == "SignatureDoesNotMatch"


def test_clients_that_sign_without_the_prefix() -> None:
    request = botocore_signed("GET", "/bucket/key")
    request.path = "/api/v1/s3/bucket/key"
    authenticate(request)
    as_s3cmd = AWSRequest("GET", f"http://{HOST}/bucket/key", headers={"Host": f"{HOST}/api/v1/s3"})
    as_s3cmd.context["client_config"] = None
    frozen = datetime.datetime.fromtimestamp(EXAMPLE_NOW, datetime.UTC)
    with mock.patch("botocore.auth.get_current_datetime", return_value=frozen):
        botocore_auth.S3SigV4Auth(Credentials(EXAMPLE_KEY, EXAMPLE_SECRET), "s3", "x").add_auth(as_s3cmd)
    headers = {**dict(as_s3cmd.headers.items()), "Host": HOST}
    authenticate(raw("GET", "/api/v1/s3/bucket/key", headers))
    assert code_of(raw("GET", "/api/v2/s3/bucket/key", headers)) == "SignatureDoesNotMatch"


def test_a_path_sent_with_other_escapes_than_signed() -> None:
    request = botocore_signed("GET", "/b/a%2Bb%28c%29")
    request.path = "/b/a+b(c)"
    authenticate(request)
    unescaped = botocore_signed("GET", "/b?delimiter=%2F")
    unescaped.query = "delimiter=/"
    authenticate(unescaped)


def test_the_clock_may_be_off_by_fifteen_minutes() -> None:
    request = botocore_signed("GET", "/b/k")
    authenticate(request, now=EXAMPLE_NOW + 900)
    authenticate(request, now=EXAMPLE_NOW - 900)
    assert code_of(request, now=EXAMPLE_NOW + 901) == "RequestTimeTooSkewed"
    assert code_of(request, now=EXAMPLE_NOW - 901) == "RequestTimeTooSkewed"


def test_the_region_is_checked_only_when_configured() -> None:
    request = botocore_signed("GET", "/b/k")
    authenticate(request, region="us-east-1")
    with pytest.raises(S3Error) as caught:
        authenticate(request, region="eu-west-1")
    assert caught.value.code == "AuthorizationHeaderMalformed"
    assert caught.value.elements["Region"] == "eu-west-1"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x-amz-meta-new": "1"}, "AccessDenied"),
        ({"x-amz-date": "20130525T000000Z"}, "AuthorizationHeaderMalformed"),
        ({"x-amz-date": "20130524T000001Z"}, "SignatureDoesNotMatch"),
        ({"x-amz-date": "yesterday"}, "AccessDenied"),
        ({"host": "other"}, "SignatureDoesNotMatch"),
        ({"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}, "SignatureDoesNotMatch"),
        ({"x-amz-content-sha256": "hello"}, "InvalidArgument"),
        ({"x-amz-content-sha256": "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"}, "NotImplemented"),
        ({"authorization": "Bearer x"}, "InvalidArgument"),
        ({"authorization": "AWS4-HMAC-SHA256"}, "AuthorizationHeaderMalformed"),
        (
            {"authorization": "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c"},
            "AuthorizationHeaderMalformed",
        ),
        ({"authorization": "AWS4-ECDSA-P256-SHA256 Credential=a"}, "NotImplemented"),
    ],
)
def test_tampered_requests_are_refused(headers: dict[str, str], code: str) -> None:
    request = botocore_signed("GET", "/b/k")
    request.headers.update(headers)
    assert code_of(request) == code


def test_no_authorization_and_empty_keys_are_anonymous() -> None:
    for headers in ({}, {"Authorization": "AWS :c2ln"}):
        claim = parse_authorization(raw("GET", "/b/k", {"Host": HOST, **headers}))
        assert isinstance(claim, Anonymous)
        assert claim.payload.access_key is None


def test_anonymous_bodies_may_be_framed_but_not_signed() -> None:
    headers = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": "3",
    }
    claim = parse_authorization(raw("PUT", "/b/k", headers))
    assert isinstance(claim, Anonymous)
    assert claim.payload.mode is PayloadMode.STREAMING_UNSIGNED_TRAILER
    assert claim.payload.decoded_length_bytes == 3
    headers["x-amz-content-sha256"] = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    with pytest.raises(S3Error):
        parse_authorization(raw("PUT", "/b/k", headers))


def test_a_streaming_request_needs_its_decoded_length() -> None:
    request = botocore_signed(
        "PUT", "/b/k", {"X-Amz-Content-SHA256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, signer=_Streaming
    )
    assert code_of(request) == "MissingContentLength"


class _Streaming(botocore_auth.S3SigV4Auth):
    def payload(self, request: Any) -> str:
        return "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_garbage_is_an_s3_error_or_anonymous(authorization: bytes, query: bytes) -> None:
    request = RawRequest.from_wire(
        "GET",
        "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&" + query.decode("latin-1") if not authorization else "/b/k",
        [(b"host", b"h"), (b"authorization", authorization and b"AWS4-HMAC-SHA256 " + authorization)],
    )
    try:
        claim: SignedRequest | Anonymous = parse_authorization(request)
        if not isinstance(claim, Anonymous):
            verify(claim, "secret", 0)
            pytest.fail("garbage verified")
    except S3Error as error:
        assert 400 <= error.status < 600  # noqa: PT017 - anonymous is fine too

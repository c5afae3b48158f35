"""SigV2 against AWS's published examples, boto 2 and botocore."""

from __future__ import annotations

import time
import warnings
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore import auth as botocore_auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from tests.support.boto2 import make_boto_importable

from zerohop_proxy.authorization import Anonymous, parse_authorization, verify
from zerohop_proxy.raw_request import RawRequest
from zerohop_proxy.s3_errors import S3Error

make_boto_importable()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import boto.auth
    import boto.provider
    from boto.connection import HTTPRequest
    from boto.s3.connection import OrdinaryCallingFormat, S3Connection

KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
NOW = 1175024202.0  # Tue, 27 Mar 2007 19:36:42 +0000


def raw(method: str, target: str, headers: dict[str, str]) -> RawRequest:
    return RawRequest.from_wire(method, target, [(k.encode(), v.encode()) for k, v in headers.items()])


def authenticate(request: RawRequest, now: float = NOW, secret: str = SECRET) -> str | None:
    claim = parse_authorization(request)
    assert not isinstance(claim, Anonymous)
    return verify(claim, secret, now).access_key


def code_of(request: RawRequest, **kwargs: Any) -> str:
    with pytest.raises(S3Error) as caught:
        authenticate(request, **kwargs)
    return caught.value.code


def test_published_example() -> None:
    # S3 user guide; the example is virtual-hosted, so its resource /awsexamplebucket1/photos/puppy.jpg is our path.
    headers = {
        "Host": "awsexamplebucket1.us-west-1.s3.amazonaws.com",
        "Date": "Tue, 27 Mar 2007 19:36:42 +0000",
        "Authorization": f"AWS {KEY}:qgk2+6Sv9/oM7G3qLEjTH1a1l1g=",
    }
    assert authenticate(raw("GET", "/awsexamplebucket1/photos/puppy.jpg", headers)) == KEY
    assert code_of(raw("GET", "/awsexamplebucket1/photos/puppy2.jpg", headers)) == "SignatureDoesNotMatch"
    assert (
        code_of(raw("GET", "/awsexamplebucket1/photos/puppy.jpg", headers), now=NOW + 901)
        == "RequestTimeTooSkewed"
    )


def boto_connection() -> Any:
    return S3Connection(
        KEY, SECRET, host="localhost", port=39999, is_secure=False, path="/api/v1/s3",
        calling_format=OrdinaryCallingFormat(),
    )  # fmt: skip


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@given(KEYS)
def test_boto_header_signatures(key: str) -> None:
    path = f"/api/v1/s3/bucket/{quote(key, safe='/-_.~')}?uploadId=a%2Fb&partNumber=3&max-keys=2"
    request = HTTPRequest("PUT", "http", "localhost:39999", 39999, path, path, {}, {"x-amz-meta-a": "b"}, b"")
    boto.auth.HmacAuthV1Handler("localhost", boto_connection(), boto_connection().provider).add_auth(request)
    headers = {"Host": "localhost:39999", **request.headers}
    assert authenticate(raw("PUT", path, headers), now=time.time()) == KEY
    assert code_of(raw("PUT", path.replace("partNumber=3", "partNumber=4"), headers), now=time.time()) == (
        "SignatureDoesNotMatch"
    )


@given(KEYS)
def test_boto_presigned_urls(key: str) -> None:
    url = boto_connection().generate_url(60, "GET", "bucket", quote(key, safe="/-_.~"))
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}"
    assert authenticate(raw("GET", target, {"Host": parts.netloc}), now=time.time()) == KEY
    assert code_of(raw("GET", target, {"Host": parts.netloc}), now=time.time() + 120) == "AccessDenied"
    assert code_of(raw("PUT", target, {"Host": parts.netloc}), now=time.time()) == "SignatureDoesNotMatch"


@given(KEYS)
def test_botocore_header_signatures(key: str) -> None:
    path = f"/bucket/{quote(key, safe='/-_.~')}"
    request = AWSRequest("GET", f"http://localhost{path}?versionId=x&response-content-type=a%2Fb")
    request.headers["Content-Type"] = "text/plain"
    botocore_auth.HmacV1Auth(Credentials(KEY, SECRET)).add_auth(request)
    headers = {"Host": "localhost", **dict(request.headers.items())}
    target = f"{path}?versionId=x&response-content-type=a%2Fb"
    assert authenticate(raw("GET", target, headers), now=time.time()) == KEY


def test_without_the_prefix() -> None:
    request = AWSRequest("GET", "http://localhost/bucket/key")
    botocore_auth.HmacV1Auth(Credentials(KEY, SECRET)).add_auth(request)
    headers = {"Host": "localhost", **dict(request.headers.items())}
    assert authenticate(raw("GET", "/api/v1/s3/bucket/key", headers), now=time.time()) == KEY


def test_empty_keys_are_anonymous() -> None:
    for target, headers in (
        ("/b/k", {"Authorization": "AWS :abc"}),
        ("/b/k?AWSAccessKeyId=&Signature=x&Expires=1", {}),
    ):
        assert isinstance(parse_authorization(raw("GET", target, headers)), Anonymous)


@pytest.mark.parametrize(
    ("target", "headers", "code"),
    [
        ("/b/k", {"Authorization": "AWS nocolon"}, "InvalidArgument"),
        ("/b/k", {"Authorization": "AWS a:b"}, "AccessDenied"),
        ("/b/k", {"Authorization": "AWS a:b", "Date": "never"}, "AccessDenied"),
        ("/b/k?AWSAccessKeyId=a&Signature=b", {}, "AccessDenied"),
        ("/b/k?AWSAccessKeyId=a&Signature=b&Expires=x", {}, "AccessDenied"),
        ("/b/k?AWSAccessKeyId=a&Signature=%E6%97%A5&Expires=1", {}, "AccessDenied"),
        ("/b/k?AWSAccessKeyId=a&Signature=%E6%97%A5&Expires=99999999999", {}, "SignatureDoesNotMatch"),
    ],
)
def test_refused(target: str, headers: dict[str, str], code: str) -> None:
    assert code_of(raw("GET", target, headers)) == code

"""Signatures in the header and in the URL, right and wrong, and what is answered to each fault."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from tests.s3_semantics.conftest import NewBucket
from tests.s3_semantics.signed_http import Reply, SignedHttp
from tests.support.cluster import Cluster, User
from tests.support.real_cluster import RealCluster

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BODY = b"hello"


@pytest.fixture(scope="module")
def user(cluster: Cluster | RealCluster) -> User:
    return cluster.user("semantics")


@pytest.fixture(scope="module")
def path(s3: S3Client, new_bucket: NewBucket) -> Iterator[str]:
    with new_bucket() as name:
        s3.put_object(Bucket=name, Key="k", Body=BODY)
        yield f"/{name}/k"


class Signer:
    """SigV4 in the header, with every part open to mistakes."""

    def __init__(self, cluster: Cluster | RealCluster, user: User, path: str) -> None:
        self.send = SignedHttp(cluster, None)
        self.user = user
        self.path = path
        self.host = urlsplit(cluster.endpoint).netloc

    def headers(
        self,
        *,
        access_key: str = "",
        secret_key: str = "",
        service: str = "s3",
        terminator: str = "aws4_request",
        scope_date: str = "",
        age_s: int = 0,
        payload: str = "UNSIGNED-PAYLOAD",
        leave_out: str = "",
        signed: str = "",
        extra: dict[str, str] | None = None,
    ) -> dict[str, str]:
        moment = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=age_s)
        date = moment.strftime("%Y%m%dT%H%M%SZ")
        headers = {"host": self.host, "x-amz-date": date, "x-amz-content-sha256": payload, **(extra or {})}
        headers.pop(leave_out, None)
        names = signed or ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name]}\n" for name in names.split(";"))
        canonical = f"GET\n{self.path}\n\n{lines}\n{names}\n{payload}"
        scope = [scope_date or date[:8], "us-east-1", service, terminator]
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        key = f"AWS4{secret_key or self.user.secret_key}".encode()
        for part in scope:
            key = hmac.digest(key, part.encode(), "sha256")
        to_sign = f"AWS4-HMAC-SHA256\n{date}\n{'/'.join(scope)}\n{hashed}"
        credential = "/".join([access_key or self.user.access_key, *scope])
        signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
        headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
        )
        del headers["host"]
        return headers

    def get(self, **mistakes: Any) -> Reply:
        return self.send("GET", self.path, headers=self.headers(**mistakes))


@pytest.fixture
def signer(cluster: Cluster | RealCluster, user: User, path: str) -> Signer:
    return Signer(cluster, user, path)


@pytest.mark.parametrize(
    ("mistakes", "status", "code"),
    [
        ({}, 200, ""),
        ({"access_key": "NOBODY"}, 403, "InvalidAccessKeyId"),
        ({"secret_key": "wrong"}, 403, "SignatureDoesNotMatch"),
        ({"service": "ec2"}, 400, "AuthorizationHeaderMalformed"),
        ({"terminator": "aws3_request"}, 400, "AuthorizationHeaderMalformed"),
        ({"scope_date": "20200101"}, 400, "AuthorizationHeaderMalformed"),
        ({"age_s": 1000}, 403, "RequestTimeTooSkewed"),
        ({"age_s": -1000}, 403, "RequestTimeTooSkewed"),
        ({"age_s": 1000, "secret_key": "wrong"}, 403, "RequestTimeTooSkewed"),
        ({"age_s": 800}, 200, ""),
        ({"leave_out": "x-amz-date"}, 403, "AccessDenied"),
        ({"payload": "not-a-hash"}, 400, "InvalidArgument"),
        ({"signed": "x-amz-content-sha256;x-amz-date"}, 403, "AccessDenied"),
        ({"signed": "host;x-amz-date", "extra": {"x-amz-meta-a": "1"}}, 403, "AccessDenied"),
        ({"extra": {"x-amz-security-token": "token"}}, 400, "InvalidToken"),
    ],
)
def test_headers(signer: Signer, mistakes: dict[str, Any], status: int, code: str) -> None:
    reply = signer.get(**mistakes)
    assert (reply.status, reply.code) == (status, code)


def test_without_a_body_its_hash_may_be_left_out(signer: Signer) -> None:
    """As curl 7.88 does it. S3 refuses that."""
    empty = hashlib.sha256(b"").hexdigest()
    assert signer.get(payload=empty, leave_out="x-amz-content-sha256").body == BODY
    unsigned = signer.get(payload="UNSIGNED-PAYLOAD", leave_out="x-amz-content-sha256")
    assert (unsigned.status, unsigned.code) == (403, "SignatureDoesNotMatch")


def test_a_body_without_a_hash_is_refused(signer: Signer) -> None:
    headers = signer.headers(payload=hashlib.sha256(b"other").hexdigest(), leave_out="x-amz-content-sha256")
    reply = signer.send("PUT", signer.path, headers=headers, body=b"other")
    assert (reply.status, reply.code) == (400, "InvalidRequest")
    assert reply.text("Message") == "Missing required header for this request: x-amz-content-sha256"
    assert signer.get().body == BODY


def test_what_should_have_been_signed_is_told(signer: Signer, user: User) -> None:
    reply = signer.get(secret_key="wrong")
    assert reply.text("AWSAccessKeyId") == user.access_key
    assert (reply.text("StringToSign") or "").startswith("AWS4-HMAC-SHA256\n")
    canonical = reply.text("CanonicalRequest") or ""
    assert canonical.startswith(f"GET\n{signer.path}\n\nhost:{signer.host}\n")
    assert (reply.text("StringToSign") or "").endswith(hashlib.sha256(canonical.encode()).hexdigest())
    assert bytes.fromhex(reply.text("CanonicalRequestBytes") or "") == canonical.encode()
    assert user.secret_key.encode() not in reply.body


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("AWS4-HMAC-SHA256", "AuthorizationHeaderMalformed"),
        (
            "AWS4-HMAC-SHA256 Credential=a/b/c/s3/aws4_request, SignedHeaders=host",
            "AuthorizationHeaderMalformed",
        ),
        ("AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=b", "AuthorizationHeaderMalformed"),
        ("Basic dTpw", "InvalidArgument"),
        ("nonsense", "InvalidArgument"),
        ("AWS nocolon", "InvalidArgument"),
        ("AWS NOBODY:c2ln", "InvalidAccessKeyId"),
    ],
)
def test_malformed_headers(signer: Signer, authorization: str, code: str) -> None:
    date = signer.headers()["x-amz-date"]
    reply = signer.send("GET", signer.path, headers={"Authorization": authorization, "x-amz-date": date})
    assert reply.code == code


class Presigned:
    """URLs as boto3 makes them, sent by hand."""

    def __init__(self, cluster: Cluster | RealCluster, user: User, path: str, version: str) -> None:
        self._send = SignedHttp(cluster, None)
        _, self._bucket, self._key = path.split("/")
        self._client = boto3.client(
            "s3",
            endpoint_url=cluster.endpoint,
            aws_access_key_id=user.access_key,
            aws_secret_access_key=user.secret_key,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, signature_version=version),
        )

    def url(self, operation: str = "get_object", **parameters: str) -> str:
        url: str = self._client.generate_presigned_url(
            operation, Params={"Bucket": self._bucket, "Key": self._key, **parameters}
        )
        return url

    def send(self, url: str, method: str = "GET", body: bytes = b"", **headers: str) -> Reply:
        parts = urlsplit(url)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._send(method, parts.path, parts.query, headers=sent, body=body)


@pytest.fixture(params=["s3v4", "s3"])
def presigned(
    cluster: Cluster | RealCluster, user: User, path: str, request: pytest.FixtureRequest
) -> Presigned:
    return Presigned(cluster, user, path, request.param)


def test_presigned_urls(presigned: Presigned) -> None:
    url = presigned.url()
    assert presigned.send(url).body == BODY
    assert presigned.send(url, Range="bytes=0-1").body == BODY[:2]
    for method in ("HEAD", "PUT", "DELETE"):
        assert presigned.send(url, method).status == 403
    assert presigned.send(re.sub(r"Signature=[^&]{4}", "Signature=zzzz", url)).code == "SignatureDoesNotMatch"
    assert presigned.send(url.replace("/k?", "/other?")).code == "SignatureDoesNotMatch"
    assert presigned.send(url, Authorization="AWS a:b").code == "InvalidArgument"
    put = presigned.url("put_object", ContentType="a/b")
    assert presigned.send(put, "PUT", BODY, Content_Type="a/b").status == 200
    assert presigned.send(put, "PUT", BODY, Content_Type="a/c").code == "SignatureDoesNotMatch"
    overridden = presigned.send(presigned.url(ResponseContentType="x/y"))
    assert overridden.headers["content-type"] == "x/y"


@pytest.mark.parametrize(
    ("pattern", "replacement", "status", "code"),
    [
        (r"$", "&more=1", 403, "SignatureDoesNotMatch"),
        (r"X-Amz-Expires=\d+", "X-Amz-Expires=604801", 400, "AuthorizationQueryParametersError"),
        (r"X-Amz-Expires=\d+", "X-Amz-Expires=0", 400, "AuthorizationQueryParametersError"),
        (r"X-Amz-Expires=\d+", "X-Amz-Expires=x", 400, "AuthorizationQueryParametersError"),
        (r"&X-Amz-Expires=\d+", "", 400, "AuthorizationQueryParametersError"),
        (r"AWS4-HMAC-SHA256", "AWS5", 400, "AuthorizationQueryParametersError"),
        (r"X-Amz-Date=\w+", "X-Amz-Date=yesterday", 400, "AuthorizationQueryParametersError"),
        (r"us-east-1%2Fs3", "us-east-1%2Fsts", 400, "AuthorizationQueryParametersError"),
        (r"Credential=\w+", "Credential=NOBODY", 403, "InvalidAccessKeyId"),
        (r"SignedHeaders=host", "SignedHeaders=range", 403, "AccessDenied"),
        (r"20\d{6}", "20200101", 403, "AccessDenied"),
    ],
)
def test_presigned_urls_that_were_changed(
    cluster: Cluster | RealCluster,
    user: User,
    path: str,
    pattern: str,
    replacement: str,
    status: int,
    code: str,
) -> None:
    presigned = Presigned(cluster, user, path, "s3v4")
    reply = presigned.send(re.sub(pattern, replacement, presigned.url()))
    assert (reply.status, reply.code) == (status, code)


def test_expired(cluster: Cluster | RealCluster, user: User, path: str) -> None:
    old = Presigned(cluster, user, path, "s3")
    reply = old.send(re.sub(r"Expires=\d+", "Expires=100", old.url()))
    assert [reply.text(name) for name in ("Code", "Message", "Expires")] == [
        "AccessDenied",
        "Request has expired",
        "1970-01-01T00:01:40Z",
    ]


def test_headers_that_a_presigned_url_does_not_sign(
    cluster: Cluster | RealCluster, user: User, path: str
) -> None:
    presigned = Presigned(cluster, user, path, "s3v4")
    reply = presigned.send(presigned.url("put_object"), "PUT", BODY, x_amz_meta_a="1")
    assert (reply.status, reply.code, reply.text("HeadersNotSigned")) == (403, "AccessDenied", "x-amz-meta-a")


def test_nobody_reads_what_is_private(signer: Signer) -> None:
    bucket = signer.path.rsplit("/", 1)[0]
    for method, target, query in [
        ("GET", signer.path, ""),
        ("PUT", signer.path, ""),
        ("DELETE", signer.path, ""),
        ("GET", bucket, ""),
        ("GET", bucket, "location"),
        ("DELETE", bucket, ""),
    ]:
        reply = signer.send(method, target, query)
        assert (reply.status, reply.code) == (403, "AccessDenied")

"""Authorization that is broken in every way."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.hostile.case import Case, bad, head
from tests.hostile.signer import EMPTY_SHA256, Signed, Signer

__all__ = ["CREDENTIALS"]

_MALFORMED = "400 AuthorizationHeaderMalformed"
_NO_MATCH = "403 SignatureDoesNotMatch"
_PATH = "/hostile-signed/none"
_STAMP = "20260101T000000Z"
_SCOPE = "20260101/us-east-1/s3/aws4_request"
_SIGNATURE = "0" * 64
_NAMES = "host;x-amz-content-sha256;x-amz-date"


def _header(name: str, authorization: str | bytes, answers: str, *more: str) -> Case:
    value = authorization if isinstance(authorization, bytes) else authorization.encode()
    fields = (f"x-amz-date: {_STAMP}", f"x-amz-content-sha256: {EMPTY_SHA256}", *more)
    return bad(name, answers, head(f"GET {_PATH} HTTP/1.1", *fields, b"Authorization: " + value))


def _v4(credential: str = f"KEY/{_SCOPE}", signed: str = _NAMES, signature: str = _SIGNATURE) -> str:
    return f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature={signature}"


def _changed(name: str, change: Callable[[str], str], answers: str) -> Case:
    """A right signature, changed afterwards."""

    def wire(signer: Signer) -> bytes:
        signed = signer.sign("GET", _PATH)
        fields = [field for field in signed.fields if not field.startswith("Authorization")]
        return head(f"GET {_PATH} HTTP/1.1", *fields, f"Authorization: {change(signed.authorization)}")

    return bad(name, answers, wire)


def _resent(name: str, make: Callable[[Signed], bytes], answers: str, skew_s: float = 0.0) -> Case:
    """A right signature on another request."""
    return bad(name, answers, lambda signer: make(signer.sign("GET", _PATH, skew_s=skew_s)))


def _scoped(name: str, answers: str, *, region: str = "us-east-1", service: str = "s3") -> Case:
    def wire(signer: Signer) -> bytes:
        signed = signer.sign("GET", _PATH, region=region, service=service)
        return head(f"GET {_PATH} HTTP/1.1", *signed.fields)

    return bad(name, answers, wire)


def _query(name: str, query: str, answers: str) -> Case:
    return bad(f"presigned: {name}", answers, head(f"GET {_PATH}?{query} HTTP/1.1"))


def _presigned(**changes: str) -> str:
    fields = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"KEY%2F{_SCOPE.replace('/', '%2F')}",
        "X-Amz-Date": _STAMP,
        "X-Amz-Expires": "600",
        "X-Amz-SignedHeaders": "host",
        "X-Amz-Signature": _SIGNATURE,
    }
    fields |= {f"X-Amz-{name}": value for name, value in changes.items()}
    return "&".join(f"{name}={value}" for name, value in fields.items() if value != "-")


_QUERY_ERROR = "400 AuthorizationQueryParametersError"
_ANY_V4 = f"{_MALFORMED} | 403 InvalidAccessKeyId | 403 AccessDenied | 403 RequestTimeTooSkewed | 400 InvalidArgument"

_HEADERS: list[Case] = [
    _header("nothing", "", "403 AccessDenied | 404 NoSuchKey"),
    _header("an unknown scheme", "Frob x", "400 InvalidArgument"),
    _header("basic", "Basic dTpw", "400 InvalidArgument"),
    _header("bearer", "Bearer " + "t" * 5000, "400 InvalidArgument"),
    _header("bytes that are no text", b"\xff\xfe\xfd", "400 InvalidArgument | 400 BadRequest"),
    _header("an asymmetric signature", "AWS4-ECDSA-P256-SHA256 Credential=x", "501 NotImplemented"),
    _header("v4: nothing", "AWS4-HMAC-SHA256", _MALFORMED),
    _header("v4: blanks", "AWS4-HMAC-SHA256    ", _MALFORMED),
    _header("v4: commas", "AWS4-HMAC-SHA256 ,,,,", _MALFORMED),
    _header("v4: 10,000 commas", "AWS4-HMAC-SHA256 " + "," * 10_000, _MALFORMED),
    _header("v4: no equals sign", "AWS4-HMAC-SHA256 Credential, SignedHeaders, Signature", _MALFORMED),
    _header("v4: no credential", f"AWS4-HMAC-SHA256 SignedHeaders=host, Signature={_SIGNATURE}", _MALFORMED),
    _header(
        "v4: no signed headers",
        f"AWS4-HMAC-SHA256 Credential=KEY/{_SCOPE}, Signature={_SIGNATURE}",
        _MALFORMED,
    ),
    _header("v4: no signature", f"AWS4-HMAC-SHA256 Credential=KEY/{_SCOPE}, SignedHeaders=host", _MALFORMED),
    _header("v4: a credential twice", f"{_v4()}, Credential=KEY/{_SCOPE}", _ANY_V4),
    _header("v4: an unknown part", f"{_v4()}, Frob=1", _ANY_V4),
    _header("v4: a credential of one part", _v4("KEY"), _MALFORMED),
    _header("v4: a credential of four parts", _v4("KEY/20260101/us-east-1/s3"), _MALFORMED),
    _header(
        "v4: a credential of 5000 slashes", _v4("KEY" + "/" * 5000), _MALFORMED + " | 403 InvalidAccessKeyId"
    ),
    _header("v4: another service", _v4("KEY/20260101/us-east-1/ec2/aws4_request"), _MALFORMED),
    _header("v4: another terminator", _v4("KEY/20260101/us-east-1/s3/aws5_request"), _MALFORMED),
    _header("v4: a date of letters", _v4("KEY/yesterday/us-east-1/s3/aws4_request"), _ANY_V4),
    _header("v4: an empty region", _v4("KEY/20260101//s3/aws4_request"), _ANY_V4),
    _header("v4: an unknown key", _v4(), "403 InvalidAccessKeyId | 403 RequestTimeTooSkewed"),
    _header("v4: a key of 5000 letters", _v4("K" * 5000 + "/" + _SCOPE), "403 InvalidAccessKeyId"),
    _header("v4: a key with NUL escaped", _v4("KEY%00/" + _SCOPE), "403 InvalidAccessKeyId"),
    _header("v4: a key of Unicode", _v4("ключ/" + _SCOPE), "403 InvalidAccessKeyId"),
    _header("v4: an empty key names nobody", _v4("/" + _SCOPE), "403 AccessDenied | 404 NoSuchKey"),
    _header("v4: empty signed headers", _v4(signed=""), _ANY_V4),
    _header("v4: host is not signed", _v4(signed="x-amz-date"), _ANY_V4),
    _header("v4: signed headers that were not sent", _v4(signed="host;x-frob"), _ANY_V4),
    _header("v4: 5000 signed headers", _v4(signed=";".join(["host"] * 2500)), _ANY_V4),
    _header("v4: a signature of letters", _v4(signature="z" * 64), _ANY_V4),
    _header("v4: an empty signature", _v4(signature=""), _ANY_V4),
    _header("v4: a signature of 10 KB", _v4(signature="0" * 10_000), _ANY_V4),
    _header("v4: two authorizations", _v4(), f"{_ANY_V4} | 400 BadRequest", f"Authorization: {_v4()}"),
    _header("v2: nothing", "AWS ", "400 InvalidArgument"),
    _header("v2: no colon", "AWS KEY", "400 InvalidArgument"),
    _header(
        "v2: no signature", "AWS KEY:", "400 InvalidArgument | 403 AccessDenied | 403 InvalidAccessKeyId"
    ),
    _header(
        "v2: two colons", "AWS KEY:a:b", "400 InvalidArgument | 403 InvalidAccessKeyId | 403 AccessDenied"
    ),
    _header(
        "v2: an unknown key",
        "AWS KEY:AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "403 InvalidAccessKeyId | 403 AccessDenied",
    ),
    _header(
        "v2: a signature of 10 KB",
        "AWS KEY:" + "A" * 10_000,
        "403 InvalidAccessKeyId | 403 AccessDenied | 400 InvalidArgument",
    ),
    _header("header and query", _v4(), "400 InvalidArgument"),
]
_HEADERS[-1] = bad(
    "header and query at once",
    "400 InvalidArgument",
    head(f"GET {_PATH}?{_presigned()} HTTP/1.1", f"Authorization: {_v4()}"),
)

_CHANGED: list[Case] = [
    _changed(
        "the signature of another secret",
        lambda value: re.sub(r"Signature=.*", f"Signature={_SIGNATURE}", value),
        _NO_MATCH,
    ),
    _changed("a signature one digit short", lambda value: value[:-1], f"{_NO_MATCH} | {_MALFORMED}"),
    _changed(
        "a signature in capitals",
        lambda value: value[:-64] + value[-64:].upper(),
        f"{_NO_MATCH} | {_MALFORMED} | 404 NoSuchKey",
    ),
    _changed(
        "fewer signed headers",
        lambda value: value.replace(";x-amz-date", ""),
        f"{_NO_MATCH} | 403 AccessDenied",
    ),
    _changed(
        "another date in the scope",
        lambda value: re.sub(r"/\d{8}/", "/20200101/", value),
        f"{_MALFORMED} | {_NO_MATCH}",
    ),
    _changed(
        "another region in the scope",
        lambda value: value.replace("us-east-1", "eu-west-1"),
        f"{_NO_MATCH} | {_MALFORMED}",
    ),
    _resent("another method", lambda signed: head(f"DELETE {_PATH} HTTP/1.1", *signed.fields), _NO_MATCH),
    _resent(
        "another key", lambda signed: head("GET /hostile-signed/other HTTP/1.1", *signed.fields), _NO_MATCH
    ),
    _resent("another bucket", lambda signed: head("GET /hostile/none HTTP/1.1", *signed.fields), _NO_MATCH),
    _resent(
        "another query",
        lambda signed: head(f"GET {_PATH}?versionId=null HTTP/1.1", *signed.fields),
        _NO_MATCH,
    ),
    _resent(
        "another host",
        lambda signed: head(f"GET {_PATH} HTTP/1.1", *signed.fields, host="127.0.0.1"),
        _NO_MATCH,
    ),
    _resent(
        "another date field",
        lambda signed: head(f"GET {_PATH} HTTP/1.1", *signed.fields, "x-amz-date: 20260101T000000Z"),
        f"{_NO_MATCH} | {_MALFORMED} | 403 AccessDenied",
    ),
    _resent(
        "a field of Amazon's that is not signed",
        lambda signed: head(f"GET {_PATH} HTTP/1.1", *signed.fields, "x-amz-copy-source: /a/b"),
        "403 AccessDenied",
    ),
    _resent(
        "an hour late",
        lambda signed: head(f"GET {_PATH} HTTP/1.1", *signed.fields),
        "403 RequestTimeTooSkewed",
        -3600,
    ),
    _resent(
        "an hour early",
        lambda signed: head(f"GET {_PATH} HTTP/1.1", *signed.fields),
        "403 RequestTimeTooSkewed",
        3600,
    ),
    _resent(
        "a year early",
        lambda signed: head(f"GET {_PATH} HTTP/1.1", *signed.fields),
        "403 RequestTimeTooSkewed",
        365 * 86_400,
    ),
    _resent(
        "a body that was signed as none",
        lambda signed: head(f"GET {_PATH} HTTP/1.1", *signed.fields, "Content-Length: 5") + b"hello",
        "404 NoSuchKey | 400 XAmzContentSHA256Mismatch",
    ),
    _scoped("signed for another service", _MALFORMED, service="sts"),
    _scoped(
        "signed for another region is fine",
        "404 NoSuchKey | 400 AuthorizationHeaderMalformed",
        region="mars-1",
    ),
    bad(
        "a signed request without its date",
        "403 AccessDenied | 400 AuthorizationHeaderMalformed",
        head(f"GET {_PATH} HTTP/1.1", f"x-amz-content-sha256: {EMPTY_SHA256}", f"Authorization: {_v4()}"),
    ),
    bad(
        "a signed request with a date of nonsense",
        "403 AccessDenied | 400 AuthorizationHeaderMalformed",
        head(
            f"GET {_PATH} HTTP/1.1",
            "x-amz-date: yesterday",
            f"x-amz-content-sha256: {EMPTY_SHA256}",
            f"Authorization: {_v4()}",
        ),
    ),
    bad(
        "a signed request without a payload's hash",
        "400 InvalidRequest | 403 InvalidAccessKeyId | 400 MissingSecurityHeader",
        head(f"GET {_PATH} HTTP/1.1", f"x-amz-date: {_STAMP}", f"Authorization: {_v4()}"),
    ),
]

_QUERIES: list[Case] = [
    _query("an unknown algorithm", _presigned(Algorithm="FROB"), _QUERY_ERROR),
    _query("no credential", _presigned(Credential="-"), _QUERY_ERROR),
    _query("half a credential", _presigned(Credential="KEY"), _QUERY_ERROR),
    _query("no date", _presigned(Date="-"), _QUERY_ERROR),
    _query("a date of nonsense", _presigned(Date="yesterday"), _QUERY_ERROR),
    _query("no expiry", _presigned(Expires="-"), _QUERY_ERROR),
    _query("a negative expiry", _presigned(Expires="-1"), _QUERY_ERROR),
    _query("an expiry of letters", _presigned(Expires="soon"), _QUERY_ERROR),
    _query("an expiry of a year", _presigned(Expires="31536000"), _QUERY_ERROR),
    _query("an expiry of 5000 digits", _presigned(Expires="9" * 5000), _QUERY_ERROR),
    _query(
        "an expiry of zero",
        _presigned(Expires="0"),
        f"{_QUERY_ERROR} | 403 InvalidAccessKeyId | 403 AccessDenied",
    ),
    _query("no signed headers", _presigned(SignedHeaders="-"), _QUERY_ERROR),
    _query("no signature", _presigned(Signature="-"), _QUERY_ERROR),
    _query("an unknown key", _presigned(), "403 InvalidAccessKeyId | 403 AccessDenied"),
    _query("a signature twice", _presigned() + f"&X-Amz-Signature={_SIGNATURE}", "400 InvalidArgument"),
    _query(
        "a credential that is no UTF-8",
        _presigned(Credential="%ff%fe"),
        f"{_QUERY_ERROR} | 400 InvalidArgument",
    ),
    _query("v2 without expiry", "AWSAccessKeyId=KEY&Signature=x", "403 AccessDenied | 400 InvalidArgument"),
    _query(
        "v2 without signature",
        "AWSAccessKeyId=KEY&Expires=9999999999",
        "403 AccessDenied | 400 InvalidArgument",
    ),
    _query(
        "v2 with an expiry of letters",
        "AWSAccessKeyId=KEY&Expires=soon&Signature=x",
        "403 AccessDenied | 400 InvalidArgument",
    ),
    _query(
        "v2 with an expiry of 5000 digits",
        f"AWSAccessKeyId=KEY&Expires={'9' * 5000}&Signature=x",
        "403 AccessDenied | 400 InvalidArgument | 403 InvalidAccessKeyId",
    ),
    _query(
        "v2 with a negative expiry",
        "AWSAccessKeyId=KEY&Expires=-1&Signature=x",
        "403 AccessDenied | 400 InvalidArgument",
    ),
    _query(
        "v2 of an unknown key",
        "AWSAccessKeyId=KEY&Expires=9999999999&Signature=x",
        "403 InvalidAccessKeyId | 403 AccessDenied",
    ),
]

CREDENTIALS: list[Case] = [*_HEADERS, *_CHANGED, *_QUERIES]

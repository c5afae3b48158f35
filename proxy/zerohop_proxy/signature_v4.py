"""SigV4 in the Authorization header and in the query.

Source: S3 API reference, "Authenticating Requests (AWS Signature Version 4)".
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import product
from urllib.parse import unquote

from zerohop_proxy.canonical import (
    canonical_headers,
    canonical_queries,
    canonical_query,
    paths_and_hosts,
    sorted_query,
)
from zerohop_proxy.payload import (
    EMPTY_SHA256,
    UNSIGNED_PAYLOAD,
    ChunkSigning,
    VerifiedPayload,
    framing,
    verified_payload,
)
from zerohop_proxy.raw_request import RawRequest
from zerohop_proxy.request_time import MAX_SKEW_S, check_skew, iso_basic, parse_http_date, parse_iso_basic
from zerohop_proxy.s3_errors import S3Error, signature_mismatch

__all__ = ["ALGORITHM", "SignedV4", "parse_header_v4", "parse_query_v4", "signing_key"]

ALGORITHM = "AWS4-HMAC-SHA256"
MAX_EXPIRES_S = 604_800

# Its value stands in the canonical request as the hash of the payload, so leaving it unsigned changes nothing.
_MAY_BE_UNSIGNED = frozenset({"x-amz-content-sha256"})


@dataclass(slots=True)
class SignedV4:
    """A request that claims to be signed with SigV4. `expires_s` is set for a presigned one."""

    access_key: str
    request: RawRequest
    prefix: str
    date: str
    region: str
    timestamp: str
    time_s: int
    signed_headers: str
    signature: str
    payload_hash: str  # as it stands in the canonical request
    content_sha256: str  # as it says how the body is framed
    expires_s: int | None

    def verify(self, secret_key: str, now: float) -> VerifiedPayload:
        """Check the clock, then the signature; raises `S3Error`.

        In this order a client whose clock is wrong hears of that, whatever else its signature may lack.
        """
        self.check_time(now)
        key = signing_key(secret_key, self.date, self.region)
        scope = f"{self.date}/{self.region}/s3/aws4_request"
        if not self._matches_as_sent(key, scope) and not self._matches_otherwise(key, scope):
            raise self._mismatch(scope)
        signing = None
        if self.content_sha256.startswith("STREAMING-"):
            signing = ChunkSigning(key, scope, self.timestamp, self.signature)
        return verified_payload(self.access_key, self.request.headers, self.content_sha256, signing)

    def check_time(self, now: float) -> None:
        """Raise `S3Error` unless the request is of now, or presigned for now."""
        if self.expires_s is None:
            check_skew(self.time_s, now)
        else:
            self._check_expiry(self.expires_s, now)

    def _matches_as_sent(self, key: bytes, scope: str) -> bool:
        request = self.request
        # The client's own spelling, which nearly always is the canonical one, and takes a fifth of the time to make.
        query = sorted_query(request.query, without=self._left_out())
        return self._matches(key, scope, request.path, request.headers.get("host", ""), query)

    def _matches_otherwise(self, key: bytes, scope: str) -> bool:
        request = self.request
        forms = paths_and_hosts(request.path, request.headers.get("host", ""), self.prefix)
        queries = canonical_queries(request.query, without=self._left_out())
        return any(
            self._matches(key, scope, path, host, query) for (path, host), query in product(forms, queries)
        )

    def _left_out(self) -> str | None:
        return None if self.expires_s is None else "X-Amz-Signature"

    def _matches(self, key: bytes, scope: str, path: str, host: str, query: str) -> bool:
        to_sign = self._to_sign(scope, self._canonical(path, host, query))
        expected = hmac.digest(key, to_sign, "sha256").hex()
        # Strings are compared as they are, if they are ASCII.
        return self.signature.isascii() and hmac.compare_digest(expected, self.signature)

    def _canonical(self, path: str, host: str, query: str) -> bytes:
        request = self.request
        lines = canonical_headers(request.headers, _names(self.signed_headers), host)
        text = f"{request.method}\n{path}\n{query}\n{lines}\n{self.signed_headers}\n{self.payload_hash}"
        return text.encode("latin-1")

    def _to_sign(self, scope: str, canonical: bytes) -> bytes:
        hashed = sha256(canonical).hexdigest()
        return f"{ALGORITHM}\n{self.timestamp}\n{scope}\n{hashed}".encode("latin-1")

    def _mismatch(self, scope: str) -> S3Error:
        """Tells what should have been signed: it holds nothing that the sender does not know."""
        request = self.request
        query = canonical_query(request.query, without=self._left_out())
        canonical = self._canonical(request.path, request.headers.get("host", ""), query)
        return signature_mismatch(
            self.access_key, self.signature, self._to_sign(scope, canonical), canonical_request=canonical
        )

    def _check_expiry(self, expires_s: int, now: float) -> None:
        if now < self.time_s - MAX_SKEW_S:
            raise S3Error("AccessDenied", "Request is not yet valid")
        if now > self.time_s + expires_s:
            raise S3Error(
                "AccessDenied",
                "Request has expired",
                elements={
                    "X-Amz-Expires": str(expires_s),
                    "Expires": _iso(self.time_s + expires_s),
                    "ServerTime": _iso(now),
                },
            )


@lru_cache(maxsize=1024)  # four HMACs; one entry a user, day and region
def signing_key(secret_key: str, date: str, region: str) -> bytes:
    """The derived key of a scope."""
    key = hmac.digest(b"AWS4" + secret_key.encode(), date.encode("latin-1"), "sha256")
    key = hmac.digest(key, region.encode("latin-1"), "sha256")
    key = hmac.digest(key, b"s3", "sha256")
    return hmac.digest(key, b"aws4_request", "sha256")


def parse_header_v4(request: RawRequest, authorization: str, prefix: str, region: str | None) -> SignedV4:
    """Parse `AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...`; raises `S3Error`."""
    credential, signed_headers, signature = _header_fields(authorization[len(ALGORITHM) :])
    headers = request.headers
    timestamp, time_s = _header_time(request)
    access_key, date, scope_region = _credential(credential, timestamp, region, in_query=False)
    content_sha256 = headers.get("x-amz-content-sha256")
    if content_sha256 is None:
        content_sha256 = _implied_hash(request)
    framing(content_sha256)
    _check_signed(request, signed_headers)
    return SignedV4(
        access_key, request, prefix, date, scope_region, timestamp, time_s, signed_headers,
        signature, content_sha256, content_sha256, None,
    )  # fmt: skip


def parse_query_v4(request: RawRequest, query: dict[str, str], prefix: str, region: str | None) -> SignedV4:
    """Parse the `X-Amz-*` parameters of a presigned URL; raises `S3Error`. `query` holds decoded values."""
    if query.get("X-Amz-Algorithm") != ALGORITHM:
        if query.get("X-Amz-Algorithm", "").startswith("AWS4-ECDSA"):
            raise S3Error("NotImplemented", "Asymmetric signatures (SigV4A) are not supported.")
        raise _bad_query('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"')
    for name in ("X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Expires"):
        if not query.get(name):
            raise _bad_query(
                "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
                "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
            )
    if not all(map(str.isascii, query.values())) and not _is_ascii_authorization(query):
        raise _bad_query("The authorization query parameters must be ASCII.")
    timestamp = query["X-Amz-Date"]
    time_s = parse_iso_basic(timestamp)
    if time_s is None:
        raise _bad_query("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    access_key, date, scope_region = _credential(query["X-Amz-Credential"], timestamp, region, in_query=True)
    signed_headers = query["X-Amz-SignedHeaders"]
    _check_signed(request, signed_headers)
    payload_hash = query.get("X-Amz-Content-Sha256", UNSIGNED_PAYLOAD)
    content_sha256 = request.headers.get("x-amz-content-sha256", payload_hash)
    if "x-amz-content-sha256" in signed_headers.split(";"):
        payload_hash = content_sha256
    elif "X-Amz-Content-Sha256" in query:
        content_sha256 = payload_hash
    framing(content_sha256)
    return SignedV4(
        access_key, request, prefix, date, scope_region, timestamp, time_s, signed_headers,
        query["X-Amz-Signature"], payload_hash, content_sha256, _expires(query["X-Amz-Expires"]),
    )  # fmt: skip


def _is_ascii_authorization(query: dict[str, str]) -> bool:
    return all(value.isascii() for name, value in query.items() if name.startswith("X-Amz-"))


def _header_fields(text: str) -> tuple[str, str, str]:
    """Credential, signed headers and signature."""
    # Clients write the signature last, and what comes before it is the same all day.
    others, _, signature = text.rpartition("Signature=")
    if others.endswith((",", ", ")) and "," not in signature:
        fields = _fields(others)
        signature = signature.rstrip()
    else:
        fields = _fields(text)
        signature = fields.get("Signature", "")
    credential, signed_headers = fields.get("Credential"), fields.get("SignedHeaders")
    if not credential or not signed_headers or not signature:
        raise _bad_header(
            "The authorization header is malformed; the authorization header requires three components: Credential, "
            "SignedHeaders, and Signature."
        )
    return credential, signed_headers, signature


@lru_cache(maxsize=512)  # 0.1 us instead of 2; a header's length bounds an entry to 16 KiB
def _fields(text: str) -> Mapping[str, str]:
    fields: dict[str, str] = {}
    for piece in text.split(","):
        name, _, value = piece.strip().partition("=")
        fields[name] = value
    return fields


def _header_time(request: RawRequest) -> tuple[str, int]:
    timestamp = request.headers.get("x-amz-date")
    if timestamp is not None:
        time_s = parse_iso_basic(timestamp)
        if time_s is not None:
            return timestamp, time_s
        time_s = parse_http_date(timestamp)
    else:
        time_s = parse_http_date(request.headers.get("date", ""))
    if time_s is None:
        raise S3Error("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
    return iso_basic(time_s), time_s


def _credential(
    credential: str, timestamp: str, expected_region: str | None, *, in_query: bool
) -> tuple[str, str, str]:
    """Access key, date and region of `key/date/region/s3/aws4_request`."""
    parts = (
        unquote(credential).rsplit("/", 4) if in_query and "%" in credential else credential.rsplit("/", 4)
    )
    error = _bad_query if in_query else _bad_header
    words = (
        "Error parsing the X-Amz-Credential parameter"
        if in_query
        else "The authorization header is malformed"
    )
    if len(parts) != 5 or not parts[0]:
        shape = '"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request"'
        raise error(f"{words}; the Credential is mal-formed; expecting {shape}.")
    access_key, date, region, service, terminator = parts
    if service != "s3":
        raise error(f'{words}; incorrect service "{service}". This endpoint belongs to "s3".')
    if terminator != "aws4_request":
        raise error(f'{words}; incorrect terminal "{terminator}". This endpoint uses "aws4_request".')
    if date != timestamp[:8]:
        raise error(
            f'{words}; Invalid credential date "{date}". This date is not the same as X-Amz-Date: "{timestamp[:8]}".'
        )
    if expected_region is not None and region != expected_region:
        raise error(
            f"{words}; the region '{region}' is wrong; expecting '{expected_region}'", expected_region
        )
    return access_key, date, region


def _check_signed(request: RawRequest, signed_headers: str) -> None:
    """Raise unless `host` and all `x-amz-*` headers that are present are among the signed ones."""
    names = _names(signed_headers)
    if "host" not in names:
        raise S3Error(
            "AccessDenied",
            "There were headers present in the request which were not signed",
            HeadersNotSigned="host",
        )
    missing = [
        name
        for name in request.headers
        if name.startswith("x-amz-") and name not in names and name not in _MAY_BE_UNSIGNED
    ]
    if missing:
        raise S3Error(
            "AccessDenied",
            "There were headers present in the request which were not signed",
            HeadersNotSigned=", ".join(missing),
        )


@lru_cache(maxsize=512)  # each program signs the same few
def _names(signed_headers: str) -> tuple[str, ...]:
    return tuple(signed_headers.split(";"))


def _implied_hash(request: RawRequest) -> str:
    """The hash of a request without x-amz-content-sha256, which S3 requires; without a body only one is possible."""
    headers = request.headers
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        raise S3Error("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    return EMPTY_SHA256


def _expires(text: str) -> int:
    # Seven digits hold any legal value; int() of an unbounded one would cost the square of its length.
    if not text.isascii() or not text.isdigit() or len(text) > 7:
        raise _bad_query("X-Amz-Expires should be a number")
    expires_s = int(text)
    if expires_s > MAX_EXPIRES_S:
        raise _bad_query(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less "
            "than 604800 seconds"
        )
    if expires_s < 1:
        raise _bad_query("X-Amz-Expires must be positive")
    return expires_s


def _bad_header(message: str, region: str | None = None) -> S3Error:
    return _malformed("AuthorizationHeaderMalformed", message, region)


def _bad_query(message: str, region: str | None = None) -> S3Error:
    return _malformed("AuthorizationQueryParametersError", message, region)


def _malformed(code: str, message: str, region: str | None) -> S3Error:
    """`region` is the right one: SDKs sign for it and try again, by the header where HEAD leaves them no body."""
    if region is None:
        return S3Error(code, message)
    return S3Error(code, message, elements={"Region": region}, headers={"x-amz-bucket-region": region})


def _iso(epoch_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch_s))

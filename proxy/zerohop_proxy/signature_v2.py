"""SigV2 in the Authorization header (`AWS key:signature`) and in the query.

Source: S3 user guide, "Signing and authenticating REST requests". It covers no body, and AWS has retired it;
old clients (boto, the default of some tools for foreign endpoints) still speak nothing else.
"""

from __future__ import annotations

import base64
import hmac
import time
from dataclasses import dataclass
from urllib.parse import unquote

from zerohop_proxy.canonical import fold, paths_and_hosts
from zerohop_proxy.payload import UNSIGNED_PAYLOAD, VerifiedPayload, verified_payload
from zerohop_proxy.raw_request import RawRequest
from zerohop_proxy.request_time import check_skew, parse_http_date, parse_iso_basic
from zerohop_proxy.s3_errors import S3Error, signature_mismatch

__all__ = ["SignedV2", "parse_header_v2", "parse_query_v2"]

# The list of the user guide, and what boto and botocore sign beyond it.
_SUB_RESOURCES = frozenset(
    [
        "accelerate",
        "acl",
        "analytics",
        "cors",
        "defaultObjectAcl",
        "delete",
        "encryption",
        "inventory",
        "lifecycle",
        "location",
        "logging",
        "metrics",
        "notification",
        "object-lock",
        "partNumber",
        "policy",
        "replication",
        "requestPayment",
        "restore",
        "select",
        "select-type",
        "storageClass",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versionId",
        "versioning",
        "versions",
        "website",
        "response-cache-control",
        "response-content-disposition",
        "response-content-encoding",
        "response-content-language",
        "response-content-type",
        "response-expires",
    ]
)


@dataclass(slots=True)
class SignedV2:
    """A request that claims to be signed with SigV2. `expires_s` (since the epoch) is set for a presigned one.

    `virtual_bucket` is the bucket that the Host names, which the signed resource names too.
    """

    access_key: str
    request: RawRequest
    prefix: str
    signature: str
    time_s: int
    expires_s: int | None
    date_line: str
    virtual_bucket: str = ""

    def verify(self, secret_key: str, now: float) -> VerifiedPayload:
        """Check the clock, then the signature; raises `S3Error`."""
        self._check_time(now)
        headers = self.request.headers
        resources = [
            path for path, _ in paths_and_hosts(self.request.path, headers.get("host", ""), self.prefix)
        ]
        if self.virtual_bucket:
            resources = [f"/{self.virtual_bucket}{path}" for path in resources]
        # boto3 signs `/bucket/` and sends `/bucket`; a resource with a slash at its end can only mean the bucket.
        resources += [f"{path}/" for path in resources if path.count("/") == 1 and path != "/"]
        if not any(self._matches(secret_key, path) for path in resources):
            raise signature_mismatch(self.access_key, self.signature, self._to_sign(resources[0]))
        return verified_payload(
            self.access_key, headers, headers.get("x-amz-content-sha256", UNSIGNED_PAYLOAD)
        )

    def _check_time(self, now: float) -> None:
        if self.expires_s is None:
            check_skew(self.time_s, now)
        elif now > self.expires_s:
            raise S3Error(
                "AccessDenied",
                "Request has expired",
                Expires=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.expires_s)),
                ServerTime=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
            )

    def _matches(self, secret_key: str, path: str) -> bool:
        digest = hmac.digest(secret_key.encode(), self._to_sign(path), "sha1")
        return hmac.compare_digest(base64.b64encode(digest), self.signature.encode("latin-1", "replace"))

    def _to_sign(self, path: str) -> bytes:
        headers = self.request.headers
        amz = "".join(
            f"{name}:{fold(headers[name])}\n" for name in sorted(headers) if name.startswith("x-amz-")
        )
        text = (
            f"{self.request.method}\n{headers.get('content-md5', '')}\n{headers.get('content-type', '')}\n"
            f"{self.date_line}\n{amz}{path}{_signed_query(self.request.query)}"
        )
        return text.encode("latin-1", "surrogateescape")


def parse_header_v2(
    request: RawRequest, authorization: str, prefix: str, virtual_bucket: str = ""
) -> SignedV2:
    """Parse `AWS key:signature`; raises `S3Error`."""
    access_key, colon, signature = authorization[len("AWS ") :].strip().rpartition(":")
    if not colon:
        raise S3Error("InvalidArgument", "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature",
                      ArgumentName="Authorization", ArgumentValue=authorization)  # fmt: skip
    headers = request.headers
    amz_date = headers.get("x-amz-date")
    text = headers.get("date", "") if amz_date is None else amz_date
    time_s = parse_http_date(text)
    if time_s is None:
        time_s = parse_iso_basic(text)
    if time_s is None:
        raise S3Error("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
    date_line = headers.get("date", "") if amz_date is None else ""
    return SignedV2(access_key, request, prefix, signature, time_s, None, date_line, virtual_bucket)


def parse_query_v2(
    request: RawRequest, query: dict[str, str], prefix: str, virtual_bucket: str = ""
) -> SignedV2:
    """Parse `AWSAccessKeyId`, `Signature` and `Expires`; raises `S3Error`. `query` holds decoded values."""
    expires, signature = query.get("Expires", ""), query.get("Signature", "")
    if not expires or not signature:
        raise S3Error(
            "AccessDenied",
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters",
        )
    if not expires.isascii() or not expires.isdigit() or len(expires) > 11:
        raise S3Error("AccessDenied", f"Invalid date (should be seconds since epoch): {expires[:64]}")
    # A base64 `+` that a client left unescaped arrives as a space.
    signature = signature.replace(" ", "+")
    return SignedV2(
        query["AWSAccessKeyId"], request, prefix, signature, 0, int(expires), expires, virtual_bucket
    )


def _signed_query(query: str) -> str:
    """`?name=value&...` of the parameters that are part of the resource; values decoded, names sorted."""
    if not query:
        return ""
    signed: list[tuple[str, str]] = []
    for piece in query.split("&"):
        name, equals, value = piece.partition("=")
        if name in _SUB_RESOURCES:
            signed.append((name, f"{name}={unquote(value, 'latin-1')}" if equals else name))
    if not signed:
        return ""
    signed.sort(key=lambda item: item[0])
    return "?" + "&".join([text for _, text in signed])

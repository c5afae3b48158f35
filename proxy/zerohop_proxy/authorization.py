"""Who signed a request: one entry to SigV4, SigV2 and anonymous access.

Two phases, because the secret key is looked up between them:

    claim = parse_authorization(request, prefix="/api/v1/s3", region=None)
    if isinstance(claim, Anonymous):
        payload = claim.payload
    else:
        payload = verify(claim, secret_key_of(claim.access_key), now)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zerohop_proxy.payload import UNSIGNED_PAYLOAD, VerifiedPayload, verified_payload
from zerohop_proxy.raw_request import RawRequest
from zerohop_proxy.routing import parameters_of
from zerohop_proxy.s3_errors import S3Error
from zerohop_proxy.signature_v2 import SignedV2, parse_header_v2, parse_query_v2
from zerohop_proxy.signature_v4 import ALGORITHM, SignedV4, parse_header_v4, parse_query_v4

__all__ = ["Anonymous", "SignedRequest", "parse_authorization", "verify"]

SignedRequest = SignedV4 | SignedV2
"""A request whose signature claims `access_key`; not verified yet."""

_EMPTY_V4_KEY = "Credential=/"


@dataclass(slots=True)
class Anonymous:
    """Nobody signed the request. Its body may be framed all the same, which `payload` tells."""

    payload: VerifiedPayload


def parse_authorization(
    request: RawRequest,
    *,
    prefix: str = "/api/v1/s3",
    region: str | None = None,
    virtual_bucket: str = "",
) -> SignedRequest | Anonymous:
    """Find out who claims to have signed `request`; raises `S3Error` for what can never be valid.

    `prefix` is the path under which the API is served, which some clients leave out of what they sign
    (s3cmd, s3fs-fuse). `region`, when configured, is the only one that a SigV4 scope may name. `virtual_bucket` is the
    bucket that the Host names: then the whole path is a key, which no form of signing may shorten.
    An empty access key, as the API page's Python client sends it, counts as anonymous.
    """
    if virtual_bucket:
        prefix = ""
    claim = _claim(request, prefix, region, virtual_bucket)
    if not isinstance(claim, Anonymous):
        _refuse_token(request)
    return claim


def _refuse_token(request: RawRequest) -> None:
    """A session token belongs to temporary keys, of which there are none here: it cannot be a valid one."""
    token = request.headers.get("x-amz-security-token")
    if token is None and "X-Amz-Security-Token=" in request.query:
        token = parameters_of(request).get("X-Amz-Security-Token")
    if token:
        raise S3Error("InvalidToken", elements={"Token-0": token})


def _claim(
    request: RawRequest, prefix: str, region: str | None, virtual_bucket: str
) -> SignedRequest | Anonymous:
    authorization = request.headers.get("authorization", "")
    in_query = "X-Amz-Algorithm=" in request.query or "AWSAccessKeyId=" in request.query
    if authorization:
        if in_query:
            raise S3Error(
                "InvalidArgument",
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
                "parameter or the Authorization header should be specified",
                ArgumentName="Authorization",
                ArgumentValue=authorization,
            )
        return _from_header(request, authorization, prefix, region, virtual_bucket)
    if in_query:
        return _from_query(request, prefix, region, virtual_bucket)
    return _anonymous(request.headers)


def verify(signed: SignedRequest, secret_key: str, now: float) -> VerifiedPayload:
    """Check signature, clock (`now` in seconds since the epoch) and expiry.

    Raises `S3Error`: SignatureDoesNotMatch, RequestTimeTooSkewed, AccessDenied (expired), and what is wrong with
    the declared framing of the body.
    """
    return signed.verify(secret_key, now)


def _from_header(
    request: RawRequest, authorization: str, prefix: str, region: str | None, virtual_bucket: str
) -> SignedRequest | Anonymous:
    if authorization.startswith(ALGORITHM):
        if _EMPTY_V4_KEY in authorization:
            return _anonymous(request.headers)
        return parse_header_v4(request, authorization, prefix, region)
    if authorization.startswith("AWS "):
        if authorization[4:].lstrip().startswith(":"):
            return _anonymous(request.headers)
        return parse_header_v2(request, authorization, prefix, virtual_bucket)
    if authorization.startswith("AWS4-ECDSA"):
        raise S3Error("NotImplemented", "Asymmetric signatures (SigV4A) are not supported.")
    raise S3Error(
        "InvalidArgument",
        "Unsupported Authorization Type",
        ArgumentName="Authorization",
        ArgumentValue=authorization.partition(" ")[0],
    )


def _from_query(
    request: RawRequest, prefix: str, region: str | None, virtual_bucket: str
) -> SignedRequest | Anonymous:
    query = parameters_of(request)
    if "X-Amz-Algorithm" in query:
        return parse_query_v4(request, query, prefix, region)
    if not query.get("AWSAccessKeyId"):
        return _anonymous(request.headers)
    return parse_query_v2(request, query, prefix, virtual_bucket)


def _anonymous(headers: Mapping[str, str]) -> Anonymous:
    return Anonymous(verified_payload(None, headers, headers.get("x-amz-content-sha256", UNSIGNED_PAYLOAD)))

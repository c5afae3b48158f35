"""Who signed a request: one entry to SigV4, SigV2 and anonymous access.

Two phases, because the secret key is looked up between them:

    claim = parse_authorization(request, prefix="/api/v1/s3", region=None, now=now)
    if isinstance(claim, SignedRequest):
        payload = verify(claim, secret_key, now)
    else:
        payload = claim.payload
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .payload import VerifiedPayload
from .raw_request import RawRequest

__all__ = ["Anonymous", "SignedRequest", "parse_authorization", "verify"]


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Nobody signed the request. Its body may be framed all the same, which `payload` tells."""

    payload: VerifiedPayload


class SignedRequest(Protocol):
    """A request whose signature claims `access_key`; not verified yet."""

    @property
    def access_key(self) -> str: ...

    def verify(self, secret_key: str, now: float) -> VerifiedPayload: ...


def parse_authorization(
    request: RawRequest, *, prefix: str = "/api/v1/s3", region: str | None = None
) -> SignedRequest | Anonymous:
    """Find out who claims to have signed `request`; raises `S3Error` for what can never be valid.

    `prefix` is the path under which the API is served, which some clients leave out of what they sign
    (s3cmd, s3fs-fuse). `region`, when configured, is the only one that a SigV4 scope may name.
    """
    raise NotImplementedError


def verify(signed: SignedRequest, secret_key: str, now: float) -> VerifiedPayload:
    """Check signature, clock (`now` in seconds since the epoch) and expiry.

    Raises `S3Error`: SignatureDoesNotMatch, RequestTimeTooSkewed, AccessDenied (expired).
    """
    return signed.verify(secret_key, now)

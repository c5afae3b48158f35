"""What the answers of an S3 store mean that are no success: pure decisions on its error codes and status."""

from __future__ import annotations

from typing import Final

from zerohop.errors import InvalidRequest, ObjectArchived, OriginRefused, UnderStoreFailed, ZerohopError

__all__ = ["Refusal", "is_not_done", "is_passing", "refusal_error"]


class Refusal(Exception):
    """The store answered a request with an error."""

    def __init__(self, code: str, status: int, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(f"{code} ({status}): {message}")
        self.code, self.status, self.message = code, status, message
        self.retry_after_s = retry_after_s


_NOT_DONE: Final = frozenset(
    {
        "SlowDown",
        "SlowDownRead",
        "SlowDownWrite",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "RequestTimeout",  # the body did not arrive
        "OperationAborted",
        "ConditionalRequestConflict",
        "429",
        "503",
    }
)

_REASONS: Final = {
    "NoSuchBucket": "it has no such bucket",
    "InvalidBucketName": "that is no name of a bucket",
    "AccessDenied": "these credentials may not do that (or it needs some, and there are none)",
    "AllAccessDisabled": "all access to the bucket is disabled",
    "AccountProblem": "there is a problem with the account",
    "Forbidden": "these credentials may not do that",
    "401": "it wants credentials",
    "403": "these credentials may not do that, or are wrong (access_key, secret_key)",
    "InvalidAccessKeyId": "it does not know the access key",
    "SignatureDoesNotMatch": "the secret key is not the one of the access key",
    "InvalidSecurity": "the credentials are not valid",
    "ExpiredToken": "the session token has expired",
    "InvalidToken": "the session token is not valid",
    "TokenRefreshRequired": "the session token has to be refreshed",
    "RequestTimeTooSkewed": "its clock and this worker's differ by more than it accepts",
    "PermanentRedirect": "the bucket is in another region: set the option region",
    "301": "the bucket is in another region: set the option region",
    "AuthorizationHeaderMalformed": "the bucket is in another region, or the access key is malformed",
    "NotS3": "what answers there does not speak S3",
}


def is_not_done(refusal: Refusal) -> bool:
    """Whether the store says that it has not carried the request out, but would later: even a request that must not
    be carried out twice may be repeated.
    """
    return refusal.code in _NOT_DONE or refusal.status in (429, 503)


def is_passing(refusal: Refusal) -> bool:
    """Whether repeating a request that may be repeated can help."""
    return is_not_done(refusal) or (refusal.status >= 500 and refusal.status != 501)


def refusal_error(refusal: Refusal, what: str) -> ZerohopError:
    """`what` was tried, as in "read the object a/b of bucket c at https://..."."""
    if refusal.code == "InvalidObjectState":
        return ObjectArchived(f"cannot {what}: the object is archived: restore it first [{refusal.code}]")
    reason = _REASONS.get(refusal.code)
    if reason is not None:
        return OriginRefused(f"cannot {what}: {reason} [{refusal.code}]", reason=refusal.code)
    said = f"{refusal.code}: {refusal.message}" if refusal.message else refusal.code
    if is_passing(refusal):
        return UnderStoreFailed(f"cannot {what}: the origin fails or throttles [{said}]")
    if refusal.status in (401, 403):
        return OriginRefused(f"cannot {what}: the origin denies it [{said}]", reason=refusal.code)
    if refusal.status == 400 and refusal.code != "400":
        return InvalidRequest(f"cannot {what}: the origin does not accept it [{said}]")
    return OriginRefused(f"cannot {what}: the origin answers [{said}]", reason=refusal.code)

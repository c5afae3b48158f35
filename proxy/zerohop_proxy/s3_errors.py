"""S3 error answers, and the mapping from domain errors to them.

Source: S3 API reference, "Error responses".
"""

from __future__ import annotations

from collections.abc import Mapping

from zerohop import errors as domain
from zerohop_proxy.s3_error_table import S3_ERRORS

__all__ = ["S3Error", "from_domain_error", "s3_code", "signature_mismatch"]


class S3Error(Exception):
    """An error that is answered to the client as S3 gives it.

    `code` is one of `S3_ERRORS`; further elements of the XML are named (`BucketName=...`) or in `elements`;
    `headers` go with the answer.
    """

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        elements: Mapping[str, str] | None = None,
        **named_elements: str,
    ) -> None:
        status, default_message = S3_ERRORS[code]
        self.code = code
        self.status: int = status
        self.message: str = message or default_message
        self.elements: dict[str, str] = {**(elements or {}), **named_elements}
        self.headers: dict[str, str] = dict(headers or {})
        super().__init__(f"{code}: {self.message}")


def signature_mismatch(
    access_key: str, signature: str, to_sign: bytes, *, canonical_request: bytes | None = None
) -> S3Error:
    """SignatureDoesNotMatch with what we would have signed, so that an implementer sees where he differs."""
    elements = {
        "AWSAccessKeyId": access_key,
        "StringToSign": to_sign.decode("latin-1"),
        "SignatureProvided": signature,
        "StringToSignBytes": to_sign.hex(" "),
    }
    if canonical_request is not None:
        elements["CanonicalRequest"] = canonical_request.decode("latin-1")
        elements["CanonicalRequestBytes"] = canonical_request.hex(" ")
    return S3Error("SignatureDoesNotMatch", elements=elements)


# Every class of the domain's tree has a line of its own or a base class that has one below the root; a test
# walks them. What a client can do nothing about, but may try again, is 503: SDKs back off and retry it.
_CODES: dict[type[domain.ZerohopError], str] = {
    domain.ZerohopError: "InternalError",
    domain.Internal: "InternalError",
    domain.InvalidRequest: "InvalidRequest",
    domain.ConfigError: "InternalError",
    domain.AccessDenied: "AccessDenied",
    domain.StaleUsers: "ServiceUnavailable",
    domain.NotSupported: "NotImplemented",
    domain.NotFound: "NoSuchKey",
    domain.BucketNotFound: "NoSuchBucket",
    domain.KeyNotFound: "NoSuchKey",
    domain.VersionNotFound: "NoSuchVersion",
    domain.UploadNotFound: "NoSuchUpload",
    domain.UserNotFound: "InvalidAccessKeyId",
    domain.BucketAlreadyExists: "BucketAlreadyExists",
    domain.BucketAlreadyOwned: "BucketAlreadyOwnedByYou",
    domain.BucketNotEmpty: "BucketNotEmpty",
    domain.UserAlreadyExists: "InvalidRequest",
    domain.InvalidPart: "InvalidPart",
    domain.InvalidPartOrder: "InvalidPartOrder",
    domain.PartTooSmall: "EntityTooSmall",
    domain.KeyTooLong: "KeyTooLongError",
    domain.PreconditionFailed: "PreconditionFailed",
    domain.NotModified: "NotModified",
    domain.NeedsBytes: "InternalError",  # the copy handlers act on it; it reaching a client is a defect
    domain.OperationConflict: "OperationAborted",
    domain.Conflict: "ServiceUnavailable",
    domain.TooLarge: "MaxMessageLengthExceeded",
    domain.LeaseLost: "ServiceUnavailable",
    domain.StoreFailed: "ServiceUnavailable",
    domain.FormatTooNew: "InternalError",
    domain.DataFolderInUse: "InternalError",
    domain.NoWorker: "ServiceUnavailable",
    domain.SessionFenced: "ServiceUnavailable",
    domain.BlockNotFound: "ServiceUnavailable",
    domain.ContentNotFound: "InternalError",  # the record names it, so NoSuchKey would be a lie
    domain.ContentLost: "InternalError",
    domain.Corrupt: "InternalError",
    domain.OutOfSpace: "ServiceUnavailable",
    domain.UnderStoreFailed: "ServiceUnavailable",
    domain.MountNotFound: "NoSuchBucket",
    domain.JobNotFound: "InternalError",
    domain.OriginNeeded: "ServiceUnavailable",  # the mount client acts on it; a mount that comes and goes may leak it
    domain.OriginRefused: "ServiceUnavailable",
    domain.ObjectArchived: "InvalidObjectState",
    domain.OriginChanged: "ServiceUnavailable",
    domain.BodyTooShort: "IncompleteBody",
    domain.TransportError: "ServiceUnavailable",
    domain.PeerUnavailable: "ServiceUnavailable",
    domain.OutcomeUnknown: "InternalError",  # it may have happened; 500 is what S3 says of that
    domain.DeadlineExceeded: "ServiceUnavailable",
    domain.IncompatiblePeer: "InternalError",
    domain.PeerRejected: "InternalError",
    domain.ProtocolViolation: "InternalError",
    domain.UnknownOperation: "InternalError",
    domain.Overloaded: "SlowDown",
}

# What of an error's details S3 tells its clients, and under which names.
_ELEMENTS: dict[str, dict[str, str]] = {
    "EntityTooSmall": {
        "size": "ProposedSize",
        "minimum": "MinSizeAllowed",
        "part": "PartNumber",
        "etag": "ETag",
    },
    "InvalidPart": {"part": "PartNumber", "etag": "ETag"},
    "PreconditionFailed": {"condition": "Condition"},
}

# The words of these domain errors are meant for the caller of S3; those of the others speak of our insides.
_MESSAGE_FOR_CLIENT: tuple[type[domain.ZerohopError], ...] = (
    domain.InvalidRequest,
    domain.NotSupported,
    domain.ContentLost,  # whoever owns the object must learn that repeating the request is of no use
)

# What the operator of the cluster has to know of these, said without our paths and addresses.
_REASONS: dict[type[domain.ZerohopError], str] = {
    domain.OutOfSpace: "Service is unable to handle request: no space is left to store the object.",
    domain.UnderStoreFailed: "Service is unable to handle request: the store behind it fails.",
    domain.OriginRefused: "Service is unable to handle request: the store behind it refuses.",
}


def s3_code(error_class: type[domain.ZerohopError]) -> str:
    """The S3 code of a domain error class: its own, or that of its nearest base."""
    for cls in error_class.__mro__:
        if cls in _CODES:
            return _CODES[cls]
    return "InternalError"


def from_domain_error(error: domain.ZerohopError) -> S3Error:
    """The S3 answer to a domain error; the most derived mapped class decides."""
    code = s3_code(type(error))
    names = _ELEMENTS.get(code, {})
    elements = {names[name]: value for name, value in error.details.items() if name in names}
    if isinstance(error, _MESSAGE_FOR_CLIENT):
        return S3Error(code, error.message, elements=elements)
    return S3Error(code, _REASONS.get(type(error)), elements=elements)

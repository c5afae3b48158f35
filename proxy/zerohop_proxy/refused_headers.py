"""Headers that would change where, how or for whom an object is kept, in ways that we do not have. Pure.

Dropping one of them silently would break a promise that the client believes we made, so each request is checked
before its handler runs. Source: S3 API reference, the request headers of each operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from zerohop_proxy.operation import Operation
from zerohop_proxy.s3_errors import S3Error

__all__ = ["check_headers", "is_refusable"]

# Mapped to the values (lower case) that ask for what we do anyway.
_UNSUPPORTED: Final[dict[str, frozenset[str]]] = {
    "x-amz-acl": frozenset({"private", "bucket-owner-full-control", "bucket-owner-read"}),
    "x-amz-bucket-namespace": frozenset({"global"}),
    "x-amz-bucket-object-lock-enabled": frozenset({"false"}),
    "x-amz-if-match-initiated-time": frozenset(),
    "x-amz-if-match-last-modified-time": frozenset(),
    "x-amz-if-match-size": frozenset(),
    "x-amz-object-ownership": frozenset({"bucketownerenforced"}),
    "x-amz-server-side-encryption-bucket-key-enabled": frozenset({"false"}),
    "x-amz-object-lock-legal-hold": frozenset({"off"}),
    "x-amz-write-offset-bytes": frozenset(),
}
_UNSUPPORTED_GROUPS: Final = (
    "x-amz-grant-",
    "x-amz-object-lock-",
    "x-amz-server-side-encryption",
    "x-amz-copy-source-server-side-encryption",
)
_CANNED_ACLS: Final = frozenset(
    {
        "private",
        "public-read",
        "public-read-write",
        "authenticated-read",
        "aws-exec-read",
        "bucket-owner-read",
        "bucket-owner-full-control",
        "log-delivery-write",
    }
)
_READS: Final = frozenset({Operation.GET_OBJECT, Operation.HEAD_OBJECT, Operation.GET_OBJECT_ATTRIBUTES})
_ENCRYPTION: Final = "x-amz-server-side-encryption"


def check_headers(operation: Operation, headers: Mapping[str, str]) -> None:
    """Raise S3Error for what `headers` (lower-case names) ask of us and we cannot do.

    NotImplemented mostly; InvalidArgument for an ACL that S3 does not know; on reads InvalidRequest for the key of an
    encrypted object, which ours never are, and InvalidArgument for a request to encrypt.
    """
    for name in headers:
        harmless = _harmless_values(name)
        if harmless is None or headers[name].lower() in harmless:
            continue
        if name == "x-amz-acl" and headers[name] not in _CANNED_ACLS:
            raise S3Error("InvalidArgument", ArgumentName=name, ArgumentValue=headers[name])
        if operation in _READS and name.startswith(_ENCRYPTION):
            raise _encryption_of_a_read(name, headers[name])
        raise S3Error("NotImplemented", Header=name)


def is_refusable(name: str) -> bool:
    """Whether there are values of the header that `check_headers` refuses."""
    return _harmless_values(name) is not None


@lru_cache(maxsize=512)  # every request asks this of every header, and clients send few names
def _harmless_values(name: str) -> frozenset[str] | None:
    """Values of the header that ask for what we do anyway; None for one that asks for nothing."""
    if name in _UNSUPPORTED:
        return _UNSUPPORTED[name]
    return frozenset() if name.startswith(_UNSUPPORTED_GROUPS) else None


def _encryption_of_a_read(name: str, value: str) -> S3Error:
    if name.startswith(f"{_ENCRYPTION}-customer-"):
        return S3Error(
            "InvalidRequest", "The encryption parameters are not applicable to this object.", Header=name
        )
    message = f"{name} header is not supported for this operation."
    return S3Error("InvalidArgument", message, ArgumentName=name, ArgumentValue=value)

"""Requests signed with SigV4, made ahead of time so that signing does not count as the server's time.

Source: S3 API reference, "Authenticating Requests (AWS Signature Version 4)".
"""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import NamedTuple
from urllib.parse import quote

__all__ = ["Keys", "presigned_target", "signed_put"]

_ALGORITHM = "AWS4-HMAC-SHA256"
_REGION = "us-east-1"
_EXPIRES_S = 86_400


class Keys(NamedTuple):
    """An access key and its secret."""

    access_key: str
    secret_key: str


def presigned_target(keys: Keys, method: str, host: str, path: str) -> str:
    """Path and query of a presigned URL, good for a day. `path` needs no escapes."""
    stamp = _stamp()
    scope = _scope(stamp)
    query = "&".join(
        f"{name}={quote(value, safe='-_.~')}"
        for name, value in (
            ("X-Amz-Algorithm", _ALGORITHM),
            ("X-Amz-Credential", f"{keys.access_key}/{scope}"),
            ("X-Amz-Date", stamp),
            ("X-Amz-Expires", str(_EXPIRES_S)),
            ("X-Amz-SignedHeaders", "host"),
        )
    )
    canonical = f"{method}\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
    return f"{path}?{query}&X-Amz-Signature={_signature(keys, stamp, canonical)}"


def signed_put(keys: Keys, host: str, path: str, body: bytes = b"") -> bytes:
    """The head of a PUT as SDKs send it over plain HTTP: the body's SHA-256 is a part of the signature."""
    stamp = _stamp()
    digest = hashlib.sha256(body).hexdigest()
    signed = "host;x-amz-content-sha256;x-amz-date"
    headers = f"host:{host}\nx-amz-content-sha256:{digest}\nx-amz-date:{stamp}\n"
    signature = _signature(keys, stamp, f"PUT\n{path}\n\n{headers}\n{signed}\n{digest}")
    authorization = (
        f"{_ALGORITHM} Credential={keys.access_key}/{_scope(stamp)}, "
        f"SignedHeaders={signed}, Signature={signature}"
    )
    return (
        f"PUT {path} HTTP/1.1\r\nHost: {host}\r\nx-amz-date: {stamp}\r\nx-amz-content-sha256: {digest}\r\n"
        f"Authorization: {authorization}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()


def _stamp() -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


def _scope(stamp: str) -> str:
    return f"{stamp[:8]}/{_REGION}/s3/aws4_request"


def _signature(keys: Keys, stamp: str, canonical: str) -> str:
    key = b"AWS4" + keys.secret_key.encode()
    for part in (stamp[:8], _REGION, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    return hmac.digest(key, f"{_ALGORITHM}\n{stamp}\n{_scope(stamp)}\n{hashed}".encode(), "sha256").hex()

"""Requests signed with SigV4, made ahead of time so that signing does not count as the server's time.

Source: S3 API reference, "Authenticating Requests (AWS Signature Version 4)".
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import quote

__all__ = ["UNSIGNED_PAYLOAD", "Keys", "presigned_target", "signed_head", "signed_put"]

UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
_ALGORITHM = "AWS4-HMAC-SHA256"
_REGION = "us-east-1"
_EXPIRES_S = 86_400


class Keys(NamedTuple):
    """An access key and its secret."""

    access_key: str
    secret_key: str


def presigned_target(
    keys: Keys, method: str, host: str, path: str, query: Mapping[str, str] | None = None
) -> str:
    """Path and query of a presigned URL, good for a day. `path` needs no escapes; `query` goes with the request."""
    stamp = _stamp()
    signed = {
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{keys.access_key}/{_scope(stamp)}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(_EXPIRES_S),
        "X-Amz-SignedHeaders": "host",
    }
    text = _canonical_query({**signed, **(query or {})})
    canonical = f"{method}\n{path}\n{text}\nhost:{host}\n\nhost\n{UNSIGNED_PAYLOAD}"
    return f"{path}?{text}&X-Amz-Signature={_signature(keys, stamp, canonical)}"


def signed_put(keys: Keys, host: str, path: str, body: bytes = b"") -> bytes:
    """The head of a PUT as SDKs send it over plain HTTP: the body's SHA-256 is a part of the signature."""
    return signed_head(
        keys, "PUT", host, path, digest=hashlib.sha256(body).hexdigest(), length_bytes=len(body)
    )


def signed_head(
    keys: Keys,
    method: str,
    host: str,
    path: str,
    *,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    digest: str = UNSIGNED_PAYLOAD,
    length_bytes: int | None = None,
) -> bytes:
    """The head of a request with the signature in its header. `headers` (lower case) are signed, too."""
    stamp = _stamp()
    sent = {"host": host, **(headers or {}), "x-amz-content-sha256": digest, "x-amz-date": stamp}
    signed = ";".join(sorted(sent))
    text = _canonical_query(query or {})
    lines = "".join(f"{name}:{sent[name]}\n" for name in sorted(sent))
    signature = _signature(keys, stamp, f"{method}\n{path}\n{text}\n{lines}\n{signed}\n{digest}")
    authorization = (
        f"{_ALGORITHM} Credential={keys.access_key}/{_scope(stamp)}, "
        f"SignedHeaders={signed}, Signature={signature}"
    )
    length = "" if length_bytes is None else f"Content-Length: {length_bytes}\r\n"
    target = f"{path}?{text}" if text else path
    fields = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return (f"{method} {target} HTTP/1.1\r\n{fields}Authorization: {authorization}\r\n{length}\r\n").encode()


def _canonical_query(query: Mapping[str, str]) -> str:
    return "&".join(f"{quote(name, safe='-_.~')}={quote(query[name], safe='-_.~')}" for name in sorted(query))


def _stamp() -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


def _scope(stamp: str) -> str:
    return f"{stamp[:8]}/{_REGION}/s3/aws4_request"


def _signature(keys: Keys, stamp: str, canonical: str) -> str:
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{_ALGORITHM}\n{stamp}\n{_scope(stamp)}\n{hashed}"
    return hmac.digest(_signing_key(keys.secret_key, stamp[:8]), text.encode(), "sha256").hex()


@functools.cache
def _signing_key(secret_key: str, day: str) -> bytes:
    key = b"AWS4" + secret_key.encode()
    for part in (day, _REGION, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key

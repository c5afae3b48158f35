"""SigV4 by hand, so that each step of it can be got wrong on purpose.

Source: S3 API reference, "Authenticating Requests (AWS Signature Version 4)", and the page on chunked uploads.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["EMPTY_SHA256", "Signed", "Signer"]

EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()
_ALGORITHM: Final = "AWS4-HMAC-SHA256"


@dataclass(frozen=True)
class Signed:
    """The fields that make a request a signed one, and what its chunks are signed with."""

    fields: list[str]
    authorization: str
    stamp: str
    scope: str
    key: bytes
    signature: str

    def chunk(self, data: bytes, previous: str) -> tuple[bytes, str]:
        """One signed chunk of aws-chunked framing, and its signature."""
        to_sign = "\n".join(
            (
                "AWS4-HMAC-SHA256-PAYLOAD",
                self.stamp,
                self.scope,
                previous,
                EMPTY_SHA256,
                hashlib.sha256(data).hexdigest(),
            )
        )
        signature = hmac.digest(self.key, to_sign.encode(), "sha256").hex()
        return f"{len(data):x};chunk-signature={signature}\r\n".encode() + data + b"\r\n", signature

    def chunks(self, *pieces: bytes) -> bytes:
        """A whole body of these pieces and the empty one that ends it."""
        previous, body = self.signature, b""
        for piece in (*pieces, b""):
            framed, previous = self.chunk(piece, previous)
            body += framed
        return body

    def trailer(self, lines: Sequence[str], previous: str) -> str:
        """The signature of a trailer."""
        hashed = hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256-TRAILER\n{self.stamp}\n{self.scope}\n{previous}\n{hashed}"
        return hmac.digest(self.key, to_sign.encode(), "sha256").hex()


@dataclass(frozen=True)
class Signer:
    """Signs as one user for `Host: localhost`."""

    access_key: str
    secret_key: str

    def sign(
        self,
        method: str,
        path: str,
        query: str = "",
        *,
        payload: str = EMPTY_SHA256,
        skew_s: float = 0.0,
        region: str = "us-east-1",
        service: str = "s3",
        more: Sequence[tuple[str, str]] = (),
    ) -> Signed:
        """`query` in canonical form; `more` are further fields (lower case), which are signed too."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + skew_s))
        scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
        fields = sorted(
            [("host", "localhost"), ("x-amz-content-sha256", payload), ("x-amz-date", stamp), *more]
        )
        names = ";".join(name for name, _ in fields)
        canonical = "\n".join(
            (method, path, query, *(f"{name}:{value}" for name, value in fields), "", names, payload)
        )
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        key = f"AWS4{self.secret_key}".encode()
        for part in (stamp[:8], region, service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashed}".encode(), "sha256").hex()
        authorization = (
            f"{_ALGORITHM} Credential={self.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
        shown = [f"{name}: {value}" for name, value in fields if name != "host"]
        return Signed(
            [*shown, f"Authorization: {authorization}"], authorization, stamp, scope, key, signature
        )

"""How the body of an authenticated request is framed and what vouches for it.

Source: S3 API reference, "Authenticating Requests: Using the Authorization Header" (x-amz-content-sha256).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["ChunkSigning", "PayloadMode", "VerifiedPayload"]


class PayloadMode(enum.Enum):
    """Forms of a body. `is_chunked` ones are aws-chunked and must be decoded before they are stored."""

    SHA256 = "sha256"  # sent as it is; its SHA-256 is part of the signature
    UNSIGNED = "unsigned"  # sent as it is; the signature does not cover it (also SigV2, presigned, anonymous)
    STREAMING_SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    STREAMING_SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

    @property
    def is_chunked(self) -> bool:
        return self not in (PayloadMode.SHA256, PayloadMode.UNSIGNED)

    @property
    def is_signed_chunks(self) -> bool:
        return self in (PayloadMode.STREAMING_SIGNED, PayloadMode.STREAMING_SIGNED_TRAILER)

    @property
    def has_trailer(self) -> bool:
        return self in (PayloadMode.STREAMING_SIGNED_TRAILER, PayloadMode.STREAMING_UNSIGNED_TRAILER)


@dataclass(frozen=True, slots=True)
class ChunkSigning:
    """What the signatures of chunks are computed with: the first chunk's predecessor is `seed_signature`."""

    signing_key: bytes
    scope: str  # date/region/s3/aws4_request
    timestamp: str  # x-amz-date, ISO 8601 basic
    seed_signature: str


@dataclass(frozen=True, slots=True)
class VerifiedPayload:
    """What the decoder of the body needs to know once the request's own signature is verified.

    `access_key` is None for an anonymous request. `sha256_hex` is set in mode SHA256 alone: the body must
    have it (else XAmzContentSHA256Mismatch). `decoded_length_bytes` and `trailer_names` (lower case) are the
    declared ones of the chunked modes.
    """

    access_key: str | None
    mode: PayloadMode
    sha256_hex: str | None = None
    chunk_signing: ChunkSigning | None = None
    decoded_length_bytes: int | None = None
    trailer_names: tuple[str, ...] = ()

"""How the body of an authenticated request is framed and what vouches for it.

Source: S3 API reference, "Authenticating Requests: Using the Authorization Header" (x-amz-content-sha256).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass

from zerohop_proxy.s3_errors import S3Error

__all__ = [
    "EMPTY_SHA256",
    "UNSIGNED_PAYLOAD",
    "ChunkSigning",
    "PayloadMode",
    "VerifiedPayload",
    "framing",
    "verified_payload",
]

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"

_HEX_SHA256 = re.compile(r"[0-9a-fA-F]{64}\Z")
_LENGTH = re.compile(r"[0-9]{1,18}\Z")


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


@dataclass(slots=True)  # not frozen: that would triple the cost of making one, and every request does
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


_STREAMING = {mode.value: mode for mode in PayloadMode if mode.is_chunked}


def framing(content_sha256: str) -> PayloadMode:
    """The mode that a value of x-amz-content-sha256 names; raises NotImplemented and InvalidArgument."""
    if content_sha256 == UNSIGNED_PAYLOAD:
        return PayloadMode.UNSIGNED
    if _HEX_SHA256.match(content_sha256):
        return PayloadMode.SHA256
    mode = _STREAMING.get(content_sha256)
    if mode is not None:
        return mode
    if content_sha256.startswith("STREAMING-AWS4-ECDSA"):
        raise S3Error("NotImplemented", "Asymmetric signatures (SigV4A) are not supported.")
    raise S3Error(
        "InvalidArgument",
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
        ArgumentName="x-amz-content-sha256",
        ArgumentValue=content_sha256,
    )


def verified_payload(
    access_key: str | None,
    headers: Mapping[str, str],
    content_sha256: str,
    signing: ChunkSigning | None = None,
) -> VerifiedPayload:
    """What the decoder needs, from the headers of a request and its (possibly implied) x-amz-content-sha256."""
    mode = framing(content_sha256)
    if mode is PayloadMode.SHA256:
        return VerifiedPayload(access_key, mode, content_sha256.lower())
    if mode is PayloadMode.UNSIGNED:
        # A body that says that it is framed is never stored framed, whatever the signature covers.
        if "x-amz-decoded-content-length" not in headers or not _says_chunked(headers):
            return VerifiedPayload(access_key, mode)
        mode = PayloadMode.STREAMING_UNSIGNED_TRAILER
    if mode.is_signed_chunks and signing is None:
        raise S3Error(
            "InvalidRequest", f"x-amz-content-sha256 {content_sha256} needs a request signed with SigV4."
        )
    return VerifiedPayload(
        access_key,
        mode,
        None,
        signing if mode.is_signed_chunks else None,
        _decoded_length(headers),
        _trailer_names(headers) if mode.has_trailer else (),
    )


def _says_chunked(headers: Mapping[str, str]) -> bool:
    codings = headers.get("content-encoding", "").lower().split(",")
    return any(coding.strip() == "aws-chunked" for coding in codings)


def _decoded_length(headers: Mapping[str, str]) -> int:
    value = headers.get("x-amz-decoded-content-length")
    if value is None:
        raise S3Error("MissingContentLength")
    if not _LENGTH.match(value):
        raise S3Error(
            "InvalidArgument",
            "x-amz-decoded-content-length must be a number of bytes.",
            ArgumentName="x-amz-decoded-content-length",
            ArgumentValue=value,
        )
    return int(value)


def _trailer_names(headers: Mapping[str, str]) -> tuple[str, ...]:
    names = (name.strip().lower() for name in headers.get("x-amz-trailer", "").split(","))
    return tuple(name for name in names if name)

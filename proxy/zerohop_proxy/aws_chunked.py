"""Decoder of `aws-chunked` bodies, without I/O: bytes in, payload out.

Source: S3 API reference, "Signature Calculations for the Authorization Header: Transferring Payload in
Multiple Chunks" and its pages on trailing headers.
"""

from __future__ import annotations

from dataclasses import dataclass

from .payload import VerifiedPayload

__all__ = ["AwsChunkedDecoder", "Trailers"]

Trailers = dict[str, str]


class AwsChunkedDecoder:
    """Takes the body off the wire and gives its payload.

    Payload is handed out before the signature of its chunk is known (a chunk may be gigabytes): what was
    handed out counts only when `finish()` has returned. `verified_through` tells how many payload bytes are
    covered by verified chunk signatures so far.

    Every method raises `S3Error` for a body that is not what its headers announced; the decoder is dead then.
    """

    verified_through: int
    """Payload bytes at the front that verified signatures cover."""

    def __init__(self, payload: VerifiedPayload) -> None: ...

    def feed(self, data: bytes | memoryview) -> list[memoryview]:
        """Decode the next bytes of the wire. The views point into `data`: use them before it is reused."""
        raise NotImplementedError

    def finish(self) -> Trailers:
        """The wire has ended: check that the body is complete, and give its trailers (lower-case names)."""
        raise NotImplementedError

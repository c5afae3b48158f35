"""Decoder of `aws-chunked` bodies, without I/O: bytes in, payload out.

    size-hex[;chunk-signature=hex] CRLF payload CRLF    for each chunk
    0[;chunk-signature=hex] CRLF                        the last one
    [name:value CRLF ...] [x-amz-trailer-signature:hex CRLF] CRLF

Source: S3 API reference, "Signature Calculations for the Authorization Header: Transferring Payload in
Multiple Chunks" and "... Including Trailing Headers".
"""

from __future__ import annotations

import enum
import hmac
import re
from hashlib import sha256

from zerohop_proxy.payload import EMPTY_SHA256, ChunkSigning, PayloadMode, VerifiedPayload
from zerohop_proxy.s3_errors import S3Error

__all__ = ["AwsChunkedDecoder", "Trailers"]

Trailers = dict[str, str]

_MAX_CHUNK_HEADER_BYTES = (
    256  # 16 hex digits, `;chunk-signature=` and 64 more; the rest is room for extensions
)
_MAX_TRAILER_BYTES = (
    8192  # AWS limits the header section to 8 KiB, and a trailer is the same in another place
)
_CHUNK_HEADER = re.compile(rb"([0-9a-fA-F]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?\Z")
_TRAILER_LINE = re.compile(
    r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)?[ \t]*\Z"
)
_TRAILER_SIGNATURE = "x-amz-trailer-signature"


class _State(enum.Enum):
    HEADER = enum.auto()  # in the line that opens a chunk
    PAYLOAD = enum.auto()  # in the bytes of a chunk
    PAYLOAD_END = enum.auto()  # in the CRLF that closes a chunk
    TRAILER = enum.auto()  # in the lines after the last chunk's header
    COMPLETE = enum.auto()  # after the closing empty line
    FAILED = enum.auto()


class AwsChunkedDecoder:
    """Takes the body off the wire and gives its payload.

    Payload is handed out before the signature of its chunk is known (a chunk may be gigabytes): what was
    handed out counts only when `finish()` has returned. `verified_through` tells how many payload bytes are
    covered by verified chunk signatures so far (all received ones where chunks are unsigned).

    Every method raises `S3Error` for a body that is not what its headers announced; the decoder is dead then.
    """

    verified_through: int
    """Payload bytes at the front that verified signatures cover."""

    def __init__(self, payload: VerifiedPayload) -> None:
        if not payload.mode.is_chunked or payload.decoded_length_bytes is None:
            raise ValueError("the body is not aws-chunked")
        self.verified_through = 0
        self._state = _State.HEADER
        self._signing: ChunkSigning | None = payload.chunk_signing
        self._expects_trailer = payload.mode.has_trailer
        self._signed_trailer = payload.mode is PayloadMode.STREAMING_SIGNED_TRAILER
        self._declared_length = payload.decoded_length_bytes
        self._trailer_names = payload.trailer_names
        self._trailers: Trailers = {}
        self._line = bytearray()  # the unfinished line; bounded by the limits above
        self._received = 0  # payload bytes handed out
        self._left = 0  # payload bytes of this chunk still to come
        self._trailer_bytes = 0
        self._trailer_lines: list[str] = []
        self._claimed_signature = ""
        self._previous_signature = self._signing.seed_signature if self._signing else ""
        self._hash = sha256()

    def feed(self, data: bytes | bytearray | memoryview) -> list[memoryview]:
        """Decode the next bytes of the wire. The views point into `data`: use them before it is reused."""
        view = memoryview(data)
        pieces: list[memoryview] = []
        position = 0
        try:
            while position < len(view):
                position = self._step(view, position, pieces)
        except S3Error:
            self._state = _State.FAILED
            raise
        return pieces

    def finish(self) -> Trailers:
        """The wire has ended: check that the body is complete, and give its trailers (lower-case names)."""
        if self._state is not _State.COMPLETE:
            self._state = _State.FAILED
            raise S3Error("IncompleteBody", "The request body terminated unexpectedly")
        return self._trailers

    def _step(self, view: memoryview, position: int, pieces: list[memoryview]) -> int:
        match self._state:
            case _State.PAYLOAD:
                return self._take_payload(view, position, pieces)
            case _State.HEADER:
                line, position = self._take_line(view, position, _MAX_CHUNK_HEADER_BYTES)
                if line is not None:
                    self._open_chunk(line)
            case _State.PAYLOAD_END:
                line, position = self._take_line(view, position, 2)
                if line:
                    raise _malformed("a chunk is longer than its announced size")
                if line is not None:
                    self._close_chunk()
            case _State.TRAILER:
                line, position = self._take_line(view, position, _MAX_TRAILER_BYTES)
                if line is not None:
                    self._take_trailer_line(line)
            case _:
                raise _malformed("bytes follow the end of the body")
        return position

    def _take_line(self, view: memoryview, position: int, limit: int) -> tuple[bytes | None, int]:
        """Collect up to the next CRLF; gives the line without it once it is whole, and the new position."""
        room = limit - len(self._line)
        window = bytes(view[position : position + room])
        end = window.find(b"\n")
        if end < 0:
            if len(window) == room:
                raise self._bad_line(f"a line is longer than {limit} bytes")
            self._line += window
            return None, position + len(window)
        line = bytes(self._line) + window[:end]
        self._line.clear()
        if not line.endswith(b"\r"):
            raise self._bad_line("a line does not end in CRLF")
        return line[:-1], position + end + 1

    def _open_chunk(self, line: bytes) -> None:
        match = _CHUNK_HEADER.match(line)
        if match is None or (self._signing is not None) != (match[2] is not None):
            raise _malformed("the header of a chunk is malformed")
        size = int(match[1], 16)
        if self._received + size > self._declared_length:
            raise S3Error(
                "IncompleteBody", "The request body is longer than x-amz-decoded-content-length says"
            )
        self._claimed_signature = (match[2] or b"").decode()
        self._left = size
        if size:
            self._hash = sha256()
            self._state = _State.PAYLOAD
            return
        if self._received != self._declared_length:
            raise S3Error("IncompleteBody")
        self._check_chunk_signature(EMPTY_SHA256)
        self._state = _State.TRAILER

    def _take_payload(self, view: memoryview, position: int, pieces: list[memoryview]) -> int:
        piece = view[position : position + self._left]
        pieces.append(piece)
        if self._signing is not None:
            self._hash.update(piece)
        self._left -= len(piece)
        self._received += len(piece)
        if not self._left:
            self._state = _State.PAYLOAD_END
        return position + len(piece)

    def _close_chunk(self) -> None:
        if self._signing is not None:
            self._check_chunk_signature(self._hash.hexdigest())
        self.verified_through = self._received
        self._state = _State.HEADER

    def _check_chunk_signature(self, payload_hash: str) -> None:
        if self._signing is None:
            return
        to_sign = (
            f"AWS4-HMAC-SHA256-PAYLOAD\n{self._signing.timestamp}\n{self._signing.scope}\n"
            f"{self._previous_signature}\n{EMPTY_SHA256}\n{payload_hash}"
        )
        self._previous_signature = self._require_signature(self._signing, to_sign, self._claimed_signature)

    def _take_trailer_line(self, line: bytes) -> None:
        self._trailer_bytes += len(line) + 2
        if self._trailer_bytes > _MAX_TRAILER_BYTES:
            raise S3Error("MalformedTrailerError")
        if not line:
            self._end_trailer()
            return
        match = _TRAILER_LINE.match(line.decode("latin-1"))
        if match is None or not self._expects_trailer:
            raise S3Error("MalformedTrailerError")
        name, value = match[1].lower(), match[2] or ""
        if _TRAILER_SIGNATURE in self._trailers or name in self._trailers:
            raise S3Error("MalformedTrailerError")  # the signature comes last, and nothing comes twice
        if name == _TRAILER_SIGNATURE:
            if not self._signed_trailer:
                raise S3Error("MalformedTrailerError")
        elif name not in self._trailer_names:
            raise S3Error("MalformedTrailerError")
        else:
            self._trailer_lines.append(f"{name}:{value}\n")
        self._trailers[name] = value

    def _end_trailer(self) -> None:
        signature = self._trailers.pop(_TRAILER_SIGNATURE, None)
        if any(name not in self._trailers for name in self._trailer_names):
            raise S3Error("MalformedTrailerError")
        if self._signed_trailer and self._signing is not None:
            if signature is None:
                raise S3Error("MalformedTrailerError")
            hashed = sha256("".join(self._trailer_lines).encode("latin-1")).hexdigest()
            to_sign = (
                f"AWS4-HMAC-SHA256-TRAILER\n{self._signing.timestamp}\n{self._signing.scope}\n"
                f"{self._previous_signature}\n{hashed}"
            )
            self._require_signature(self._signing, to_sign, signature)
        self._state = _State.COMPLETE

    def _require_signature(self, signing: ChunkSigning, to_sign: str, claimed: str) -> str:
        expected = hmac.digest(signing.signing_key, to_sign.encode("latin-1"), "sha256").hex()
        if not hmac.compare_digest(expected.encode(), claimed.encode("latin-1")):
            raise S3Error("SignatureDoesNotMatch")
        return expected

    def _bad_line(self, what: str) -> S3Error:
        if self._state is _State.TRAILER:
            return S3Error("MalformedTrailerError")
        return _malformed(what)


def _malformed(what: str) -> S3Error:
    """AWS documents no code of its own for broken framing; it answers IncompleteBody."""
    return S3Error("IncompleteBody", f"The aws-chunked body is malformed: {what}")

"""Signs requests by hand: SigV4 in each payload mode, SigV2, and every fault that a test wants in them.

Written from AWS's documents, not from the proxy's code, which it tests.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from dataclasses import dataclass
from email.utils import formatdate
from urllib.parse import quote

from tests.proxy.raw_http import RawConnection, RawResponse

from zerohop.model import Credential

__all__ = ["CHUNKED", "MODES", "SHA256", "SIGNED", "SIGNED_TRAILER", "UNSIGNED", "UNSIGNED_TRAILER", "Signer"]

SHA256 = "sha256"
UNSIGNED = "UNSIGNED-PAYLOAD"
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
CHUNKED = [SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER]
MODES = [SHA256, UNSIGNED, *CHUNKED]

_EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass
class Signer:
    """Signs as one user. `skew_s` is how far its clock is off."""

    credential: Credential
    region: str = "us-east-1"
    skew_s: float = 0.0
    chunk_bytes: int = 64 * 1024
    host: str = "localhost"

    # ------------------------------------------------------------------------------------------------ requests

    def headers(
        self, method: str, path: str, query: str, payload: str, headers: dict[str, str], signed_path: str
    ) -> dict[str, str]:
        """The headers of a request signed with SigV4; `payload` is the value of x-amz-content-sha256."""
        stamp = self._stamp()
        all_headers = {"host": self.host, "x-amz-content-sha256": payload, "x-amz-date": stamp, **headers}
        names = ";".join(sorted(all_headers))
        lines = "".join(f"{name}:{all_headers[name].strip()}\n" for name in sorted(all_headers))
        canonical = f"{method}\n{signed_path or path}\n{query}\n{lines}\n{names}\n{payload}"
        signature = self._sign(stamp, canonical)
        all_headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.credential.access_key}/{self._scope(stamp)},"
            f"SignedHeaders={names},Signature={signature}"
        )
        return all_headers

    async def send(
        self,
        connection: RawConnection,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        mode: str = SHA256,
        query: str = "",
        signed_path: str = "",
        signed_host: str = "",
        wire_host: str = "",
        spoil: str = "",
        headers: dict[str, str] | None = None,
    ) -> RawResponse:
        """Send one request. `spoil` is one of: chunk, signature, trailer, trailer-signature, cut, body."""
        wire, given = body, dict(headers or {})
        if mode in CHUNKED:
            given["content-encoding"] = "aws-chunked"
            given["x-amz-decoded-content-length"] = str(len(body))
            if mode != SIGNED:
                given["x-amz-trailer"] = "x-amz-checksum-crc32"
        payload = hashlib.sha256(body).hexdigest() if mode == SHA256 else mode
        if signed_host:
            self.host, kept = signed_host, self.host
            signed = self.headers(method, path, query, payload, given, signed_path)
            self.host = kept
        else:
            signed = self.headers(method, path, query, payload, given, signed_path)
        if mode in CHUNKED:
            signature = signed["authorization"].rpartition("=")[2]
            wire = self.chunked(body, mode, signed["x-amz-date"], signature, spoil)
        elif spoil == "body":
            wire = body[:-1] + bytes((body[-1] ^ 1,))
        del signed["host"]
        lines = [f"{name}: {value}" for name, value in signed.items()]
        target = f"{path}?{query}" if query else path
        if spoil == "cut":
            half = wire[: len(wire) // 2]
            head = [
                f"{method} {target} HTTP/1.1",
                f"Host: {self.host}",
                *lines,
                f"Content-Length: {len(wire)}",
            ]
            await connection.send("\r\n".join(head).encode() + b"\r\n\r\n" + half)
            connection.writer.write_eof()
            return RawResponse(0)
        if not wire:
            lines.append("Content-Length: 0")
        return await connection.request(
            f"{method} {target} HTTP/1.1", *lines, body=wire, host=wire_host or self.host
        )

    def chunked(self, body: bytes, mode: str, stamp: str, seed: str, spoil: str = "") -> bytes:
        """The aws-chunked form of `body`."""
        pieces = [body[at : at + self.chunk_bytes] for at in range(0, len(body), self.chunk_bytes)]
        wire, previous = b"", seed
        for number, piece in enumerate([*pieces, b""]):
            head = f"{len(piece):x}"
            if mode != UNSIGNED_TRAILER:
                previous = self._sign_text(
                    stamp,
                    f"AWS4-HMAC-SHA256-PAYLOAD\n{stamp}\n{self._scope(stamp)}\n{previous}\n{_EMPTY}\n"
                    f"{hashlib.sha256(piece).hexdigest()}",
                )
                shown = _other(previous) if spoil == "signature" and number == len(pieces) - 1 else previous
                head += f";chunk-signature={shown}"
            if spoil == "chunk" and number == len(pieces) - 1:
                piece = piece[:-1] + bytes((piece[-1] ^ 1,))
            wire += head.encode() + b"\r\n" + piece + (b"\r\n" if piece else b"")
        if mode == SIGNED:
            return wire + b"\r\n"
        checksum = base64.b64encode(binascii.crc32(body).to_bytes(4, "big")).decode()
        lines = [f"x-amz-checksum-crc32:{checksum if spoil != 'trailer' else 'AAAAAA=='}"]
        if mode == SIGNED_TRAILER:
            signed_line = lines[0] if spoil == "trailer" else f"x-amz-checksum-crc32:{checksum}"
            signature = self._sign_text(
                stamp,
                f"AWS4-HMAC-SHA256-TRAILER\n{stamp}\n{self._scope(stamp)}\n{previous}\n"
                f"{hashlib.sha256((signed_line + chr(10)).encode()).hexdigest()}",
            )
            lines.append(
                f"x-amz-trailer-signature:{_other(signature) if spoil == 'trailer-signature' else signature}"
            )
        return wire + "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"

    def presigned(self, method: str, path: str, *, expires_s: int = 300) -> str:
        """The target of a presigned URL (SigV4)."""
        stamp = self._stamp()
        parameters = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{self.credential.access_key}/{self._scope(stamp)}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": str(expires_s),
            "X-Amz-SignedHeaders": "host",
        }
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in sorted(parameters.items()))
        canonical = f"{method}\n{path}\n{query}\nhost:{self.host}\n\nhost\nUNSIGNED-PAYLOAD"
        return f"{path}?{query}&X-Amz-Signature={self._sign(stamp, canonical)}"

    # --------------------------------------------------------------------------------------------------- SigV2

    def header_v2(self, method: str, resource: str, *, content_type: str = "", amz: str = "") -> list[str]:
        """The headers of a request signed with SigV2; `resource` is the path with signed sub-resources.

        `amz` has the lines of the x-amz headers, which the caller sends.
        """
        date = formatdate(time.time() + self.skew_s, usegmt=True)
        signature = self._sign_v2(f"{method}\n\n{content_type}\n{date}\n{amz}{resource}")
        typed = [f"Content-Type: {content_type}"] if content_type else []
        return [f"Date: {date}", f"Authorization: AWS {self.credential.access_key}:{signature}", *typed]

    def query_v2(self, method: str, resource: str, *, expires_s: int = 300) -> str:
        """The query of a URL presigned with SigV2."""
        expires = int(time.time()) + expires_s
        signature = quote(self._sign_v2(f"{method}\n\n\n{expires}\n{resource}"), safe="")
        return f"AWSAccessKeyId={self.credential.access_key}&Expires={expires}&Signature={signature}"

    # -------------------------------------------------------------------------------------------------- inside

    def _stamp(self) -> str:
        return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + self.skew_s))

    def _scope(self, stamp: str) -> str:
        return f"{stamp[:8]}/{self.region}/s3/aws4_request"

    def _sign(self, stamp: str, canonical: str) -> str:
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        return self._sign_text(stamp, f"AWS4-HMAC-SHA256\n{stamp}\n{self._scope(stamp)}\n{hashed}")

    def _sign_text(self, stamp: str, text: str) -> str:
        key = b"AWS4" + self.credential.secret_key.encode()
        for part in (stamp[:8], self.region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.digest(key, text.encode(), "sha256").hex()

    def _sign_v2(self, text: str) -> str:
        digest = hmac.digest(self.credential.secret_key.encode(), text.encode(), "sha1")
        return base64.b64encode(digest).decode()


def _other(signature: str) -> str:
    return ("0" if signature[0] != "0" else "1") + signature[1:]

"""What a body is checked against while it arrives: MD5, SHA-256, checksums. No I/O."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from zerohop_proxy.checksums import DeclaredChecksum, check, declared_checksum, declared_md5, new_checksum
from zerohop_proxy.payload import VerifiedPayload
from zerohop_proxy.s3_errors import S3Error

__all__ = ["BodyDigester", "ReceivedBody"]


@dataclass(frozen=True, slots=True)
class ReceivedBody:
    """A body that came whole and passed every check. `checksums` maps ALGORITHM to base64."""

    size_bytes: int
    md5_hex: str
    checksums: dict[str, str]


class BodyDigester:
    """Takes the payload piece by piece (`update` may run in a thread, one call at a time), then judges it."""

    def __init__(
        self,
        payload: VerifiedPayload,
        headers: Mapping[str, str],
        *,
        default_algorithm: str = "",
        extra_algorithm: str = "",
        with_checksum: bool = True,
    ) -> None:
        """`default_algorithm`: a checksum to compute where the request declares none. `extra_algorithm`: one to compute
        in any case. `with_checksum` False: the checksum headers speak of something else than this body
        (CompleteMultipartUpload: of the object).

        Raises S3Error: InvalidDigest, InvalidRequest.
        """
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._declared_md5 = declared_md5(headers)
        self._sha256_hex = payload.sha256_hex
        self._sha256 = hashlib.sha256() if payload.sha256_hex else None
        self._declared: DeclaredChecksum | None = (
            declared_checksum(headers, payload.trailer_names) if with_checksum else None
        )
        wanted = {self._declared.algorithm if self._declared else default_algorithm, extra_algorithm} - {""}
        self._checksums = {algorithm: new_checksum(algorithm) for algorithm in wanted}
        self.size_bytes = 0

    @property
    def declared_algorithm(self) -> str:
        """The algorithm of the checksum that the request announces, "" for none."""
        return self._declared.algorithm if self._declared else ""

    def update(self, pieces: Iterable[bytes | memoryview]) -> None:
        for piece in pieces:
            self.size_bytes += len(piece)
            self._md5.update(piece)
            if self._sha256 is not None:
                self._sha256.update(piece)
            for checksum in self._checksums.values():
                checksum.update(piece)

    def finish(self, trailers: Mapping[str, str]) -> ReceivedBody:
        """Raises S3Error: BadDigest, XAmzContentSHA256Mismatch, InvalidRequest."""
        if self._sha256 is not None and self._sha256_hex is not None:
            computed = self._sha256.hexdigest()
            if not hmac.compare_digest(computed, self._sha256_hex):
                raise S3Error(
                    "XAmzContentSHA256Mismatch",
                    ClientComputedContentSHA256=self._sha256_hex,
                    S3ComputedContentSHA256=computed,
                )
        if self._declared_md5 is not None and self._declared_md5 != self._md5.digest():
            raise S3Error(
                "BadDigest",
                "The Content-MD5 you specified did not match what we received.",
                ExpectedDigest=base64.b64encode(self._declared_md5).decode(),
                CalculatedDigest=base64.b64encode(self._md5.digest()).decode(),
            )
        if self._declared is not None:
            check(self._declared, self._checksums[self._declared.algorithm], trailers)
        checksums = {algorithm: checksum.base64() for algorithm, checksum in self._checksums.items()}
        return ReceivedBody(self.size_bytes, self._md5.hexdigest(), checksums)

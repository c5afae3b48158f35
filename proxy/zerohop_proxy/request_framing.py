"""Requests whose end an intermediary could see elsewhere than we do: refused before anything else.

Source: RFC 9112, 2.5 (versions), 6.1 (Transfer-Encoding), 6.3 (Content-Length), 11.2 (request smuggling).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from zerohop_proxy.s3_errors import S3Error

__all__ = ["check_framing"]

_VERSIONS: Final = ((1, 1), (1, 0))
_MAX_LENGTH_DIGITS: Final = 18
"""The parser reads lengths as 64 bits, and takes the largest of them for "unknown": it never ends such a body."""


def check_framing(version: tuple[int, int], headers: Mapping[str, str]) -> None:
    """Raises S3Error BadRequest, NotImplemented or EntityTooLarge; the connection cannot be kept then.

    `headers` by lower-case name, repeated ones joined. What is ambiguous (a length beside a coding, two lengths) the
    HTTP parser has refused already.
    """
    if version not in _VERSIONS:
        raise S3Error("BadRequest", "The HTTP version is not supported.")
    coding = headers.get("transfer-encoding")
    if coding is not None:
        if version != (1, 1):
            raise S3Error("BadRequest", "HTTP/1.0 knows no Transfer-Encoding.")
        if coding.strip().lower() != "chunked":
            raise S3Error(
                "NotImplemented",
                "A header you provided implies functionality that is not implemented",
                Header="Transfer-Encoding",
            )
    length = headers.get("content-length")
    if length is not None and len(length) > _MAX_LENGTH_DIGITS:
        raise S3Error("EntityTooLarge", ProposedSize=length[: _MAX_LENGTH_DIGITS + 2])

"""The request as it came over the wire: what routing and signature checks are computed from.

Nothing here is decoded: a parsed path has `%2F` and `%00` decoded, and a signature covers the raw one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

__all__ = ["RawRequest"]

_MOST_NAMES: Final = 1024
_MAX_NAME_BYTES: Final = 64


@dataclass(slots=True)
class RawRequest:
    """Method, raw path, raw query and headers of one request.

    `headers` maps lower-case names to values; values of a repeated header are joined with `,` in the order
    in which they came, as SigV4 and RFC 9110 5.3 both do. Bytes are read as latin-1, so that encoding a
    value as latin-1 gives the bytes of the wire back.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] | None = None
    """The decoded query, once `zerohop_proxy.routing.parameters_of` has been asked for it."""

    @classmethod
    def from_wire(cls, method: str, target: str, raw_headers: Iterable[tuple[bytes, bytes]]) -> RawRequest:
        """Build from the request line and the raw header pairs.

        `target` is origin-form (`/path?query`) or absolute-form (`http://host/path?query`, RFC 9112 3.2.2).
        Non-ASCII bytes that a client left unencoded (surrogate-escaped or decoded as UTF-8 by the HTTP
        parser) are percent-encoded here, which is what such a client signed.
        """
        if not target.isascii():
            target = _escape_non_ascii(target)
        if not target.startswith("/"):
            target = _origin_form(target)
        path, _, query = target.partition("?")
        headers: dict[str, str] = {}
        for name_raw, value_raw in raw_headers:
            name = _lower_names.get(name_raw) or _lower_name(name_raw)
            value = value_raw.decode("latin-1")
            if name in headers:
                headers[name] = f"{headers[name]},{value}"
            else:
                headers[name] = value
        return cls(method, path, query, headers)


_lower_names: dict[bytes, str] = {}
"""By the spellings of clients, who send few: finding one takes 0.04 us and making it 0.25, for every header."""


def _lower_name(raw: bytes) -> str:
    name = raw.decode("latin-1").lower()
    if len(raw) <= _MAX_NAME_BYTES:
        if len(_lower_names) >= _MOST_NAMES:
            _lower_names.clear()
        _lower_names[raw] = name
    return name


def _escape_non_ascii(target: str) -> str:
    raw = target.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in raw)


def _origin_form(target: str) -> str:
    _, scheme_mark, rest = target.partition("://")
    if not scheme_mark:
        return target
    slash = rest.find("/")
    question = rest.find("?")
    if slash < 0 or 0 <= question < slash:
        return "/" + (rest[question:] if question >= 0 else "")
    return rest[slash:]

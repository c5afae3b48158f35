"""Canonical forms that SigV4 signs, computed from the raw request.

Source: AWS general reference, "Create a signed AWS API request", with S3's exceptions (the path is encoded
once and never normalised).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

__all__ = [
    "canonical_headers",
    "canonical_path",
    "canonical_queries",
    "canonical_query",
    "fold",
    "paths_and_hosts",
    "sorted_query",
]

_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]*\Z")


def canonical_path(path: str) -> str:
    """`path` decoded and encoded again as UriEncode has it, for clients that sign other escapes than they send."""
    return quote(unquote_to_bytes(path), safe="/-_.~")


def canonical_query(query: str, *, without: str | None = None) -> str:
    """Parameters of the raw `query`, encoded anew, sorted; the one whose name is `without` left out."""
    if not query:
        return ""
    pairs: list[tuple[str, str]] = []
    for piece in query.split("&"):
        if piece:
            name, _, value = piece.partition("=")
            if name != without:
                pairs.append((_encoded(name), _encoded(value)))
    pairs.sort()
    return "&".join([f"{name}={value}" for name, value in pairs])


def canonical_queries(query: str, *, without: str | None = None) -> Iterator[str]:
    """Forms of the query that a client may have signed: AWS's, then its own spelling, sorted."""
    yield canonical_query(query, without=without)
    yield sorted_query(query, without=without)


def sorted_query(query: str, *, without: str | None = None) -> str:
    """Parameters of the raw `query` as they are, sorted; the one whose name is `without` left out."""
    if not query:
        return ""
    pieces = [piece if "=" in piece else f"{piece}=" for piece in query.split("&") if piece]
    if without is not None:
        start = f"{without}="
        pieces = [piece for piece in pieces if not piece.startswith(start)]
    pieces.sort()
    return "&".join(pieces)


def _encoded(text: str) -> str:
    return text if _UNRESERVED.match(text) else _encoded_anew(text)


@lru_cache(
    maxsize=512
)  # presigned requests repeat their credentials; the request line bounds an entry to 8 KiB
def _encoded_anew(text: str) -> str:
    return quote(unquote_to_bytes(text.replace("+", " ")), safe="-_.~")


def fold(value: str) -> str:
    """A header's value without leading and trailing blanks, runs of blanks made one."""
    return " ".join(value.split()) if " " in value or "\t" in value else value


def canonical_headers(headers: Mapping[str, str], names: Sequence[str], host: str) -> str:
    """`name:value` lines of the signed headers; a missing one counts as empty."""
    lines = []
    for name in names:
        value = host if name == "host" else headers.get(name, "")
        lines.append(f"{name}:{fold(value)}\n")
    return "".join(lines)


def paths_and_hosts(path: str, host: str, prefix: str) -> Iterator[tuple[str, str]]:
    """Pairs of path and host that a client may have signed, most likely first.

    As sent; then without `prefix`, under which the API is served (s3fs-fuse leaves it out of what it signs,
    s3cmd takes it for a part of the host); then each with the path encoded as AWS would.
    All of them name the same object to us, so that accepting a signature over any of them gives nothing away.
    """
    yield path, host
    shorter = path[len(prefix) :] or "/"
    under_prefix = bool(prefix) and path.startswith(prefix) and shorter.startswith("/")
    if under_prefix:
        yield shorter, host
        yield shorter, host + prefix
    encoded = canonical_path(path)
    if encoded != path:
        yield encoded, host
        if under_prefix:
            yield canonical_path(shorter), host
            yield canonical_path(shorter), host + prefix

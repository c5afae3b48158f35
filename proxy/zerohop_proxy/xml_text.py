"""Escaping and formatting of what goes into an XML answer."""

from __future__ import annotations

import re
import time
from functools import lru_cache
from urllib.parse import quote

__all__ = ["escape", "is_plain", "timestamp", "url_encoded"]

# Everything that XML text cannot carry as it is. Control characters have no form at all in XML 1.0; S3 writes
# them as numeric references (`&#x1;`), which parsers of real SDKs that are lenient accept and strict ones refuse.
# Dropping or replacing them would name another key, and failing the page would hide every other key, so we do
# as S3 does; `encoding-type=url` is the way to list such keys with a strict parser. U+FFFE, U+FFFF likewise.
# \r, \n and \t are legal, but a parser turns a bare \r into \n, so they are references too.
_SPECIAL = re.compile('[&<>"\x00-\x1f\x7f\ufffe\uffff]')
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


def is_plain(text: str) -> bool:
    """Whether XML can carry `text` as it is."""
    return _SPECIAL.search(text) is None


def escape(text: str) -> str:
    """`text` as character data; also safe in an attribute in double quotes."""
    if _SPECIAL.search(text) is None:
        return text
    return _SPECIAL.sub(_reference, text)


def _reference(match: re.Match[str]) -> str:
    character = match.group()
    return _NAMED.get(character) or f"&#x{ord(character):X};"


def url_encoded(text: str) -> str:
    """`text` under `encoding-type=url`: UTF-8, percent-encoded, `/` kept and a space as `+`, as S3 has it."""
    return quote(text, safe="/*-._ ").replace(" ", "+").replace("~", "%7E")


@lru_cache(maxsize=1024)  # objects written together share their second
def _second(epoch_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(epoch_s))


def timestamp(epoch_ms: int) -> str:
    """`2019-06-18T14:26:05.000Z`: whole seconds, as S3 has it, so that a listing and Last-Modified agree."""
    return _second(epoch_ms // 1000)

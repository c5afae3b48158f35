"""When a request that nobody signed is accepted. Pure.

On loopback the danger is not the network but the browser: a page from anywhere may make it send requests to
localhost, and a name that an attacker controls may resolve to 127.0.0.1 (DNS rebinding). A reverse proxy on the
same host makes the whole internet look like loopback.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

__all__ = ["AnonymousAccess", "anonymous_access", "is_loopback", "refusal"]

_FORWARDING: Final = ("forwarded", "via")
_OWN_SITE: Final = (
    "same-origin",
    "none",
)  # none: typed by the user; same-site would let in other ports of localhost
_AUTHORITY: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:/@?#\\\s]+)(?::[0-9]*)?\Z")


class AnonymousAccess(enum.Enum):
    """Who may leave a request unsigned."""

    NOBODY = "nobody"
    LOOPBACK = "loopback"
    ANYBODY = "anybody"


def anonymous_access(setting: str, *, on_loopback: bool) -> AnonymousAccess:
    """What the configuration's `anonymous` (auto, yes, no) means for the address that is served on."""
    if setting == "no" or (setting == "auto" and not on_loopback):
        return AnonymousAccess.NOBODY
    return AnonymousAccess.LOOPBACK if setting == "auto" else AnonymousAccess.ANYBODY


def is_loopback(host: str) -> bool:
    """Whether `host` (no port) is `localhost` or a literal of the loopback network."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def refusal(access: AnonymousAccess, headers: Mapping[str, str]) -> str:
    """Why an unsigned request with these headers (lower-case names) is refused; "" when it is accepted."""
    if access is AnonymousAccess.NOBODY:
        return "Anonymous access is forbidden for this operation"
    origin = headers.get("origin")
    site = headers.get("sec-fetch-site")
    if (site is not None and site not in _OWN_SITE) or (
        origin is not None and urlsplit(origin).netloc != headers.get("host", "")
    ):
        return "Unsigned requests are not accepted from other web sites"
    if access is AnonymousAccess.LOOPBACK:
        if not _is_loopback_authority(headers.get("host", "")):
            return "Unsigned requests must be addressed to localhost or a loopback address"
        if any(name in _FORWARDING or name.startswith("x-forwarded-") for name in headers):
            return "Unsigned requests are not accepted through a reverse proxy"
    return ""


@lru_cache(maxsize=64)  # a client sends the same Host with each request
def _is_loopback_authority(authority: str) -> bool:
    match = _AUTHORITY.match(
        authority
    )  # only host and port (RFC 9110 7.2): urlsplit would drop a user or a path
    return match is not None and is_loopback(match[1])

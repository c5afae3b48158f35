"""Presigned URLs that were found good: who comes again with one need not have it verified again.

A hash of five short strings replaces the parsing and the two digests of a signature, which a profile showed as 17%
of the proxy's part of a small GET. An entry answers for exactly what the verification has read. Requests that bring
more that it would read, and those whose URL signs more than the host, are not kept and not looked up. Time is not a
part of it: who asks checks that the URL, the key and its user are still good.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from zerohop.model import Caller, Credential
from zerohop_proxy.payload import PayloadMode, VerifiedPayload
from zerohop_proxy.raw_request import RawRequest
from zerohop_proxy.signature_v4 import SignedV4

__all__ = ["Known", "UrlKey", "VerifiedUrl", "VerifiedUrls", "url_key"]

_MAX_URLS: Final = 4096
_MAX_QUERY: Final = 1024
"""With paths of at most `_MAX_PATH` characters an entry takes some 4 KiB, and all of them 16 MiB."""
_MAX_PATH: Final = 1024

UrlKey = tuple[str, str, str, str, str]
"""Method, path, query, host, and the bucket that the host names."""


@dataclass(slots=True)
class Known:
    """A credential as it was fetched. A new one is made whenever it is fetched anew."""

    credential: Credential
    caller: Caller


@dataclass(slots=True)
class VerifiedUrl:
    """A good URL, and the credential by which it is."""

    claim: SignedV4
    known: Known
    payload: VerifiedPayload


def url_key(raw: RawRequest, virtual_bucket: str) -> UrlKey | None:
    """What a presigned GET or HEAD is known by; None for a request that may be judged by more than that."""
    query, path, headers = raw.query, raw.path, raw.headers
    if "X-Amz-Signature=" not in query or len(query) > _MAX_QUERY or len(path) > _MAX_PATH:
        return None
    if raw.method not in ("GET", "HEAD") or "authorization" in headers:
        return None
    for name in headers:
        if name.startswith("x-amz-"):
            return None
    return raw.method, path, query, headers.get("host", ""), virtual_bucket


class VerifiedUrls:
    """The ones that were used last."""

    def __init__(self) -> None:
        self._by_key: OrderedDict[UrlKey, VerifiedUrl] = OrderedDict()

    def find(self, key: UrlKey) -> VerifiedUrl | None:
        """What was found of it."""
        found = self._by_key.get(key)
        if found is not None:
            self._by_key.move_to_end(key)
        return found

    def add(self, key: UrlKey, claim: SignedV4, known: Known, payload: VerifiedPayload) -> None:
        """Its signature is good by the secret of `known`. One that the key does not tell all of is not kept."""
        if claim.signed_headers != "host" or payload.mode is not PayloadMode.UNSIGNED:
            return
        method, path, query, host, _ = key
        # Of the headers only the host was read: the others need not be kept alive.
        claim.request = RawRequest(method, path, query, {"host": host})
        self._by_key[key] = VerifiedUrl(claim, known, payload)
        if len(self._by_key) > _MAX_URLS:
            self._by_key.popitem(last=False)

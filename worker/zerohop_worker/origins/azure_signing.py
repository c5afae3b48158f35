"""Signs a request to Azure Blob Storage with the key of an account. Pure.

https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from zerohop.errors import OriginRefused

__all__ = ["shared_key"]

_SIGNED_HEADERS: Final = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)
"""In this order, by value alone; of those with `x-ms-` also the name."""


def shared_key(
    account: str, key: str, method: str, url: str, query: Mapping[str, str], headers: Mapping[str, str]
) -> str:
    """The `Authorization` of a request for `url`, whose path is encoded as it is sent, with that query, and headers
    with lower-case names. Raises OriginRefused for a key that is none.
    """
    plain = [headers.get(name, "") for name in _SIGNED_HEADERS]
    special = [f"{name}:{value}" for name, value in sorted(headers.items()) if name.startswith("x-ms-")]
    asked = [f"{name}:{value}" for name, value in sorted(query.items())]
    text = "\n".join([method, *plain, *special, f"/{account}{urlsplit(url).path}", *asked])
    try:
        secret = base64.b64decode(key, validate=True)
    except binascii.Error:
        raise OriginRefused("the account_key is no key of an Azure account: those are base64") from None
    digest = hmac.digest(secret, text.encode(), hashlib.sha256)
    return f"SharedKey {account}:{base64.b64encode(digest).decode()}"

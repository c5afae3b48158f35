"""GET and HEAD of objects past botocore's client, which takes a core 2.5 ms to make one request and read its answer.

botocore's first request shows where the bucket is and how its requests are signed; those after it differ in key,
headers and time. They are signed by botocore's signer, sent over its connections and, where they fail, read by its
parser: 0.7 ms. Whatever asks for more than that, such as a bucket in another region, is left to the client.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.exceptions import ClientError
from botocore.parsers import RestXMLParser

__all__ = ["ObjectAnswer", "ObjectReads"]

_SCOPE: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^,]+/[0-9]{8}/([^/,]+)/(s3(?:-[a-z-]+)?)/aws4_request,"
)
"""Not of directory buckets ("s3express"), whose requests are signed with tokens of sessions."""

_FOR_THE_CLIENT: Final = frozenset({301, 302, 303, 307, 308, 400})
"""How a bucket in another region answers: botocore finds out which."""

_MAX_ERROR_BYTES: Final = 64 << 10


class ObjectAnswer(NamedTuple):
    """`headers` in lower case; the body of a GET is the HTTP library's response, that of a HEAD None."""

    status: int
    headers: Mapping[str, str]
    response: Any


class ObjectReads:
    """Makes requests like the one that it was shown, see `like`."""

    def __init__(
        self,
        url: str,
        scope: tuple[str, str] | None,
        user_agent: str,
        credentials: Any,
        http: Any,
        errors: Any,
    ) -> None:
        self._url = url  # without the key
        self._scope = scope  # region and service; None: nothing is signed
        self._user_agent = user_agent
        self._credentials = credentials
        self._http = http
        self._errors = errors  # shape of the answer, for the parser

    @classmethod
    def like(
        cls, request: AWSPreparedRequest, key: str, credentials: Any, http: Any, errors: Any
    ) -> ObjectReads | None:
        """`request`, for `key`, was answered. None where not all of it can be made again."""
        name = _quoted(key)
        signature = _text(request.headers.get("Authorization", ""))
        scope = _SCOPE.match(signature)
        if not request.url.endswith("/" + name) or (signature and (scope is None or credentials is None)):
            return None
        url = request.url.removesuffix(name)
        signed_for = (scope[1], scope[2]) if scope else None
        return cls(url, signed_for, _text(request.headers.get("User-Agent", "")), credentials, http, errors)

    async def send(self, method: str, key: str, headers: Mapping[str, str]) -> ObjectAnswer | None:
        """None: the client is to ask. Raises ClientError, and what the HTTP session raises."""
        sent = {**headers, "User-Agent": self._user_agent}
        request = AWSRequest(method, self._url + _quoted(key), headers=sent, stream_output=method == "GET")
        if self._scope is not None:
            region, service = self._scope
            S3SigV4Auth(await self._credentials.get_frozen_credentials(), service, region).add_auth(request)
        answer = await self._http.send(request.prepare())
        if answer.status_code < 300:
            return ObjectAnswer(answer.status_code, answer.headers, answer.raw if method == "GET" else None)
        try:
            body = await _read(answer.raw, _MAX_ERROR_BYTES) if method == "GET" else b""
        finally:
            answer.raw.close()
        if answer.status_code in _FOR_THE_CLIENT:
            return None
        told = {"status_code": answer.status_code, "headers": answer.headers, "body": body}
        raise ClientError(RestXMLParser().parse(told, self._errors), f"{method} object")


def _quoted(key: str) -> str:
    """As botocore spells a key in a URL."""
    return quote(key, safe="/-._~")


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()


async def _read(response: Any, max_bytes: int) -> bytes:
    body = bytearray()
    while len(body) < max_bytes and (piece := await response.content.read(max_bytes - len(body))):
        body += piece
    return bytes(body)

"""Requests as no SDK sends them, signed or not: any method, target, headers and body."""

from __future__ import annotations

import http.client
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.support.cluster import Cluster, User
from tests.support.real_cluster import RealCluster

__all__ = ["Reply", "SignedHttp"]

_PATIENCE_S = 30.0
_NAMESPACE = re.compile(r' xmlns="[^"]*"')


@dataclass
class Reply:
    """`headers` by lower-case name."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def xml(self) -> ElementTree.Element:
        """The document, without its namespace."""
        return ElementTree.fromstring(_NAMESPACE.sub("", self.body.decode(), count=1))

    @property
    def code(self) -> str:
        """The error's code, "" for none."""
        return (self.xml.findtext("Code") or "") if self.status >= 300 and self.body else ""

    def text(self, path: str) -> str | None:
        """Text of the first element at `path`, None where there is none."""
        return self.xml.findtext(path)

    def texts(self, path: str) -> list[str]:
        """Texts of all elements at `path`."""
        return [found.text or "" for found in self.xml.findall(path)]


class SignedHttp:
    """Sends to one cluster, one connection a request, and to its proxies in turn; signs as `user`, or leaves unsigned
    what `user` is None for. All say the `Host` of the first, which a caller may have signed.
    """

    def __init__(self, cluster: Cluster | RealCluster, user: User | None) -> None:
        self.user = user
        self._authority = urlsplit(cluster.endpoint).netloc
        self._turn = itertools.cycle(urlsplit(endpoint).netloc for endpoint in cluster.endpoints)

    def __call__(
        self,
        method: str,
        path: str,
        query: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        signed: bool = True,
    ) -> Reply:
        """`path` is not encoded yet, `query` is. Headers are sent, and signed, as they are."""
        target = quote(path, safe="/-_.~") + (f"?{query}" if query else "")
        sent = dict(headers or {})
        if signed and self.user is not None:
            sent = self._signed(method, target, sent, body)
        connection = http.client.HTTPConnection(next(self._turn), timeout=_PATIENCE_S)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            if "host" not in {name.lower() for name in sent}:
                connection.putheader("Host", self._authority)
            for name, value in sent.items():
                connection.putheader(name, value)
            if body or (method in ("PUT", "POST") and "Content-Length" not in sent):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return Reply(response.status, {n.lower(): v for n, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def _signed(self, method: str, target: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
        assert self.user is not None
        request: Any = AWSRequest(method, f"http://{self._authority}{target}", data=body, headers=headers)
        signer = _Signer(Credentials(self.user.access_key, self.user.secret_key), "s3", "us-east-1")
        signer.told = headers.get("x-amz-content-sha256", "")
        signer.add_auth(request)
        return dict(request.headers.items())


class _Signer(S3SigV4Auth):
    """Signs for the hash of the body that the request tells of, right or wrong."""

    told = ""

    def payload(self, request: Any) -> str:
        told: str = self.told or super().payload(request)
        return told

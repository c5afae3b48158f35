"""Requests to Azure Blob Storage that obstore cannot make: signed, repeated, and their refusals told apart.

The credentials that a mount gives are used as they are. Those that obstore finds by itself (with a client's secret, in
the environment, from the machine) it does not show, but it signs URLs with them.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import formatdate
from enum import Enum, auto
from time import monotonic
from typing import Any, Final
from urllib.parse import quote, urlencode

import aiohttp
import obstore
from yarl import URL

from zerohop.errors import InvalidRequest, OriginRefused, UnderStoreFailed, ZerohopError
from zerohop_worker.origins.azure_signing import shared_key
from zerohop_worker.origins.backoff import backoff_s
from zerohop_worker.origins.options import AzureSettings

__all__ = [
    "AzureBlob",
    "AzureRefusal",
    "AzureRequests",
    "CannotSign",
    "Credential",
    "credential_of",
    "new_block_id",
]

_VERSION: Final = "2023-11-03"
_CODE: Final = re.compile(r"<Code>([A-Za-z]+)</Code>")
_LEAST_BYTES_A_S: Final = 32 << 10
"""A body that is sent more slowly ends: its connection may be one that nobody reads from any more."""

_SIGNED_FOR: Final = timedelta(hours=1)
_SIGNED_ANEW_S: Final = 1800.0
_MOST_TOLD_BYTES: Final = 64 << 10
_NOT_DONE: Final = (429, 503)
"""The store says that it is too busy to have carried the request out."""


class Credential(Enum):
    """What a mount's options give."""

    NONE = auto()  # anonymous
    TOKEN = auto()
    KEY = auto()
    SAS = auto()
    OTHER = auto()  # obstore knows what


def credential_of(settings: AzureSettings) -> Credential:
    """In the order in which obstore looks for them."""
    if settings.anonymous:
        return Credential.NONE
    if settings.token:
        return Credential.TOKEN
    if settings.account_key:
        return Credential.KEY if settings.account else Credential.OTHER
    if settings.client_secret or not settings.sas:
        return Credential.OTHER
    return Credential.SAS


def new_block_id() -> str:
    """Of one length, also with those that the library has left behind: the store takes no others for the object."""
    return base64.b64encode(os.urandom(16).hex().encode()).decode()


class CannotSign(Exception):
    """obstore's credentials sign no URL with which the object can be written."""


class AzureRefusal(Exception):
    """An answer that repeating does not change."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"the origin answers {code} ({status})" if code else f"the origin answers {status}")
        self.status = status
        self.code = code

    def error(self, what: str) -> ZerohopError:
        """`what` was tried, as in "write a/b"."""
        told = f"cannot {what}: {self}"
        if self.status in (408, 409, 429) or self.status >= 500:
            return UnderStoreFailed(told)
        return InvalidRequest(told) if self.status == 400 else OriginRefused(told)


@dataclass
class AzureBlob:
    """One object, for those who write it. `signature`: what obstore adds to its URL, if that is what is used."""

    full_key: str
    url: str
    signature: str = ""
    signed_s: float = 0.0


class AzureRequests:
    """Of one mount. Connects when it is needed; close it."""

    def __init__(self, settings: AzureSettings, store: Any) -> None:
        self._settings = settings
        self._store = store
        self._credential = credential_of(settings)
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def blob(self, full_key: str, *, has_tags: bool) -> AzureBlob:
        """An object that can be written. Raises CannotSign where only obstore could."""
        settings = self._settings
        if not (settings.account or settings.endpoint):
            raise CannotSign
        # obstore signs the right to write alone; and for the encoded name, which the store takes for another one.
        if self._credential is Credential.OTHER and (has_tags or quote(full_key) != full_key):
            raise CannotSign
        base = settings.endpoint or f"https://{settings.account}.blob.core.windows.net"
        blob = AzureBlob(full_key, f"{base.rstrip('/')}/{settings.bucket}/{quote(full_key)}")
        await self._sign(blob)
        if self._credential is Credential.OTHER:
            await self._try(blob)
        return blob

    async def _try(self, blob: AzureBlob) -> None:
        """Whether the store takes the signature: it does not where the clock here is ahead of its own, since obstore's
        begin now, nor where an account forbids them. Sends a block that nobody will list.
        """
        try:
            await self.put(blob, {"comp": "block", "blockid": new_block_id()}, {}, b"?", repeat_lost=True)
        except AzureRefusal as refusal:
            if refusal.status in (401, 403):
                raise CannotSign from None
            raise refusal.error(f"write {blob.full_key}") from None

    async def _sign(self, blob: AzureBlob) -> None:
        if self._credential is Credential.SAS:
            blob.signature = self._settings.sas.removeprefix("?")
        if self._credential is not Credential.OTHER:
            return
        if blob.signature and monotonic() - blob.signed_s < _SIGNED_ANEW_S:
            return
        try:
            url = await obstore.sign_async(self._store, "PUT", blob.full_key, _SIGNED_FOR)
        except (obstore.exceptions.BaseError, ValueError, OSError):
            raise CannotSign from None
        blob.signature, blob.signed_s = url.partition("?")[2], monotonic()

    async def put(
        self,
        blob: AzureBlob,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
        *,
        repeat_lost: bool,
    ) -> Mapping[str, str]:
        """One request, its repetitions included: what was not carried out is repeated, with `repeat_lost` also what
        may have been. The headers of the answer. Raises AzureRefusal, UnderStoreFailed.
        """
        failures = 0
        while True:
            failures += 1
            is_last = failures >= self._settings.max_attempts
            try:
                await self._sign(blob)
                return await self._put_once(blob, query, headers, body)
            except AzureRefusal as refusal:
                may_repeat = refusal.status in _NOT_DONE or (repeat_lost and refusal.status >= 500)
                if is_last or not may_repeat:
                    raise
            except (aiohttp.ClientError, OSError, TimeoutError, CannotSign) as error:
                if is_last or not (repeat_lost or isinstance(error, aiohttp.ClientConnectorError)):
                    # Not its text, which may hold the signature.
                    told = f"cannot write {blob.full_key} at the origin: {type(error).__name__}"
                    raise UnderStoreFailed(told) from None
            await asyncio.sleep(backoff_s(failures))

    async def _put_once(
        self, blob: AzureBlob, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> Mapping[str, str]:
        settings = self._settings
        sent = {
            **headers,
            "content-length": str(len(body)),
            "x-ms-date": formatdate(usegmt=True),
            "x-ms-version": _VERSION,
        }
        if self._credential is Credential.TOKEN:
            sent["authorization"] = f"Bearer {settings.token}"
        elif self._credential is Credential.KEY:
            sent["authorization"] = shared_key(
                settings.account, settings.account_key, "PUT", blob.url, query, sent
            )
        asked = urlencode(query) + (f"&{blob.signature}" if blob.signature else "")
        timeout = aiohttp.ClientTimeout(
            total=settings.connect_timeout + settings.read_timeout + len(body) / _LEAST_BYTES_A_S,
            sock_connect=settings.connect_timeout,
            sock_read=settings.read_timeout,
        )
        async with self._connected().put(
            URL(f"{blob.url}?{asked}", encoded=True),
            data=body,
            headers=sent,
            timeout=timeout,
            skip_auto_headers=("content-type",),
            allow_redirects=False,
        ) as answer:
            if answer.status == 201:
                return answer.headers
            told = (await answer.content.read(_MOST_TOLD_BYTES)).decode(errors="replace")
            found = _CODE.search(told)
            raise AzureRefusal(
                answer.status, answer.headers.get("x-ms-error-code") or (found[1] if found else "")
            )

    def _connected(self) -> aiohttp.ClientSession:
        if self._closed:
            raise UnderStoreFailed("the container was closed, since its mount was changed or removed")
        if self._session is None:
            settings = self._settings
            verified: ssl.SSLContext | bool = settings.verify_tls
            if settings.verify_tls and settings.ca_file:
                verified = ssl.create_default_context(cafile=settings.ca_file)
            connector = aiohttp.TCPConnector(limit=settings.max_connections, ssl=verified)
            self._session = aiohttp.ClientSession(
                connector=connector, headers={"user-agent": "zerohop"}, trust_env=True
            )
            # aiohttp would repeat a PUT whose connection was lost, also one that may not be.
            self._session._retry_connection = False
        return self._session

    async def close(self) -> None:
        """Closes the connections, for good."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

"""Who is asking: signatures checked against the cluster's users, and the rules for unsigned requests.

Concurrency: the cache is changed only between awaits; two requests that miss it at once both ask the master, and
the later answer wins, which is as good as the earlier one.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from zerohop.client.cluster import ClusterClient
from zerohop.clock import Clock
from zerohop.errors import UserNotFound
from zerohop.model import ANONYMOUS, Caller, Credential
from zerohop.rpc.master_api import GetCredential
from zerohop_proxy.anonymous_access import AnonymousAccess, refusal
from zerohop_proxy.authorization import Anonymous, SignedRequest, parse_authorization, verify
from zerohop_proxy.payload import VerifiedPayload
from zerohop_proxy.raw_request import RawRequest
from zerohop_proxy.s3_errors import S3Error
from zerohop_proxy.signature_v4 import SignedV4
from zerohop_proxy.verified_urls import Known, UrlKey, VerifiedUrl, VerifiedUrls, url_key

__all__ = ["Authenticator", "Identity"]

_MAX_KNOWN_KEYS: Final = 4096
"""Access keys kept; an installation has far fewer users that are active at one time."""


_MAY_BE_OUTDATED: Final = ("SignatureDoesNotMatch", "ExpiredToken")
"""What a credential that is fetched anew may judge otherwise: its secret was replaced, or its life prolonged."""


@dataclass(slots=True)
class Identity:
    """The caller of one request, and what vouches for its body. `claim` is None for an unsigned request.

    `received_s` is the wall clock at which the request was first judged: a body may take hours after that.
    """

    caller: Caller
    payload: VerifiedPayload
    claim: SignedRequest | None = None
    received_s: float = 0.0


class Authenticator:
    """Verifies requests. Credentials are cached with the generation of the users that they are from."""

    def __init__(
        self,
        cluster: ClusterClient,
        clock: Clock,
        *,
        anonymous: AnonymousAccess,
        prefix: str,
        region: str | None = None,
    ) -> None:
        """`region`, where given, is the only one that a SigV4 signature may be made for."""
        self._region = region
        self._cluster = cluster
        self._clock = clock
        self._anonymous = anonymous
        self._prefix = prefix
        # Least recently used first. Every entry is of the generation that its caller names.
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._urls = VerifiedUrls()

    async def identify(self, raw: RawRequest, *, virtual_bucket: str = "") -> Identity:
        """Who sent the request; `virtual_bucket` is the bucket that its Host names, if it does.

        Raises S3Error: AccessDenied, InvalidAccessKeyId, ExpiredToken, SignatureDoesNotMatch and the other faults of
        signing.
        """
        found = self.recognise(raw, virtual_bucket=virtual_bucket)
        return found if isinstance(found, Identity) else await self.look_up(found)

    def recognise(self, raw: RawRequest, *, virtual_bucket: str = "") -> Identity | SignedRequest:
        """As `identify`, without waiting: gives the claim where the master has to be asked (`look_up`)."""
        key = url_key(raw, virtual_bucket)
        if key is not None:
            identity = self._of_url(key)
            if identity is not None:
                return identity
        claim = parse_authorization(
            raw, prefix=self._prefix, region=self._region, virtual_bucket=virtual_bucket
        )
        if isinstance(claim, Anonymous):
            reason = refusal(self._anonymous, raw.headers)
            if reason:
                raise S3Error("AccessDenied", reason)
            return Identity(ANONYMOUS, claim.payload)
        known = self._known.get(claim.access_key)
        if known is None or known.caller.generation < self._cluster.view.users_generation:
            return claim
        self._known.move_to_end(claim.access_key)
        now = self._clock.now_s()
        try:
            payload = _judge(claim, known.credential, now)
        except S3Error as error:
            if error.code not in _MAY_BE_OUTDATED:
                raise
            return claim
        if key is not None and isinstance(claim, SignedV4):
            self._urls.add(key, claim, known, payload)
        return Identity(known.caller, payload, claim, now)

    async def look_up(self, claim: SignedRequest) -> Identity:
        """Who sent a request whose credential is not known, or may be outdated. Raises as `identify`."""
        now = self._clock.now_s()
        known = await self._fetch(claim.access_key)
        return Identity(known.caller, _judge(claim, known.credential, now), claim, now)

    def _of_url(self, key: UrlKey) -> Identity | None:
        """Who sent a URL that was verified before; None when it has to be judged anew. Raises S3Error: AccessDenied."""
        url = self._urls.find(key)
        if url is None:
            return None
        now = self._clock.now_s()
        caller = self._caller_of(url, now)
        return None if caller is None else Identity(caller, url.payload, url.claim, now)

    def url_of(self, raw: RawRequest, virtual_bucket: str) -> VerifiedUrl | None:
        """The URL by which the request was verified just now; None for one that was accepted otherwise."""
        key = url_key(raw, virtual_bucket)
        return None if key is None else self._urls.find(key)

    def caller_of(self, url: VerifiedUrl) -> Caller | None:
        """Who comes with a URL that was verified before; None when it has to be judged anew."""
        try:
            return self._caller_of(url, self._clock.now_s())
        except S3Error:
            return None

    def _caller_of(self, url: VerifiedUrl, now: float) -> Caller | None:
        """Raises S3Error: AccessDenied for one that is over."""
        known = self._known.get(url.claim.access_key)
        if known is not url.known or known.caller.generation < self._cluster.view.users_generation:
            return None  # the secret may be another one, or the user gone
        url.claim.check_time(now)
        if _is_over(known.credential, now):
            return None
        self._known.move_to_end(url.claim.access_key)
        return known.caller

    async def renew(self, identity: Identity) -> Caller:
        """The caller after the master said StaleUsers: fetched and verified anew, as of when the request came."""
        if identity.claim is None:
            return identity.caller
        known = await self._fetch(identity.claim.access_key)
        _judge(identity.claim, known.credential, identity.received_s)
        return known.caller

    async def _fetch(self, access_key: str) -> Known:
        self._known.pop(access_key, None)
        try:
            result = await self._cluster.call(GetCredential(access_key=access_key))
        except UserNotFound:
            raise S3Error("InvalidAccessKeyId", AWSAccessKeyId=access_key) from None
        for credential in result.user.credentials:
            if credential.access_key == access_key and credential.enabled:
                break
        else:  # a disabled key answers as one that never was, as at AWS
            raise S3Error("InvalidAccessKeyId", AWSAccessKeyId=access_key)
        known = Known(credential, Caller(result.user.canonical_id, result.generation))
        self._known[access_key] = known
        while len(self._known) > _MAX_KNOWN_KEYS:
            self._known.popitem(last=False)
        return known


def _judge(claim: SignedRequest, credential: Credential, now: float) -> VerifiedPayload:
    """Signature first: only who holds the secret learns that the key has expired."""
    payload = verify(claim, credential.secret_key, now)
    if _is_over(credential, now):
        raise S3Error("ExpiredToken")
    return payload


def _is_over(credential: Credential, now: float) -> bool:
    return 0 < credential.expires_ms <= now * 1000

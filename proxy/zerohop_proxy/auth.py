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
from zerohop.model import ANONYMOUS, Caller
from zerohop.rpc.master_api import GetCredential
from zerohop_proxy.anonymous_access import AnonymousAccess, refusal
from zerohop_proxy.authorization import Anonymous, SignedRequest, parse_authorization, verify
from zerohop_proxy.payload import VerifiedPayload
from zerohop_proxy.raw_request import RawRequest
from zerohop_proxy.s3_errors import S3Error

__all__ = ["Authenticator", "Identity"]

_MAX_KNOWN_KEYS: Final = 4096
"""Access keys kept; an installation has far fewer users that are active at one time."""


@dataclass(slots=True)
class _Known:
    secret_key: str
    caller: Caller


@dataclass(slots=True)
class Identity:
    """The caller of one request, and what vouches for its body. `claim` is None for an unsigned request."""

    caller: Caller
    payload: VerifiedPayload
    claim: SignedRequest | None = None


class Authenticator:
    """Verifies requests. Credentials are cached with the generation of the users that they are from."""

    def __init__(
        self, cluster: ClusterClient, clock: Clock, *, anonymous: AnonymousAccess, prefix: str
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._anonymous = anonymous
        self._prefix = prefix
        # Least recently used first. Every entry is of the generation that its caller names.
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def identify(self, raw: RawRequest) -> Identity:
        """Raises S3Error: AccessDenied, InvalidAccessKeyId, SignatureDoesNotMatch and the other faults of signing."""
        claim = parse_authorization(raw, prefix=self._prefix)
        if isinstance(claim, Anonymous):
            reason = refusal(self._anonymous, raw.headers)
            if reason:
                raise S3Error("AccessDenied", reason)
            return Identity(ANONYMOUS, claim.payload)
        known = self._known.get(claim.access_key)
        if known is None or known.caller.generation != self._cluster.view.users_generation:
            known = await self._fetch(claim.access_key)
        else:
            self._known.move_to_end(claim.access_key)
        return Identity(known.caller, verify(claim, known.secret_key, self._clock.now_s()), claim)

    async def renew(self, identity: Identity) -> Caller:
        """The caller after the master said StaleUsers: fetched and verified anew."""
        if identity.claim is None:
            return identity.caller
        known = await self._fetch(identity.claim.access_key)
        verify(identity.claim, known.secret_key, self._clock.now_s())
        return known.caller

    async def _fetch(self, access_key: str) -> _Known:
        self._known.pop(access_key, None)
        try:
            result = await self._cluster.call(GetCredential(access_key=access_key))
        except UserNotFound:
            raise S3Error("InvalidAccessKeyId", AWSAccessKeyId=access_key) from None
        for credential in result.user.credentials:
            if credential.access_key == access_key and credential.enabled:
                break
        else:
            raise S3Error("InvalidAccessKeyId", AWSAccessKeyId=access_key)
        known = _Known(credential.secret_key, Caller(result.user.canonical_id, result.generation))
        self._known[access_key] = known
        while len(self._known) > _MAX_KNOWN_KEYS:
            self._known.popitem(last=False)
        return known

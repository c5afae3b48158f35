"""One S3 request in the making: what every handler gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Final, TypeVar

from zerohop.client.cluster import ClusterClient
from zerohop.clock import Clock
from zerohop.errors import StaleUsers
from zerohop.model import Caller, ReadPolicy, WritePolicy
from zerohop.rpc.message import Request
from zerohop.rpc.mutation import new_mutation_id
from zerohop_proxy.auth import Authenticator, Identity
from zerohop_proxy.described_objects import DescribedObjects
from zerohop_proxy.owners import Owners
from zerohop_proxy.raw_request import RawRequest
from zerohop_proxy.responder import Responder
from zerohop_proxy.routing import Route
from zerohop_proxy.s3_errors import S3Error

__all__ = ["S3Request", "Services"]

R = TypeVar("R")

_RENEWALS: Final = 4
_WRITE_POLICY: Final = "x-zerohop-write-policy"
_READ_POLICY: Final = "x-zerohop-cache"


@dataclass(frozen=True, slots=True)
class Services:
    """What the handlers of one proxy share."""

    cluster: ClusterClient
    clock: Clock
    authenticator: Authenticator
    owners: Owners
    region: str
    write_policy: WritePolicy
    hashing: Executor
    """Threads that compute digests of bodies (they release the interpreter lock)."""
    disk: Executor
    """Threads that read blocks which may not be in memory."""
    described: DescribedObjects = field(default_factory=DescribedObjects)


class S3Request:
    """A routed and authenticated request, with the way back to its client."""

    __slots__ = ("_identity", "out", "raw", "route", "services")

    def __init__(
        self, raw: RawRequest, route: Route, identity: Identity, out: Responder, services: Services
    ) -> None:
        self.raw = raw
        self.route = route
        self.out = out
        self.services = services
        self._identity = identity

    @property
    def bucket(self) -> str:
        return self.route.bucket

    @property
    def key(self) -> str:
        return self.route.key

    @property
    def query(self) -> Mapping[str, str]:
        return self.route.query

    @property
    def headers(self) -> Mapping[str, str]:
        """By lower-case name."""
        return self.raw.headers

    @property
    def cluster(self) -> ClusterClient:
        return self.services.cluster

    @property
    def caller(self) -> Caller:
        return self._identity.caller

    @property
    def identity(self) -> Identity:
        return self._identity

    @property
    def is_signed(self) -> bool:
        return self._identity.claim is not None

    async def call(self, build: Callable[[Caller], Request[R]], *, timeout_s: float = 10.0) -> R:
        """Ask the master on the caller's behalf. Where the users have changed since, the caller is verified
        anew and the message sent again, a few times at most: users change seldom.
        """
        renewals = 0
        while True:
            try:
                return await self.services.cluster.call(build(self._identity.caller), timeout_s=timeout_s)
            except StaleUsers:
                if renewals == _RENEWALS:
                    raise
            renewals += 1
            self._identity.caller = await self.services.authenticator.renew(self._identity)

    def new_mutation(self) -> bytes:
        """The id of one intent; the same for all its repetitions."""
        return new_mutation_id(int(self.services.clock.now_s() * 1000))

    def write_policy(self) -> WritePolicy:
        """The one that the request asks for, else the configured one. Raises S3Error InvalidArgument."""
        asked = self.write_policy_asked()
        return WritePolicy(asked) if asked else self.services.write_policy

    def write_policy_asked(self) -> str:
        """The write policy that the request asks for, "" for none. Raises S3Error InvalidArgument."""
        asked = self.headers.get(_WRITE_POLICY, "")
        if asked and asked not in set(WritePolicy):
            raise S3Error(
                "InvalidArgument",
                f"A write policy is one of {', '.join(WritePolicy)}",
                ArgumentName=_WRITE_POLICY,
                ArgumentValue=asked,
            )
        return asked

    def read_policy(self) -> ReadPolicy:
        """What this read leaves in the cache. Raises S3Error InvalidArgument."""
        asked = self.headers.get(_READ_POLICY)
        if asked is None:
            return ReadPolicy.CACHE
        if asked not in set(ReadPolicy):
            raise S3Error(
                "InvalidArgument",
                f"A read policy is one of {', '.join(ReadPolicy)}",
                ArgumentName=_READ_POLICY,
                ArgumentValue=asked,
            )
        return ReadPolicy(asked)

"""Which requests a proxy takes in, so that it says 503 early instead of dying late, and serves everybody meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

from zerohop_proxy.fair_share import FairShare

__all__ = ["Admission", "Ticket"]


@dataclass(frozen=True, slots=True)
class Admission:
    """The resources of one process that requests share, by client: a user once it is verified, an address before."""

    requests: FairShare
    buffers: FairShare
    """In bytes."""

    def enter(self, address: str) -> Ticket | None:
        """A place for a request from `address`; None when there is none."""
        return Ticket(self, address) if self.requests.take(address) else None


class Ticket:
    """What one request holds, until `leave`."""

    __slots__ = ("_admission", "_buffered_bytes", "_client")

    def __init__(self, admission: Admission, client: str) -> None:
        self._admission = admission
        self._client = client
        self._buffered_bytes = 0

    def pass_to(self, user: str) -> bool:
        """The client turned out to be `user`: its place counts as the user's. False: the user has no place left.

        Called before anything is buffered. An access key that is only claimed must not be charged: anybody could
        use up somebody else's share.
        """
        self._admission.requests.give(self._client)
        self._client = user
        if self._admission.requests.take(user):
            return True
        self._client = ""
        return False

    def buffer(self, size_bytes: int) -> bool:
        """Whether so many bytes more may be held in memory for this request."""
        if not self._admission.buffers.take(self._client, size_bytes):
            return False
        self._buffered_bytes += size_bytes
        return True

    def leave(self) -> None:
        """Gives everything back."""
        if self._buffered_bytes:
            self._admission.buffers.give(self._client, self._buffered_bytes)
            self._buffered_bytes = 0
        if self._client:
            self._admission.requests.give(self._client)
            self._client = ""

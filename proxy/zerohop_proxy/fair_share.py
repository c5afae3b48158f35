"""Dividing a bounded resource among clients so that none of them can starve the others.

Pure: no I/O, no clock. One instance for each resource: connections, requests in flight, bytes buffered.
"""

from __future__ import annotations

__all__ = ["FairShare"]


class FairShare:
    """Who holds how much of `limit`.

    A client at or below its equal share gets what it asks for as long as there is any. One above it gets more only
    up to `max_share` of the whole for all together. So a greedy client leaves room for newcomers when it is alone, and
    as others come and its own holdings end, the holdings tend to equal shares; nothing is ever taken back.
    """

    def __init__(self, limit: int, max_share: float) -> None:
        self._limit = limit
        self._open_limit = max(1, int(limit * max_share))
        self._total = 0
        # Only who holds something: bounded by the limit. Sum of the values is `_total`.
        self._held: dict[str, int] = {}

    @property
    def total(self) -> int:
        """What all hold together."""
        return self._total

    @property
    def is_plenty(self) -> bool:
        """Whether any client may hold one more now."""
        return self._total < self._open_limit

    def take(self, client: str, amount: int = 1) -> bool:
        """Whether `client` may hold `amount` more; if so, it does."""
        held = self._held.get(client, 0)
        total = self._total + amount
        if total > self._open_limit:  # as long as there is plenty, nobody's share needs to be computed
            if total > self._limit:
                return False
            # The equal share of one that is alone is half: another may come.
            if held + amount > self._limit // max(2, len(self._held) + (held == 0)):
                return False
        self._total = total
        self._held[client] = held + amount
        return True

    def give(self, client: str, amount: int = 1) -> None:
        """`client` holds `amount` less. It must have taken as much."""
        held = self._held[client] - amount
        assert held >= 0, "gives more than it took"
        self._total -= amount
        if held:
            self._held[client] = held
        else:
            del self._held[client]

    def check_invariants(self) -> None:
        """For tests."""
        assert self._total == sum(self._held.values()) <= self._limit
        assert all(amount > 0 for amount in self._held.values())

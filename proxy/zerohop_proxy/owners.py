"""Display names of users for the Owner elements of answers."""

from __future__ import annotations

from typing import Final

from zerohop.client.cluster import ClusterClient
from zerohop.model import ADMIN, ANONYMOUS
from zerohop.rpc.master_api import GetUsersById
from zerohop_proxy.xml_out import Owner

__all__ = ["Owners"]

_MAX_NAMES: Final = 4096  # then the cache starts anew


class Owners:
    """Canonical id to Owner, cached for one generation of the users."""

    def __init__(self, cluster: ClusterClient) -> None:
        self._cluster = cluster
        self._generation = -1
        self._owners: dict[str, Owner] = {}

    async def of(self, canonical_id: str) -> Owner:
        """An id that no user has (a removed one) is an owner without a display name."""
        if canonical_id in (ANONYMOUS.user, ADMIN.user):
            return Owner(canonical_id, canonical_id)
        generation = self._cluster.view.users_generation
        if generation != self._generation or len(self._owners) >= _MAX_NAMES:
            self._owners.clear()
            self._generation = generation
        owner = self._owners.get(canonical_id)
        if owner is None:
            page = await self._cluster.call(GetUsersById(canonical_ids=(canonical_id,)))
            owner = Owner(
                canonical_id, page.users[0].display_name or page.users[0].name if page.users else ""
            )
            self._owners[canonical_id] = owner
        return owner

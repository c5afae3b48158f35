"""Names of owners as people know them."""

from __future__ import annotations

from zerohop.client.objects import ObjectClient
from zerohop.rpc.master_api import GetUsersById

__all__ = ["OwnerNames"]


class OwnerNames:
    """Display names by canonical id, each asked for once."""

    def __init__(self, objects: ObjectClient) -> None:
        self._objects = objects
        self._known: dict[str, str] = {}

    async def name(self, canonical_id: str) -> str:
        """The display name; the canonical id where there is no such user (such as `anonymous`)."""
        if canonical_id not in self._known:
            page = await self._objects.client.call(GetUsersById(canonical_ids=(canonical_id,)))
            names = {user.canonical_id: user.display_name or user.name for user in page.users}
            self._known[canonical_id] = names.get(canonical_id, canonical_id)
        return self._known[canonical_id]

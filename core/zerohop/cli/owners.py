"""Names of owners as people know them."""

from __future__ import annotations

from zerohop.client.objects import ObjectClient
from zerohop.errors import UserNotFound
from zerohop.model import ADMIN, ANONYMOUS
from zerohop.rpc.master_api import GetUsersById, ListUsers

__all__ = ["OwnerNames", "owner_of_new"]


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


async def owner_of_new(objects: ObjectClient, user_name: str = "") -> str:
    """The canonical id that owns a new bucket: of the named user; else of the one user there is, or `anonymous` while
    there is none, so that whoever uses S3 here finds it; among several users, `admin`. Raises UserNotFound.
    """
    users = (await objects.client.call(ListUsers(caller=ADMIN))).users
    if user_name:
        for user in users:
            if user.name == user_name:
                return user.canonical_id
        raise UserNotFound(f"there is no user {user_name!r}: `zerohop user list` shows who is")
    if not users:
        return ANONYMOUS.user
    return users[0].canonical_id if len(users) == 1 else ADMIN.user

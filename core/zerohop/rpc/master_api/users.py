"""Users and their access keys."""

from __future__ import annotations

from zerohop.model import Caller, Credential, Record, UserRecord
from zerohop.rpc.master_api.empty import Empty
from zerohop.rpc.message import Request

__all__ = [
    "AddKey",
    "AddUser",
    "ChangeKey",
    "GetCredential",
    "GetUsersById",
    "ListUsers",
    "RemoveKey",
    "RemoveUser",
    "UserPage",
    "UserResult",
]


class UserResult(Record, frozen=True):
    user: UserRecord
    generation: int


class UserPage(Record, frozen=True):
    users: tuple[UserRecord, ...]
    generation: int


class AddUser(Request[UserResult], tag="add_user", kw_only=True):
    """Raises UserAlreadyExists (name, access key or canonical id taken)."""

    caller: Caller
    user: UserRecord
    mutation: bytes


class RemoveUser(Request[Empty], tag="remove_user", kw_only=True):
    """Raises UserNotFound. Buckets of the user stay, owned by a canonical id that nobody can sign for."""

    caller: Caller
    name: str
    mutation: bytes


class AddKey(Request[UserResult], tag="add_key", kw_only=True):
    """One more access key for a user. Raises UserNotFound, UserAlreadyExists (access key taken), InvalidRequest."""

    caller: Caller
    name: str
    credential: Credential
    mutation: bytes


class ChangeKey(Request[UserResult], tag="change_key", kw_only=True):
    """Enable or disable an access key, or say when it expires (0: never); None leaves as it is. Raises UserNotFound."""

    caller: Caller
    access_key: str
    enabled: bool | None = None
    expires_ms: int | None = None
    mutation: bytes


class RemoveKey(Request[UserResult], tag="remove_key", kw_only=True):
    """Raises UserNotFound. The user stays, also without any key."""

    caller: Caller
    access_key: str
    mutation: bytes


class ListUsers(Request[UserPage], tag="list_users", kw_only=True):
    """All users by name, with their secret keys blanked."""

    caller: Caller


class GetCredential(Request[UserResult], tag="get_credential", kw_only=True):
    """The user whose access key this is, with that one credential. For proxies only. Raises UserNotFound."""

    access_key: str


class GetUsersById(Request[UserPage], tag="get_users_by_id", kw_only=True):
    """The users of these canonical ids, for display names; unknown ids are left out. No credentials."""

    canonical_ids: tuple[str, ...]

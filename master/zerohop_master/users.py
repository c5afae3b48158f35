"""Users and their credentials.

A user is one row by name, with index rows by canonical id and by access key, written in one commit on condition that
none of them is there. Every change also writes the generation row, whose version is the generation of the users.
"""

from __future__ import annotations

from typing import Final

import msgspec

from zerohop.errors import AccessDenied, InvalidRequest, UserAlreadyExists, UserNotFound
from zerohop.model import ADMIN, ANONYMOUS, Caller, Credential, Record, UserRecord
from zerohop.rpc.master_api import (
    AddUser,
    Empty,
    GetCredential,
    GetUsersById,
    ListUsers,
    RemoveUser,
    UserPage,
    UserResult,
)
from zerohop_master import keys
from zerohop_master.namespace import Namespace
from zerohop_master.rows import USER, Family
from zerohop_master.secret_box import SecretBox
from zerohop_master.transaction import Transaction

__all__ = ["Users"]

_MAX_USERS: Final = 10_000
"""A listing answers all users at once, in one message."""


class _Generation(Record, frozen=True):
    user_count: int = 0


_GENERATION: Final = Family(_Generation)


class Users:
    """Answers the calls about users."""

    def __init__(self, namespace: Namespace, box: SecretBox) -> None:
        self._namespace = namespace
        self._box = box

    async def generation(self) -> tuple[int, int]:
        """The generation of the users (0 before there ever was one), and how many there are."""
        (row,) = await self._namespace.store.get([keys.USERS_GENERATION])
        return (0, 0) if row is None else (row.version, _GENERATION.decode(row.value).user_count)

    async def add(self, request: AddUser) -> UserResult:
        """See `AddUser`."""
        _check_admin(request.caller)
        user = _checked(request.user)

        async def body(transaction: Transaction) -> UserResult:
            rows = await transaction.get(*_index_keys(user))
            if any(row is not None for row in rows):
                raise UserAlreadyExists(f"name, access key or canonical id of {user.name!r} is taken")
            sealed = tuple(
                msgspec.structs.replace(c, secret_key=self._box.seal(c.secret_key, c.access_key))
                for c in user.credentials
            )
            stored = msgspec.structs.replace(user, credentials=sealed, created_ms=self._namespace.now_ms())
            transaction.put(keys.user_by_name(user.name), USER.encode(stored))
            for index_key in _index_keys(user)[1:]:
                transaction.put(index_key, b"\x01" + user.name.encode())
            await _change_generation(transaction, +1)
            return UserResult(user=_blanked(stored), generation=0)

        result = await self._namespace.mutate(request, request.mutation, body, "users")
        return msgspec.structs.replace(result, generation=(await self.generation())[0])

    async def remove(self, request: RemoveUser) -> Empty:
        """See `RemoveUser`."""
        _check_admin(request.caller)

        async def body(transaction: Transaction) -> Empty:
            row = await transaction.get_one(keys.user_by_name(request.name))
            if row is None:
                raise UserNotFound(f"there is no user {request.name!r}")
            for index_key in _index_keys(USER.decode(row.value)):
                transaction.delete(index_key)
            await _change_generation(transaction, -1)
            return Empty()

        return await self._namespace.mutate(request, request.mutation, body, "users")

    async def all(self, request: ListUsers) -> UserPage:
        """See `ListUsers`."""
        _check_admin(request.caller)
        generation, _ = await self.generation()
        start, end = keys.span(keys.USERS_BY_NAME)
        rows = await self._namespace.store.scan(start, end, limit=_MAX_USERS)
        return UserPage(users=tuple(_blanked(USER.decode(row.value)) for row in rows), generation=generation)

    async def credential(self, request: GetCredential) -> UserResult:
        """See `GetCredential`."""
        (
            generation,
            _,
        ) = await self.generation()  # read first: an older one is found out, a newer one would not be
        for user in await self._users_at([keys.user_by_access_key(request.access_key)]):
            for credential in user.credentials:
                if credential.access_key == request.access_key:
                    secret_key = self._box.unseal(credential.secret_key, credential.access_key)
                    opened = msgspec.structs.replace(credential, secret_key=secret_key)
                    user = msgspec.structs.replace(user, credentials=(opened,))
                    return UserResult(user=user, generation=generation)
        raise UserNotFound("there is no such access key")

    async def by_id(self, request: GetUsersById) -> UserPage:
        """See `GetUsersById`."""
        generation, _ = await self.generation()
        users = await self._users_at([keys.user_by_canonical_id(one) for one in request.canonical_ids])
        bare = tuple(msgspec.structs.replace(user, credentials=()) for user in users)
        return UserPage(users=bare, generation=generation)

    async def _users_at(self, index_keys: list[bytes]) -> list[UserRecord]:
        store = self._namespace.store
        found = [row for row in await store.get(index_keys) if row is not None]
        rows = await store.get([keys.USERS_BY_NAME + row.value[1:] for row in found])
        return [USER.decode(row.value) for row in rows if row is not None]


def _index_keys(user: UserRecord) -> list[bytes]:
    """The keys of all rows of a user, that of the record first."""
    return [
        keys.user_by_name(user.name),
        keys.user_by_canonical_id(user.canonical_id),
        *(keys.user_by_access_key(credential.access_key) for credential in user.credentials),
    ]


async def _change_generation(transaction: Transaction, change: int) -> None:
    row = await transaction.get_one(keys.USERS_GENERATION)
    count = 0 if row is None else _GENERATION.decode(row.value).user_count
    if count + change > _MAX_USERS:
        raise InvalidRequest(f"a cluster has at most {_MAX_USERS} users")
    transaction.put(keys.USERS_GENERATION, _GENERATION.encode(_Generation(user_count=count + change)))


def _checked(user: UserRecord) -> UserRecord:
    if not user.name or not user.canonical_id:
        raise InvalidRequest("a user has a name and a canonical id")
    if user.canonical_id in (ANONYMOUS.user, ADMIN.user):
        raise InvalidRequest(f"the canonical id {user.canonical_id!r} is reserved")
    access_keys = [credential.access_key for credential in user.credentials]
    if not all(c.access_key and c.secret_key for c in user.credentials) or len(set(access_keys)) < len(
        access_keys
    ):
        raise InvalidRequest("each credential of a user has an access key of its own, and a secret key")
    return user


def _check_admin(caller: Caller) -> None:
    if not caller.admin:
        raise AccessDenied("only an administrator may see or change users")


def _blanked(user: UserRecord) -> UserRecord:
    credentials = tuple(
        Credential(access_key=c.access_key, secret_key="", enabled=c.enabled) for c in user.credentials
    )
    return msgspec.structs.replace(user, credentials=credentials)

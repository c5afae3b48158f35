"""Users and their credentials.

A user is one row by name, with index rows by canonical id and by access key, written in one commit on condition that
none of them is there. Every change also writes the generation row, whose version is the generation of the users.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from zerohop.errors import AccessDenied, InvalidRequest, UserAlreadyExists, UserNotFound
from zerohop.model import ADMIN, ANONYMOUS, Caller, Credential, Record, UserRecord
from zerohop.rpc.master_api import (
    AddKey,
    AddUser,
    ChangeKey,
    Empty,
    GetCredential,
    GetUsersById,
    ListUsers,
    RemoveKey,
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
_MAX_KEYS: Final = 16
"""Of one user: two are enough to rotate, a few more to tell programs apart; a listing carries them all."""


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
            sealed = tuple(self._sealed(credential) for credential in user.credentials)
            stored = msgspec.structs.replace(user, credentials=sealed, created_ms=self._namespace.now_ms())
            transaction.put(keys.user_by_name(user.name), USER.encode(stored))
            for index_key in _index_keys(user)[1:]:
                transaction.put(index_key, _pointer(user.name))
            await _change_generation(transaction, +1)
            return UserResult(user=_blanked(stored), generation=0)

        return await self._changed(request, body)

    async def remove(self, request: RemoveUser) -> Empty:
        """See `RemoveUser`."""
        _check_admin(request.caller)

        async def body(transaction: Transaction) -> Empty:
            for index_key in _index_keys(await _user_named(transaction, request.name)):
                transaction.delete(index_key)
            await _change_generation(transaction, -1)
            return Empty()

        return await self._namespace.mutate(request, request.mutation, body, "users")

    async def add_key(self, request: AddKey) -> UserResult:
        """See `AddKey`."""
        _check_admin(request.caller)

        async def body(transaction: Transaction) -> UserResult:
            user = await _user_named(transaction, request.name)
            index_key = keys.user_by_access_key(request.credential.access_key)
            if await transaction.get_one(index_key) is not None:
                raise UserAlreadyExists(f"the access key {request.credential.access_key!r} is taken")
            transaction.put(index_key, _pointer(user.name))
            _checked(msgspec.structs.replace(user, credentials=(*user.credentials, request.credential)))
            return await _replace_keys(
                transaction, user, (*user.credentials, self._sealed(request.credential))
            )

        return await self._changed(request, body)

    async def change_key(self, request: ChangeKey) -> UserResult:
        """See `ChangeKey`."""
        _check_admin(request.caller)

        def changed(credential: Credential) -> Credential:
            if request.enabled is not None:
                credential = msgspec.structs.replace(credential, enabled=request.enabled)
            if request.expires_ms is not None:
                credential = msgspec.structs.replace(credential, expires_ms=request.expires_ms)
            return credential

        async def body(transaction: Transaction) -> UserResult:
            user = await _user_with_key(transaction, request.access_key)
            credentials = tuple(
                changed(credential) if credential.access_key == request.access_key else credential
                for credential in user.credentials
            )
            return await _replace_keys(transaction, user, credentials)

        return await self._changed(request, body)

    async def remove_key(self, request: RemoveKey) -> UserResult:
        """See `RemoveKey`."""
        _check_admin(request.caller)

        async def body(transaction: Transaction) -> UserResult:
            user = await _user_with_key(transaction, request.access_key)
            transaction.delete(keys.user_by_access_key(request.access_key))
            left = tuple(c for c in user.credentials if c.access_key != request.access_key)
            return await _replace_keys(transaction, user, left)

        return await self._changed(request, body)

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

    def _sealed(self, credential: Credential) -> Credential:
        secret_key = self._box.seal(credential.secret_key, credential.access_key)
        return msgspec.structs.replace(credential, secret_key=secret_key)

    async def _changed(
        self,
        request: AddUser | AddKey | ChangeKey | RemoveKey,
        body: Callable[[Transaction], Awaitable[UserResult]],
    ) -> UserResult:
        result = await self._namespace.mutate(request, request.mutation, body, "users")
        return msgspec.structs.replace(result, generation=(await self.generation())[0])

    async def _users_at(self, index_keys: list[bytes]) -> list[UserRecord]:
        store = self._namespace.store
        found = [row for row in await store.get(index_keys) if row is not None]
        rows = await store.get([keys.USERS_BY_NAME + row.value[1:] for row in found])
        return [USER.decode(row.value) for row in rows if row is not None]


async def _user_named(transaction: Transaction, name: str) -> UserRecord:
    row = await transaction.get_one(keys.user_by_name(name))
    if row is None:
        raise UserNotFound(f"there is no user {name!r}")
    return USER.decode(row.value)


async def _user_with_key(transaction: Transaction, access_key: str) -> UserRecord:
    row = await transaction.get_one(keys.user_by_access_key(access_key))
    if row is None:
        raise UserNotFound(f"there is no access key {access_key!r}")
    return await _user_named(transaction, row.value[1:].decode())


async def _replace_keys(
    transaction: Transaction, user: UserRecord, credentials: tuple[Credential, ...]
) -> UserResult:
    changed = _checked(msgspec.structs.replace(user, credentials=credentials))
    transaction.put(keys.user_by_name(user.name), USER.encode(changed))
    await _change_generation(transaction, 0)
    return UserResult(user=_blanked(changed), generation=0)


def _pointer(name: str) -> bytes:
    return b"\x01" + name.encode()


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
    if len(access_keys) > _MAX_KEYS:
        raise InvalidRequest(f"a user has at most {_MAX_KEYS} access keys")
    if any(credential.expires_ms < 0 for credential in user.credentials):
        raise InvalidRequest("a key expires at a time after 1970, or never")
    return user


def _check_admin(caller: Caller) -> None:
    if not caller.admin:
        raise AccessDenied("only an administrator may see or change users")


def _blanked(user: UserRecord) -> UserRecord:
    credentials = tuple(msgspec.structs.replace(c, secret_key="") for c in user.credentials)
    return msgspec.structs.replace(user, credentials=credentials)

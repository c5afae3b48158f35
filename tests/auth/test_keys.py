"""Keys that are added, disabled, prolonged and removed behind the backs of two proxies that have them cached."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from tests.auth.signer import Signer
from tests.inprocess import InProcessCluster
from tests.proxy.raw_http import RawConnection
from tests.proxy.users import add_user, ask, remove_user

from zerohop.errors import InvalidRequest, UserAlreadyExists, UserNotFound
from zerohop.model import ADMIN, Credential, UserRecord
from zerohop.rpc.master_api import AddKey, ChangeKey, ListUsers, RemoveKey
from zerohop.rpc.mutation import new_mutation_id

_SECOND = Credential(access_key="SECOND", secret_key="second-secret")


def _add(credential: Credential, name: str = "alice") -> AddKey:
    return AddKey(caller=ADMIN, name=name, credential=credential, mutation=new_mutation_id())


def _change(access_key: str, *, enabled: bool | None = None, expires_ms: int | None = None) -> ChangeKey:
    return ChangeKey(
        caller=ADMIN,
        access_key=access_key,
        enabled=enabled,
        expires_ms=expires_ms,
        mutation=new_mutation_id(),
    )


def _remove(access_key: str) -> RemoveKey:
    return RemoveKey(caller=ADMIN, access_key=access_key, mutation=new_mutation_id())


def _now_ms() -> int:
    return int(time.time() * 1000)


class Proxies:
    """Two proxies, each of which knows the keys that it was asked with."""

    def __init__(self, connections: list[RawConnection]) -> None:
        self._connections = connections

    async def codes(self, signer: Signer) -> set[tuple[int, str]]:
        """Status and error code of a listing at both, by the very next request."""
        found = set()
        for connection in self._connections:
            answer = await signer.send(connection, "GET", "/bucket")
            found.add((answer.status, answer.code))
        return found


@pytest.fixture
async def proxies(cluster: InProcessCluster, raw: RawConnection) -> AsyncIterator[Proxies]:
    async with AsyncExitStack() as stack:
        second = await stack.enter_async_context(RawConnection(await cluster.add_proxy()))
        yield Proxies([raw, second])


_GOOD = {(200, "")}
_UNKNOWN = {(403, "InvalidAccessKeyId")}


async def test_a_key_is_rotated_without_a_pause(
    cluster: InProcessCluster, proxies: Proxies, signer: Signer
) -> None:
    old, new = signer, Signer(_SECOND)
    assert await proxies.codes(old) == _GOOD
    assert await proxies.codes(new) == _UNKNOWN
    await ask(cluster, _add(_SECOND))
    assert await proxies.codes(old) == _GOOD
    assert await proxies.codes(new) == _GOOD
    await ask(cluster, _change(old.credential.access_key, enabled=False))
    assert await proxies.codes(old) == _UNKNOWN
    assert await proxies.codes(new) == _GOOD
    await ask(cluster, _change(old.credential.access_key, enabled=True))
    assert await proxies.codes(old) == _GOOD
    await ask(cluster, _remove(old.credential.access_key))
    assert await proxies.codes(old) == _UNKNOWN
    assert await proxies.codes(new) == _GOOD


async def test_a_key_expires(cluster: InProcessCluster, proxies: Proxies, signer: Signer) -> None:
    key = signer.credential.access_key
    assert await proxies.codes(signer) == _GOOD
    await ask(cluster, _change(key, expires_ms=_now_ms() - 1))
    assert await proxies.codes(signer) == {(400, "ExpiredToken")}
    wrong = Signer(Credential(access_key=key, secret_key="not the secret"))
    assert await proxies.codes(wrong) == {(403, "SignatureDoesNotMatch")}  # tells strangers nothing
    await ask(cluster, _change(key, expires_ms=_now_ms() + 3_600_000))
    assert await proxies.codes(signer) == _GOOD
    await ask(cluster, _change(key, expires_ms=0))
    assert await proxies.codes(signer) == _GOOD


async def test_a_cached_key_expires_by_itself(
    cluster: InProcessCluster, proxies: Proxies, signer: Signer
) -> None:
    await ask(cluster, _change(signer.credential.access_key, expires_ms=_now_ms() + 400))
    while (codes := await proxies.codes(signer)) == _GOOD:
        pass
    assert (400, "ExpiredToken") in codes


async def test_a_secret_is_replaced_under_the_same_access_key(
    cluster: InProcessCluster, proxies: Proxies, signer: Signer
) -> None:
    assert await proxies.codes(signer) == _GOOD
    key = signer.credential.access_key
    await ask(cluster, _remove(key))
    replaced = Credential(access_key=key, secret_key="another-secret")
    await ask(cluster, _add(replaced))
    assert await proxies.codes(Signer(replaced)) == _GOOD
    assert await proxies.codes(signer) == {(403, "SignatureDoesNotMatch")}


async def test_a_user_is_removed_while_its_requests_run(
    cluster: InProcessCluster, raw: RawConnection, signer: Signer
) -> None:
    await add_user(cluster, "bob")
    body = b"x" * 400_000
    await signer.send(raw, "PUT", "/bucket/old", body)
    signed = signer.headers("PUT", "/bucket/new", "", "UNSIGNED-PAYLOAD", {}, "")
    lines = [f"{name}: {value}" for name, value in signed.items()]
    async with RawConnection(raw.port) as reading, RawConnection(raw.port) as writing:
        head = "\r\n".join(["PUT /bucket/new HTTP/1.1", *lines, f"Content-Length: {len(body)}"])
        await writing.send(head + "\r\nExpect: 100-continue\r\n\r\n")
        assert (await writing.response("PUT")).status == 100  # accepted: the body may come
        await writing.send(body[:200_000])
        await remove_user(cluster, "alice")
        await writing.send(body[200_000:])
        refused = await writing.response("PUT")
        assert (refused.status, refused.code) == (403, "InvalidAccessKeyId")
        assert (await signer.send(reading, "GET", "/bucket/old")).code == "InvalidAccessKeyId"
    # The bucket stays, and nothing of the cut upload is in it.
    administrator = await ask(cluster, ListUsers(caller=ADMIN))
    assert [user.name for user in administrator.users] == ["bob"]


async def test_a_change_of_users_disturbs_no_upload_in_flight(
    cluster: InProcessCluster, raw: RawConnection, signer: Signer
) -> None:
    body = b"y" * 400_000
    signed = signer.headers("PUT", "/bucket/new", "", "UNSIGNED-PAYLOAD", {}, "")
    lines = [f"{name}: {value}" for name, value in signed.items()]
    async with RawConnection(raw.port) as writing:
        head = "\r\n".join(["PUT /bucket/new HTTP/1.1", *lines, f"Content-Length: {len(body)}"])
        await writing.send(head + "\r\n\r\n")
        await writing.send(body[:200_000])
        await ask(cluster, _add(_SECOND))
        await writing.send(body[200_000:])
        assert (await writing.response("PUT")).status == 200


async def test_what_the_master_refuses(cluster: InProcessCluster, alice: UserRecord) -> None:
    await add_user(cluster, "bob")
    taken = Credential(access_key=alice.credentials[0].access_key, secret_key="whatever-it-is")
    with pytest.raises(UserAlreadyExists):
        await ask(cluster, _add(taken, "bob"))
    for request in (_add(_SECOND, "nobody"), _change("NOBODYS", enabled=True), _remove("NOBODYS")):
        with pytest.raises(UserNotFound):
            await ask(cluster, request)
    with pytest.raises(InvalidRequest):
        await ask(cluster, _add(Credential(access_key="EMPTY", secret_key="")))
    with pytest.raises(InvalidRequest):
        await ask(cluster, _change(alice.credentials[0].access_key, expires_ms=-1))
    for number in range(15):
        await ask(cluster, _add(Credential(access_key=f"KEY-{number}", secret_key="good-secret")))
    with pytest.raises(InvalidRequest, match="at most"):
        await ask(cluster, _add(_SECOND))
    page = await ask(cluster, ListUsers(caller=ADMIN))
    assert {credential.secret_key for user in page.users for credential in user.credentials} == {""}

"""Large writes to Azure, with every kind of credentials: their conditions are the store's own."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterator
from email.utils import formatdate
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
import trustme
from tests.origins.conftest import mount
from tests.origins.stores import PLAIN, attributes, put, read
from tests.support.faulty_proxy import FaultyProxy
from tests.support.origin_servers import AZURITE_ACCOUNT, AZURITE_KEY, azurite, create_container
from tests.tls.certificates import Authority

from zerohop.errors import OriginRefused, PreconditionFailed, UnderStoreFailed
from zerohop_worker.origins import azure_requests
from zerohop_worker.origins.azure_signing import shared_key
from zerohop_worker.origins.interface import OriginObject, OriginStore, StagedObject, WriteCondition
from zerohop_worker.origins.opening import open_origin

ABSENT = WriteCondition(only_if_absent=True)
KEY = "b\u00e4r/a b+c%41&=.bin"

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str]]:
    """An emulator that takes OAuth tokens, which it does over TLS alone: its port, and who vouches for it."""
    authority = Authority(trustme.CA(), tmp_path_factory.mktemp("azurite"))
    authority.issue()
    files = ["--cert", str(authority.certificate), "--key", str(authority.key)]
    with azurite("--oauth", "basic", *files) as port:
        yield port, authority.ca_file


def _token() -> str:
    """What Azurite looks at: who issued it for what, and until when."""
    now = int(time.time())
    claims = {
        "iss": "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/",
        "aud": "https://storage.azure.com",
        "nbf": now - 60,
        "iat": now - 60,
        "exp": now + 3600,
        "oid": "23657296-5cd5-45b0-a809-d972a7f4dfe1",
        "tid": "ab1f708d-50f6-404c-a006-d71b2ac7a606",
    }
    parts = [json.dumps(one).encode() for one in ({"alg": "HS256", "typ": "JWT"}, claims)] + [b"unsigned"]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def _sas(container: str) -> str:
    """Of a container, with all that may be done in it ("Create a service SAS", version 2020-12-06)."""
    version, until = "2021-08-06", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    fields = ["racwdlt", "", until, f"/blob/{AZURITE_ACCOUNT}/{container}", "", "", "", version, "c"]
    text = "\n".join([*fields, *[""] * 7])
    digest = hmac.digest(base64.b64decode(AZURITE_KEY), text.encode(), hashlib.sha256)
    told = {"sp": "racwdlt", "se": until, "sv": version, "sr": "c", "sig": base64.b64encode(digest).decode()}
    return urlencode(told)


def _open(endpoint: str, container: str, secrets: dict[str, str], **options: str) -> OriginStore:
    told = mount(
        f"az://{container}/base", read_only=False, endpoint=endpoint, account=AZURITE_ACCOUNT, **options
    )
    return open_origin(told, secrets)


@pytest.fixture(params=["key", "sas", "token", "key found by the library", "token found by the library"])
async def origin(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[OriginStore]:
    kind, container = request.param, f"writes-{next(_numbers)}"
    if "token" in kind:
        port, ca_file = request.getfixturevalue("secure")
        scheme, options = "https", {"ca_file": ca_file}
    else:
        port, ca_file = request.getfixturevalue("azurite_port"), None
        scheme, options = "http", {}
    endpoint = f"{scheme}://127.0.0.1:{port}/{AZURITE_ACCOUNT}"
    create_container(endpoint, container, ca_file)
    if "found" in kind:
        name = "AZURE_STORAGE_TOKEN" if "token" in kind else "AZURE_STORAGE_ACCOUNT_KEY"
        monkeypatch.setenv(name, _token() if "token" in kind else AZURITE_KEY)
    secrets = {
        "key": {"account_key": AZURITE_KEY},
        "sas": {"sas": _sas(container)},
        "token": {"token": _token()},
    }
    store = _open(endpoint, container, secrets.get(kind, {}), **options)
    yield store
    await store.close()


async def _staged(origin: OriginStore, key: str, *parts: bytes, stored: Any = PLAIN) -> StagedObject:
    staged = origin.stage(key, stored)
    for part in parts:
        await staged.write_part([part[:3], part[3:]])
    return staged


async def _race(origin: OriginStore, condition: WriteCondition) -> list[bytes]:
    """Of eight writers at once, those that were told that they have written."""
    bodies = [bytes([number]) * 1000 for number in range(8)]
    writers = [await _staged(origin, "key", body[:500], body[500:]) for body in bodies]
    told = await asyncio.gather(*(one.commit(condition) for one in writers), return_exceptions=True)
    refused = [one for one in told if not isinstance(one, OriginObject)]
    assert all(isinstance(one, PreconditionFailed) for one in refused), refused
    for one in writers:
        await one.abort()
    return [body for body, one in zip(bodies, told, strict=True) if isinstance(one, OriginObject)]


async def test_of_those_who_write_at_once_one_does(origin: OriginStore) -> None:
    (first,) = await _race(origin, ABSENT)
    assert await read(origin, "key") == first
    found = await origin.head("key")
    assert found is not None
    (second,) = await _race(origin, WriteCondition(only_if_etag=found.validator.etag))
    assert await read(origin, "key") == second
    assert await _race(origin, WriteCondition(only_if_etag=found.validator.etag)) == []


async def test_an_etag_of_what_is_gone(origin: OriginStore) -> None:
    first = await put(origin, "key", b"one")
    await origin.delete(["key"])
    staged = await _staged(origin, "key", b"two")
    with pytest.raises(PreconditionFailed):
        await staged.commit(WriteCondition(only_if_etag=first.validator.etag))
    assert (await staged.commit(ABSENT)).validator.size_bytes == 3


async def test_what_is_stored_with_an_object_and_odd_keys(origin: OriginStore) -> None:
    stored = attributes(
        {"content-type": "text/x-odd", "cache-control": "max-age=7", "content-language": "de"},
        {"colour": "blue"},
    )
    for key in ("key", KEY):
        staged = await _staged(origin, key, b"one", b"two", stored=stored)
        written = await staged.commit(ABSENT)
        found = await origin.head(key)
        assert found == written
        assert (found.attributes.headers, found.attributes.metadata) == (stored.headers, stored.metadata)
        assert await read(origin, key) == b"onetwo"
        with pytest.raises(PreconditionFailed):
            await (await _staged(origin, key, b"three")).commit(ABSENT)


@pytest.fixture
async def proxy(azurite_port: int, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FaultyProxy]:
    monkeypatch.setattr(azure_requests, "backoff_s", lambda failures: 0.0)
    async with FaultyProxy("127.0.0.1", azurite_port) as one:
        yield one


@pytest.fixture
async def behind(proxy: FaultyProxy, azurite_port: int) -> AsyncIterator[OriginStore]:
    """A container at the end of a bad way."""
    container = f"writes-{next(_numbers)}"
    create_container(f"http://127.0.0.1:{azurite_port}/{AZURITE_ACCOUNT}", container)
    store = _open(
        f"{proxy.url}/{AZURITE_ACCOUNT}", container, {"account_key": AZURITE_KEY}, read_timeout="5s"
    )
    yield store
    await store.close()


@pytest.mark.parametrize("fault", ["throttle", "drop", "swallow"])
async def test_passing_faults_are_outlived(behind: OriginStore, proxy: FaultyProxy, fault: str) -> None:
    staged = behind.stage("key", PLAIN)
    getattr(proxy, fault)(3)
    await staged.write_part([b"one"])
    await staged.write_part([b"two"])
    getattr(proxy, fault)(3)
    await staged.commit()
    assert await read(behind, "key") == b"onetwo"


async def test_lasting_faults_end_in_an_error(behind: OriginStore, proxy: FaultyProxy) -> None:
    staged = behind.stage("key", PLAIN)
    proxy.throttle(100)
    await staged.write_part([b"one"])
    with pytest.raises(UnderStoreFailed, match="503"):
        await staged.commit()
    assert len(proxy.requests) == 5
    await staged.abort()


async def test_a_lost_answer_to_a_conditional_write_is_no_refusal(
    behind: OriginStore, proxy: FaultyProxy
) -> None:
    staged = await _staged(behind, "key", b"one")
    with pytest.raises(PreconditionFailed):  # by then the part has arrived
        await staged.commit(WriteCondition(only_if_etag="another's"))
    proxy.swallow()
    with pytest.raises(UnderStoreFailed):
        await staged.commit(ABSENT)
    assert await read(behind, "key") == b"one"


async def test_who_was_overtaken_is_told_to_write_again(behind: OriginStore) -> None:
    slow = await _staged(behind, "key", b"slow")
    fast = await _staged(behind, "key", b"fast")
    done = await fast.commit()
    with pytest.raises(UnderStoreFailed, match="write it again"):
        await slow.commit()
    with pytest.raises(PreconditionFailed):
        await slow.commit(ABSENT)
    with pytest.raises(UnderStoreFailed, match="write it again"):
        await slow.commit(WriteCondition(only_if_etag=done.validator.etag))
    assert await read(behind, "key") == b"fast"


async def test_tags_go_with_the_write(behind: OriginStore, proxy: FaultyProxy, azurite_port: int) -> None:
    staged = await _staged(behind, "key", b"one", stored=PLAIN._replace(tags={"a": "1", "b": "two + three"}))
    await staged.commit()
    (line,) = (one for one in proxy.requests if "comp=blocklist" in one)
    url = f"http://127.0.0.1:{azurite_port}{line.split()[1].partition('?')[0]}"
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    query = {"comp": "tags"}
    headers["authorization"] = shared_key(AZURITE_ACCOUNT, AZURITE_KEY, "GET", url, query, headers)
    async with aiohttp.ClientSession() as session, session.get(url, params=query, headers=headers) as answer:
        told = await answer.text()
    assert "<Key>a</Key><Value>1</Value>" in told
    assert "<Key>b</Key><Value>two + three</Value>" in told


async def test_where_signatures_are_refused_the_library_writes(
    proxy: FaultyProxy, azurite_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", AZURITE_KEY)
    container = f"writes-{next(_numbers)}"
    create_container(f"http://127.0.0.1:{azurite_port}/{AZURITE_ACCOUNT}", container)
    origin = _open(f"{proxy.url}/{AZURITE_ACCOUNT}", container, {})
    for body in (b"one", b"two"):
        staged = origin.stage("key", PLAIN)
        proxy.throttle(1, b"403 Forbidden", b"<Error><Code>AuthenticationFailed</Code></Error>")
        await staged.write_part([body])
        if body == b"one":
            await staged.commit(ABSENT)
        else:
            with pytest.raises(PreconditionFailed):
                await staged.commit(ABSENT)
            await staged.abort()
    assert await read(origin, "key") == b"one"
    await origin.close()


async def test_refusals_are_told(azurite_port: int) -> None:
    endpoint = f"http://127.0.0.1:{azurite_port}/{AZURITE_ACCOUNT}"
    wrong = base64.b64encode(b"wrong").decode()
    for container, key in (("no-such-container", AZURITE_KEY), ("writes", wrong)):
        origin = _open(endpoint, container, {"account_key": key})
        staged = await _staged(origin, "key", b"one")
        with pytest.raises(OriginRefused) as refused:
            await staged.commit()
        assert key not in str(refused.value)
        await staged.abort()
        await origin.close()

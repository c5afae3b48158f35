"""What reads, lists and deletes at Google Cloud Storage, against an emulator that knows no more of the XML API, through
which the library works. Its writes run against nothing here.
"""

from __future__ import annotations

import itertools
import json
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.origins.conftest import mount
from tests.origins.stores import read, walk
from tests.support.origin_servers import fake_gcs_server

from zerohop.errors import InvalidRequest, KeyNotFound, OriginChanged, OriginRefused
from zerohop_worker.origins.interface import OriginStore
from zerohop_worker.origins.opening import open_origin

pytestmark = pytest.mark.soak(cost_s=5)

BODY = bytes(range(100))
KEYS = ["a", "a-b", "a/b", "a/b/c", "b/x/1", "d e/f+g", "percent%41&amp;=?#", "umlaut-\u00e4/\u20ac"]

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with fake_gcs_server(tmp_path_factory.mktemp("fake-gcs")) as port:
        yield f"http://127.0.0.1:{port}"


def _post(url: str, body: bytes, kind: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, body, {"content-type": kind})) as answer:
        assert answer.status == 200


class Bucket:
    """What others write, through the JSON API."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.name = f"bucket-{next(_numbers)}"
        named = json.dumps({"name": self.name}).encode()
        _post(f"{endpoint}/storage/v1/b?project=tests", named, "application/json")

    def put(self, key: str, body: bytes) -> None:
        name = urllib.parse.quote(f"base/{key}", safe="")
        url = f"{self.endpoint}/upload/storage/v1/b/{self.name}/o?uploadType=media&name={name}"
        _post(url, body, "text/x-odd")


@pytest.fixture
def bucket(endpoint: str) -> Bucket:
    return Bucket(endpoint)


@pytest.fixture
async def origin(bucket: Bucket) -> AsyncIterator[OriginStore]:
    store = open_origin(mount(f"gs://{bucket.name}/base", endpoint=bucket.endpoint), {"token": "any"})
    yield store
    await store.close()


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, None, (0, 100)),
        (0, 1, (0, 1)),
        (10, 20, (10, 30)),
        (10, None, (10, 100)),
        (90, 1000, (90, 100)),
        (-1, None, (99, 100)),
        (-1000, None, (0, 100)),
    ],
)
async def test_ranges(
    origin: OriginStore, bucket: Bucket, offset: int, length: int | None, expected: tuple[int, int]
) -> None:
    bucket.put("ranged", BODY)
    opened = await origin.open("ranged", offset, length)
    assert (opened.first, opened.first + opened.length) == expected
    assert opened.found.attributes.headers["content-type"] == "text/x-odd"
    assert b"".join([piece async for piece in opened.pieces()]) == BODY[slice(*expected)]
    await opened.close()


async def test_odd_ends(origin: OriginStore, bucket: Bucket) -> None:
    bucket.put("ranged", BODY)
    bucket.put("empty", b"")
    with pytest.raises(InvalidRequest, match="ends at 100"):
        await origin.open("ranged", 100, 1)
    for offset, length in ((0, None), (0, 10), (-10, None)):
        assert await read(origin, "empty", offset, length) == b""
    for call in (origin.head("none"), origin.open("none", 0, None), origin.head("a//b")):
        with pytest.raises(KeyNotFound):
            await call


async def test_conditions(origin: OriginStore, bucket: Bucket) -> None:
    bucket.put("key", b"one")
    first = await origin.head("key")
    assert first is not None
    unchanged = await origin.head("key", unless=first.validator)
    assert unchanged is not None
    assert unchanged.validator == first.validator
    opened = await origin.open("key", 0, None, match=first.validator)
    await opened.close()
    bucket.put("key", b"two")
    changed = await origin.head("key", unless=first.validator)
    assert changed is not None
    assert changed.client_etag != first.client_etag
    for offset, length in ((0, None), (1, 1)):
        with pytest.raises(OriginChanged):
            await origin.open("key", offset, length, match=first.validator)
    assert await read(origin, "key") == b"two"


async def test_listings_and_deletes(origin: OriginStore, bucket: Bucket) -> None:
    for key in KEYS:
        bucket.put(key, key.encode())
    for limit in (1, 3, 1000):
        assert await walk(origin, "", "", limit) == sorted(KEYS)
        assert await walk(origin, "a", "", limit) == ["a", "a-b", "a/b", "a/b/c"]
        assert await walk(origin, "a/", "/", limit) == ["a/b", "a/b/"]
    for key in KEYS:
        assert await read(origin, key) == key.encode()
    assert await origin.delete([*KEYS[1:], "none"]) == {}
    assert await walk(origin, "", "", 10) == ["a"]


async def test_an_anonymous_mount_only_reads(bucket: Bucket) -> None:
    bucket.put("key", BODY)
    uri = f"gs://{bucket.name}/base"
    writing = open_origin(mount(uri, endpoint=bucket.endpoint, anonymous="true"), {})
    with pytest.raises(OriginRefused, match="read_only"):
        await writing.check()
    await writing.close()
    store = open_origin(mount(uri, endpoint=bucket.endpoint, anonymous="true", read_only=True), {})
    await store.check()
    assert await read(store, "key") == BODY
    await store.close()

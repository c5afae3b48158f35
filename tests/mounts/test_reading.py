"""Reading a mounted bucket: cold, warm, in parts, and with the origin gone."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError
from tests.mounts.mounted import BLOCK_BYTES, Mounted, Site, noise, source, status_of
from tests.mounts.remote import Remote, eventually
from tests.mounts.senseless_origin import senseless_origin, told

Mount = Callable[..., Mounted]

ODD_KEYS = [
    "plain",
    "a//b",
    "trailing/",
    "with space",
    "plus+plus",
    "per%cent%2Fslash",
    "q?u=e&r#y",
    "ünïcödé/日本語/🪣",
    "quote\"'<>&",
    "back\\slash",
    "a" * 1000,
    "~tilde*star;semi:colon,comma",
    "dots/../in/./it",
]


@pytest.mark.parametrize("size", [1, 20_000, 200_000, BLOCK_BYTES, 3 * BLOCK_BYTES + 77])
def test_cold_then_warm(mounted: Mounted, remote: Remote, size: int) -> None:
    body = mounted.place("file", noise(size))
    cold = mounted.get("file")
    assert cold["Body"] == body
    assert source(cold) == "UNDER"
    eventually(lambda: source(mounted.get("file")) == "MEM", "the blocks are staged")
    assert remote.fetched("file") == size
    remote.forget()
    warm = mounted.get("file")
    assert (warm["Body"], source(warm), remote.proxy.requests) == (body, "MEM", [])
    assert warm["ETag"] == cold["ETag"] == mounted.at_origin("file")["ETag"]


def test_cold_read_is_one_request(mounted: Mounted, remote: Remote) -> None:
    body = mounted.place("file", noise(3 * BLOCK_BYTES))
    remote.forget()
    assert mounted.read("file") == body
    assert [one.line.split()[0] for one in remote.exchanges("file")] == ["GET"]


def test_the_first_read_of_a_mount_finds_it_open(site: Site) -> None:
    """With a connection to the origin: to a far one that is a round trip, with TLS three."""
    body = noise(100_000)
    with senseless_origin() as origin:
        origin.answers["file"] = lambda method, _query: told(200, body, method=method)
        name = site.mount(
            "s3://some-bucket",
            options={"endpoint": origin.url, "region": "us-east-1"},
            secrets={"access_key": "AKIAANY", "secret_key": "secret"},
        ).bucket
        before = origin.connections
        assert site.s3.get_object(Bucket=name, Key="file")["Body"].read() == body
        assert origin.connections == before


def test_origin_goes_and_comes_back(mounted: Mounted, remote: Remote) -> None:
    warm = mounted.place("warm", noise(2 * BLOCK_BYTES + 5))
    cold = mounted.place("cold", noise(100_000))
    half = mounted.place("half", noise(4 * BLOCK_BYTES))
    assert mounted.read("warm") == warm
    first = mounted.read("half", Range=f"bytes=0-{BLOCK_BYTES - 1}")
    remote.do(remote.proxy.refuse)
    for _ in range(2):
        assert mounted.read("warm") == warm
        assert mounted.s3.head_object(Bucket=mounted.name, Key="warm")["ContentLength"] == len(warm)
    assert mounted.read("half", Range=f"bytes=0-{BLOCK_BYTES - 1}") == first == half[:BLOCK_BYTES]
    asks: list[Callable[[], object]] = [
        lambda: mounted.read("cold"),
        lambda: mounted.s3.head_object(Bucket=mounted.name, Key="cold"),
        lambda: mounted.read("half", Range=f"bytes={3 * BLOCK_BYTES}-"),
        lambda: mounted.keys(Prefix="c"),
        lambda: mounted.s3.put_object(Bucket=mounted.name, Key="new", Body=b"x"),
        lambda: mounted.s3.delete_object(Bucket=mounted.name, Key="half"),
    ]
    with ThreadPoolExecutor(len(asks)) as pool:
        for outcome in [pool.submit(ask) for ask in asks]:
            error = outcome.exception()
            assert isinstance(error, ClientError)
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 503, error
    remote.do(remote.proxy.refuse, False)
    assert mounted.read("cold") == cold
    assert mounted.read("half") == half
    assert mounted.keys() == ["cold", "half", "warm"]


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-299", 100, 300),
        (f"bytes={BLOCK_BYTES - 10}-{BLOCK_BYTES + 9}", BLOCK_BYTES - 10, BLOCK_BYTES + 10),
        (f"bytes={2 * BLOCK_BYTES + 500_000}-{2 * BLOCK_BYTES + 700_000}", None, None),
        ("bytes=-100", -100, None),
        (f"bytes=-{BLOCK_BYTES + 5}", -BLOCK_BYTES - 5, None),
        ("bytes=-99999999", 0, None),
        (f"bytes={3 * BLOCK_BYTES}-", 3 * BLOCK_BYTES, None),
    ],
)
def test_range_of_a_cold_object(
    mounted: Mounted, remote: Remote, asked: str, start: int | None, stop: int | None
) -> None:
    body = mounted.place("file", noise(3 * BLOCK_BYTES + 1234))
    if start is None:
        first, last = asked.removeprefix("bytes=").split("-")
        start, stop = int(first), int(last) + 1
    wanted = body[start:stop]
    cold = mounted.get("file", Range=asked)
    assert (cold["Body"], cold["ResponseMetadata"]["HTTPStatusCode"]) == (wanted, 206)
    begin = len(body) - len(wanted) if asked.startswith("bytes=-") else start
    assert cold["ContentRange"] == f"bytes {begin}-{begin + len(wanted) - 1}/{len(body)}"
    assert mounted.read("file", Range=asked) == wanted
    assert mounted.read("file") == body
    assert mounted.read("file", Range=asked) == wanted
    assert remote.fetched("file") == len(body), [vars(one) for one in remote.exchanges("file")]


def test_ranges_that_are_none(mounted: Mounted) -> None:
    mounted.place("file", noise(1000))
    mounted.place("empty", b"")
    for key, asked in (
        ("file", "bytes=1000-"),
        ("file", "bytes=2000-3000"),
        ("empty", "bytes=0-"),
        ("empty", "bytes=-5"),
    ):
        for _ in range(2):
            with pytest.raises(ClientError) as refused:
                mounted.read(key, Range=asked)
            assert status_of(refused) == (416, "InvalidRange"), (key, asked)
    assert mounted.read("file", Range="bytes=5-2") == mounted.read("file")


def test_empty_object_and_missing_one(mounted: Mounted, remote: Remote) -> None:
    mounted.place("empty", b"")
    for _ in range(2):
        found = mounted.get("empty")
        assert (found["Body"], found["ContentLength"]) == (b"", 0)
    for ask in (mounted.read, lambda key: mounted.s3.head_object(Bucket=mounted.name, Key=key)):
        with pytest.raises(ClientError) as missing:
            ask("nothing")
        assert status_of(missing)[0] == 404


def test_head_asks_once_and_fetches_nothing(mounted: Mounted, remote: Remote) -> None:
    body = mounted.place("file", noise(2 * BLOCK_BYTES))
    for _ in range(3):
        assert mounted.s3.head_object(Bucket=mounted.name, Key="file")["ContentLength"] == len(body)
    assert [one.line.split()[0] for one in remote.exchanges("file")] == ["HEAD"]
    assert mounted.read("file") == body


def test_conditional_gets(mounted: Mounted) -> None:
    body = mounted.place("file", noise(70_000))
    etag = mounted.at_origin("file")["ETag"]
    an_hour = timedelta(hours=1)
    for cold in (True, False):
        assert mounted.read("file", IfMatch=etag) == body, cold
        with pytest.raises(ClientError) as refused:
            mounted.read("file", IfMatch='"other"')
        assert status_of(refused)[0] == 412
        for condition in ({"IfNoneMatch": etag}, {"IfModifiedSince": datetime.now(UTC) + an_hour}):
            with pytest.raises(ClientError) as unchanged:
                mounted.read("file", **condition)
            assert status_of(unchanged)[0] == 304
        with pytest.raises(ClientError) as refused:
            mounted.read("file", IfUnmodifiedSince=datetime.now(UTC) - an_hour)
        assert status_of(refused)[0] == 412


def test_odd_keys(mounted: Mounted) -> None:
    for key in ODD_KEYS:
        mounted.place(key, key.encode() * 3)
    assert mounted.keys() == sorted(ODD_KEYS, key=str.encode)
    for key in ODD_KEYS:
        assert mounted.read(key) == key.encode() * 3
        mounted.s3.put_object(Bucket=mounted.name, Key=key, Body=b"new")
        assert mounted.at_origin(key)["Body"] == b"new"
        assert mounted.read(key) == b"new"
    done = mounted.s3.delete_objects(
        Bucket=mounted.name, Delete={"Objects": [{"Key": key} for key in ODD_KEYS]}
    )
    assert len(done["Deleted"]) == len(ODD_KEYS)
    assert mounted.origin_keys() == []


def test_no_cache_leaves_nothing(mounted: Mounted, remote: Remote, site: Site) -> None:
    body = mounted.place("file", noise(2 * BLOCK_BYTES + 5))
    for _ in range(2):
        found = mounted.get("file", cache="no_cache")
        assert (found["Body"], source(found)) == (body, "UNDER")
    listed = site.cluster.cli("fs", "ls", "--json", f"/{mounted.name}/file").stdout
    assert '"cached_bytes":0' in listed.replace(" ", "")
    with pytest.raises(ClientError) as refused:
        mounted.get("file", cache="sometimes")
    assert status_of(refused) == (400, "InvalidArgument")


def test_an_archived_object(mounted: Mounted) -> None:
    """It is listed and described; whoever reads it learns why that cannot be."""
    mounted.place("old", b"cold", StorageClass="GLACIER")
    assert mounted.keys() == ["old"]
    for _ in range(2):
        with pytest.raises(ClientError) as refused:
            mounted.read("old")
        assert status_of(refused) == (403, "InvalidObjectState")
        head = mounted.s3.head_object(Bucket=mounted.name, Key="old")
        assert (head["StorageClass"], head["ContentLength"]) == ("GLACIER", 4)

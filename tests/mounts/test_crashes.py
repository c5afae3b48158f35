"""kill -9 at the worst moment of a write through a mount: the origin has all or nothing, what was acknowledged is
there, and nobody sees an older object afterwards.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from tests.mounts.mounted import BLOCK_BYTES, Site, noise, source
from tests.mounts.remote import ACCESS_KEY, SECRET_KEY, Remote, eventually
from tests.support.cluster import Cluster

from zerohop.model import WritePolicy

_OLD = b"as it was"
_COST_S = 6


def _some_of(*choices: Sequence[object], at_once: Sequence[tuple[object, ...]]) -> list[object]:
    """All combinations; those that are not `at_once` only in the soak."""
    return [
        one if one in at_once else pytest.param(*one, marks=pytest.mark.soak(cost_s=_COST_S))
        for one in itertools.product(*choices)
    ]


@pytest.fixture(scope="module")
def crashing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A cluster whose processes are killed, and come back. It logs each request."""
    folder = tmp_path_factory.mktemp("crashing")
    cluster = Cluster(
        folder,
        env={"ZEROHOP_PROXY_ACCESS_LOG": "true", "ZEROHOP_PROXY_ACCESS_LOG_FILE": str(folder / "access.log")},
    )
    try:
        cluster.start()
        yield Site(cluster)
        cluster.stop()
    finally:
        cluster.kill_whatever_is_left()


def answered(read: Callable[[], bytes]) -> bytes:
    """The answer of a cluster that may still be coming back."""

    def ask() -> list[bytes]:
        try:
            return [read()]
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                raise
            return []

    return eventually(ask, "an answer")[0]


@pytest.mark.parametrize(
    ("policy", "size", "victim"),
    _some_of(
        [WritePolicy.CACHE_THROUGH, WritePolicy.THROUGH],
        [3 * BLOCK_BYTES, 1000],
        ["worker", "master", "proxy-0"],
        at_once=[
            (WritePolicy.CACHE_THROUGH, 3 * BLOCK_BYTES, "worker"),
            (WritePolicy.CACHE_THROUGH, 1000, "master"),
            (WritePolicy.THROUGH, 1000, "proxy-0"),
        ],
    ),
)
def test_killed_while_the_origin_takes_the_object(
    crashing: Site, remote: Remote, policy: WritePolicy, size: int, victim: str
) -> None:
    mounted = crashing.mount_remote(remote, write_policy=policy, metadata_ttl_s=-1.0)
    mounted.place("file", _OLD)
    assert mounted.read("file") == _OLD
    body = noise(size)
    remote.do(remote.proxy.hold)  # the origin is asked, and does not answer yet
    remote.forget()
    with ThreadPoolExecutor(1) as pool:
        writing: Future[object] = pool.submit(
            mounted.s3.put_object, Bucket=mounted.name, Key="file", Body=body
        )
        eventually(lambda: remote.exchanges("file", "PUT"), "the origin is asked to take it")
        crashing.cluster.kill(victim)
        remote.do(remote.proxy.release)
        crashing.cluster.wait_restarted(victim)  # type: ignore[union-attr]
        acknowledged = writing.exception() is None
    seen = answered(lambda: mounted.read("file"))
    at_origin = mounted.at_origin("file")["Body"]
    assert at_origin in ((body,) if acknowledged else (_OLD, body))
    assert seen == at_origin
    newer = noise(size)
    answered(lambda: mounted.s3.put_object(Bucket=mounted.name, Key="file", Body=newer)["ETag"].encode())
    assert mounted.read("file") == mounted.at_origin("file")["Body"] == newer


@pytest.mark.parametrize(
    ("policy", "victim"),
    _some_of(
        [WritePolicy.ASYNC_THROUGH, WritePolicy.MUST_CACHE],
        ["worker", "master", "proxy-0"],
        at_once=[
            (WritePolicy.ASYNC_THROUGH, "worker"),
            (WritePolicy.ASYNC_THROUGH, "master"),
            (WritePolicy.MUST_CACHE, "worker"),
        ],
    ),
)
def test_killed_after_a_write_that_the_origin_does_not_have(
    crashing: Site, remote: Remote, policy: WritePolicy, victim: str
) -> None:
    mounted = crashing.mount_remote(remote, write_policy=policy, metadata_ttl_s=-1.0)
    bodies = {f"file-{size}": noise(size) for size in (0, 1000, 3 * BLOCK_BYTES)}
    for key in bodies:
        mounted.place(key, _OLD)
        assert mounted.read(key) == _OLD
    remote.do(remote.proxy.hold)
    for key, body in bodies.items():
        mounted.s3.put_object(Bucket=mounted.name, Key=key, Body=body)
    if policy is WritePolicy.ASYNC_THROUGH:
        eventually(lambda: any(one.startswith("PUT") for one in remote.proxy.requests), "it is on its way")
    crashing.cluster.kill(victim)
    remote.do(remote.proxy.release)
    crashing.cluster.wait_restarted(victim)  # type: ignore[union-attr]
    for key, body in bodies.items():
        assert answered(lambda key=key: mounted.read(key)) == body  # type: ignore[misc]
    if policy is WritePolicy.ASYNC_THROUGH:
        mounted.persisted()
        assert {key: mounted.at_origin(key)["Body"] for key in bodies} == bodies
    else:
        assert all(mounted.at_origin(key)["Body"] == _OLD for key in bodies)
    assert {key: mounted.read(key) for key in bodies} == bodies


@pytest.mark.parametrize(
    "victim",
    ["worker", *(pytest.param(one, marks=pytest.mark.soak(cost_s=_COST_S)) for one in ("proxy-0", "master"))],
)
def test_killed_in_the_middle_of_a_long_upload(crashing: Site, remote: Remote, victim: str) -> None:
    """A body that goes to the origin in parts while it comes."""
    mounted = crashing.mount_remote(remote, metadata_ttl_s=-1.0)
    mounted.place("file", _OLD)
    assert mounted.read("file") == _OLD
    remote.do(remote.proxy.only, "POST")
    remote.do(remote.proxy.stall_after, 0)
    body = noise(40 << 20)
    with ThreadPoolExecutor(1) as pool:
        writing: Future[object] = pool.submit(
            mounted.s3.put_object, Bucket=mounted.name, Key="file", Body=body
        )
        eventually(lambda: remote.exchanges("file", "POST"), "the upload begins")
        crashing.cluster.kill(victim)
        remote.heal()
        crashing.cluster.wait_restarted(victim)  # type: ignore[union-attr]
        acknowledged = writing.exception() is None
    expected = body if acknowledged else _OLD
    assert answered(lambda: mounted.read("file")) == mounted.at_origin("file")["Body"] == expected


@pytest.mark.parametrize("victim", ["worker", "master"])
def test_killed_while_the_origin_deletes(crashing: Site, remote: Remote, victim: str) -> None:
    mounted = crashing.mount_remote(remote, metadata_ttl_s=-1.0)
    mounted.place("file", _OLD)
    assert mounted.read("file") == _OLD
    remote.do(remote.proxy.hold)
    remote.forget()
    with ThreadPoolExecutor(1) as pool:
        deleting: Future[object] = pool.submit(mounted.s3.delete_object, Bucket=mounted.name, Key="file")
        eventually(lambda: any(not one.startswith("GET") for one in remote.proxy.requests), "it is asked")
        crashing.cluster.kill(victim)
        remote.do(remote.proxy.release)
        crashing.cluster.wait_restarted(victim)  # type: ignore[union-attr]
        acknowledged = deleting.exception() is None
    is_gone = mounted.origin_keys() == []
    assert is_gone or not acknowledged
    expected = 404 if is_gone else 200
    eventually(lambda: mounted.status("file") == expected, "what the origin has is seen")


def test_everything_is_killed(crashing: Site, remote: Remote) -> None:
    mounted = crashing.mount_remote(remote, write_policy="async_through")
    remote.do(remote.proxy.refuse)
    bodies = {f"file-{size}": noise(size) for size in (1000, 2 * BLOCK_BYTES)}
    for key, body in bodies.items():
        mounted.s3.put_object(Bucket=mounted.name, Key=key, Body=body)
    assert isinstance(crashing.cluster, Cluster)
    crashing.cluster.kill_all()
    remote.heal()
    crashing.cluster.start()
    assert {key: answered(lambda key=key: mounted.read(key)) for key in bodies} == bodies  # type: ignore[misc]
    mounted.persisted()
    assert {key: mounted.at_origin(key)["Body"] for key in bodies} == bodies


def test_access_log_tells_the_source(crashing: Site, remote: Remote) -> None:
    mounted = crashing.mount_remote(remote)
    mounted.place("logged", noise(BLOCK_BYTES))
    mounted.read("logged")
    eventually(lambda: source(mounted.get("logged")) == "MEM", "it is cached")
    lines = (Path(crashing.cluster.folder) / "access.log").read_text().splitlines()
    told = [line.partition(" source=")[2].split()[0] for line in lines if " key=logged " in line]
    assert told[0].startswith("UNDER")
    assert told[-1] == "MEM"


def test_no_secret_is_told(crashing: Site, remote: Remote) -> None:
    """Runs last here, over all that was written before."""
    mounted = crashing.mount_remote(remote)
    told = crashing.cluster.cli("fs", "mount").stdout + crashing.cluster.cli("fs", "mount", "--json").stdout
    assert mounted.remote_bucket in told
    assert "secret_key" in told
    assert SECRET_KEY not in told + crashing.cluster.log
    assert ACCESS_KEY not in told + crashing.cluster.log
    folder = Path(crashing.cluster.folder)
    holding = [
        path
        for path in folder.rglob("*")
        if path.is_file()
        and (SECRET_KEY.encode() in (data := path.read_bytes()) or ACCESS_KEY.encode() in data)
    ]
    assert holding == []

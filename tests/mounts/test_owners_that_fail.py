"""The owner of a key dies, or hangs, while it asks the origin: who only asks does not notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from tests.mounts.mounted import Mounted, Site, noise
from tests.mounts.remote import Remote, eventually
from tests.support.real_cluster import RealCluster

from zerohop.client.placement import origin_key, rank

_Ask = Callable[[Mounted], Any]


@pytest.fixture(scope="module")
def several() -> Iterator[Site]:
    with RealCluster(lost_after_s=2.0) as cluster:
        yield Site(cluster)


def _owner(mounted: Mounted, key: str) -> str:
    cluster = mounted.site.cluster
    assert isinstance(cluster, RealCluster)
    names = {cluster.worker_id(name): name for name in cluster.workers}
    return names[rank(origin_key(mounted.info.mount_id, key), list(names))[0]]


_QUESTIONS: dict[str, tuple[str, _Ask]] = {
    "get": ("file", lambda mounted: mounted.read("file")),
    "head": ("file", lambda mounted: mounted.status("file")),
    "list": ("", lambda mounted: mounted.keys()),
    "tags": (
        "file",
        lambda mounted: mounted.s3.get_object_tagging(Bucket=mounted.name, Key="file")["TagSet"],
    ),
}


@pytest.mark.parametrize(
    ("name", "fate"), [*((name, "killed") for name in _QUESTIONS), ("get", "paused"), ("list", "paused")]
)
def test_a_question_goes_to_the_next_worker(several: Site, remote: Remote, name: str, fate: str) -> None:
    cluster = several.cluster
    assert isinstance(cluster, RealCluster)
    body = noise(3_000_000)
    mounted = several.mount_remote(remote)
    mounted.place("file", body, Tagging="a=1")
    answers = {"get": body, "head": 200, "list": ["file"], "tags": [{"Key": "a", "Value": "1"}]}
    key, ask = _QUESTIONS[name]
    if name == "tags":
        assert mounted.status("file") == 200  # known, so that the tags alone are asked for
    owner = _owner(mounted, key)
    remote.do(remote.proxy.hold)
    remote.forget()
    marks = cluster.marks()
    with ThreadPoolExecutor(1) as pool:
        asking: Future[Any] = pool.submit(ask, mounted)
        eventually(lambda: remote.proxy.requests, "the owner asks the origin")
        if fate == "killed":
            cluster.kill(owner)
        else:
            cluster.pause(owner)
        remote.do(remote.proxy.release)
        try:
            assert asking.result(60) == answers[name]
        finally:
            if fate == "killed":
                cluster.launch(owner)
                cluster.wait_ready(owner)
            else:
                cluster.wait_given_up(owner, marks)
                cluster.resume(owner)
            for proxy, mark in marks.items():
                cluster.wait_line(proxy, rf"worker {cluster.worker_id(owner)} is live", after=mark)

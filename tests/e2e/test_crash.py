"""kill -9 of any one process, and of all at once, under load: nothing acknowledged is lost, nothing is torn."""

from __future__ import annotations

import http.client
import os
from collections.abc import Callable

import pytest
from tests.e2e.crash_load import CrashLoad
from tests.support.cluster import Cluster

ClusterFactory = Callable[..., Cluster]


def _make_bucket(cluster: Cluster) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", cluster.port, timeout=30)
    connection.request("PUT", "/crash")
    assert connection.getresponse().status == 200
    connection.close()


def _kill_rounds(cluster: Cluster, name: str, rounds: int) -> None:
    _make_bucket(cluster)
    load = CrashLoad("127.0.0.1", cluster.port, "crash")
    load.start()
    try:
        for _ in range(rounds):
            load.wait_for_acknowledgements(25, timeout_s=60)
            if name == "all":
                cluster.kill_all()
                cluster.start()
            else:
                cluster.kill(name)
                cluster.wait_restarted(name)
        load.wait_for_acknowledgements(25, timeout_s=60)
    finally:
        load.finish()
    load.check()
    assert load.acknowledged_count >= 25 * (rounds + 1)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", ["master", "worker", "proxy-0", "all"])
def test_a_kill_under_load_loses_nothing(cluster_factory: ClusterFactory, name: str) -> None:
    cluster = cluster_factory()
    _kill_rounds(cluster, name, rounds=2)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["master", "worker", "proxy-0", "all"])
def test_many_kills_under_load_lose_nothing(cluster_factory: ClusterFactory, name: str) -> None:
    cluster = cluster_factory()
    _kill_rounds(cluster, name, rounds=max(4, int(os.environ.get("SOAK_S", "1200")) // 60))

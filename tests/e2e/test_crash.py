"""kill -9 of any one process, and of all at once, under load: nothing acknowledged is lost, nothing is torn."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable

import pytest
from tests.e2e.crash_load import CrashLoad
from tests.support.cluster import Cluster
from tests.support.soak_report import SoakReport

ClusterFactory = Callable[..., Cluster]


def _make_bucket(cluster: Cluster) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", cluster.port, timeout=30)
    connection.request("PUT", "/crash")
    assert connection.getresponse().status == 200
    connection.close()


def _kill_rounds(cluster: Cluster, name: str, rounds: int, soak_s: float = 0.0) -> CrashLoad:
    """At least `rounds`, and on for `soak_s`."""
    _make_bucket(cluster)
    load = CrashLoad("127.0.0.1", cluster.port, "crash")
    load.start()
    deadline, killed = time.monotonic() + soak_s, 0
    try:
        while killed < rounds or time.monotonic() < deadline:
            load.wait_for_acknowledgements(25, timeout_s=60)
            if name == "all":
                cluster.kill_all()
                cluster.start()
            else:
                cluster.kill(name)
                cluster.wait_restarted(name)
            killed += 1
        load.wait_for_acknowledgements(25, timeout_s=60)
    finally:
        load.finish()
    load.check()
    assert load.acknowledged_count >= 25 * (killed + 1)
    load.restarts = killed
    return load


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", ["master", "worker", "proxy-0", "all"])
def test_a_kill_under_load_loses_nothing(cluster_factory: ClusterFactory, name: str) -> None:
    cluster = cluster_factory()
    _kill_rounds(cluster, name, rounds=2)


@pytest.mark.soak(share=0.75, cost_s=20)
@pytest.mark.parametrize("name", ["master", "worker", "proxy-0", "all"])
def test_many_kills_under_load_lose_nothing(
    cluster_factory: ClusterFactory, name: str, soak_s: float, soak_report: SoakReport
) -> None:
    load = _kill_rounds(cluster_factory(), name, rounds=2, soak_s=soak_s)
    soak_report.note(kills=load.restarts, acknowledged=load.acknowledged_count)

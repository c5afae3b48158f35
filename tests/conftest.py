"""Fixtures for every area: real clusters, one shared and as many private ones as a test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from tests.support.cluster import Cluster
from tests.support.real_cluster import RealCluster
from tests.support.soak_plan import SoakHooks
from tests.support.soak_report import SoakReport, folder_of_reports

# The shared machines that run the tests stall now and then: no example fails for having taken long.
settings.register_profile("zerohop", deadline=None)
settings.load_profile("zerohop")


def pytest_configure(config: pytest.Config) -> None:
    """The tests marked `soak` share SOAK_S seconds."""
    config.pluginmanager.register(SoakHooks(), "soak")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for all tests that only speak to it; they keep to buckets of their own."""
    shared = Cluster(tmp_path_factory.mktemp("shared"))
    yield from _running(shared)


@pytest.fixture(scope="session")
def real_cluster() -> Iterator[RealCluster]:
    """Three workers and two proxies, each a process of its own, for all tests that only speak to them."""
    with RealCluster() as shared:
        yield shared


def _running(cluster: Cluster) -> Iterator[Cluster]:
    try:
        cluster.start()
        yield cluster
        cluster.stop()
    finally:
        cluster.kill_whatever_is_left()


@pytest.fixture
def cluster_factory(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Makes and starts private clusters; the arguments are those of `Cluster` after the folder.

    At the end all are stopped, each with an assertion that it ended cleanly and left nothing behind.
    """
    made: list[Cluster] = []

    def make(**options: Any) -> Cluster:
        folder = tmp_path / f"cluster-{len(made)}"
        folder.mkdir()
        one = Cluster(folder, **options)
        made.append(one)
        one.start()
        return one

    try:
        yield make
        for one in made:
            one.stop()
    finally:
        for one in made:
            one.kill_whatever_is_left()


@pytest.fixture
def soak_report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SoakReport:
    """Where a long test notes its figures."""
    return SoakReport(folder_of_reports(tmp_path_factory.getbasetemp() / "soak"), request.node.name)

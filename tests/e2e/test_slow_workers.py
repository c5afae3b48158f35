"""A worker that hangs while the cluster still counts on it: reads and writes do without it."""

from __future__ import annotations

import http.client
import json
import os
from typing import Any

from tests.observability.admin_http import ask
from tests.support.real_cluster import RealCluster

from zerohop.cli.cluster_rates import parse

BODIES = {f"/slow/{number}": os.urandom(40_000 + number) for number in range(12)}


def request(cluster: RealCluster, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", cluster.port, timeout=60)
    try:
        connection.request(method, path, body=body or None, headers={"x-zerohop-write-policy": "through"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def report(cluster: RealCluster) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cluster.cli("admin", "report", "--json").stdout)
    return found


def hedges(cluster: RealCluster) -> float:
    """Of all processes that answer."""
    facts = report(cluster)
    stopped = cluster.worker_id("worker-1")
    proxies = [(one["admin_address"], "proxy") for one in facts["proxies"]]
    workers = [(one["admin_address"], "worker") for one in facts["workers"] if one["id"] != stopped]
    return sum(
        parse(ask(address, "/metrics").text)[f"zerohop_{kind}_hedges_total", ()]
        for address, kind in [*proxies, *workers]
    )


def put_again_while_503(cluster: RealCluster, path: str, body: bytes) -> None:
    """As an SDK would. Each failure tells a proxy of the worker that hangs, so there are few."""
    for _ in range(6):
        status, answer = request(cluster, "PUT", path, body)
        if status != 503:
            break
    assert status == 200, answer


def test_reads_and_writes_do_without_a_worker_that_hangs() -> None:
    """It is stopped, and for as long as all this takes nobody declares it lost."""
    with RealCluster(lost_after_s=3600.0) as cluster:
        assert request(cluster, "PUT", "/slow")[0] == 200
        for path, body in BODIES.items():
            assert request(cluster, "PUT", path, body)[0] == 200
        cluster.pause("worker-1")
        for path, body in BODIES.items():
            assert request(cluster, "GET", path) == (200, body), path
        assert hedges(cluster) > 0
        for number, size_bytes in enumerate((20_000, 900_000, 6_000_000)):
            body = os.urandom(size_bytes)
            put_again_while_503(cluster, f"/slow/written-{number}", body)
            assert request(cluster, "GET", f"/slow/written-{number}") == (200, body)
        assert all(worker["live"] for worker in report(cluster)["workers"])
        cluster.resume("worker-1")
        for path, body in BODIES.items():
            assert request(cluster, "GET", path) == (200, body), path

"""`zerohop admin forget`: a lost worker that will not return is waited for no more."""

from __future__ import annotations

import http.client
import json
import os

from tests.support.real_cluster import RealCluster


def put(cluster: RealCluster, path: str, body: bytes, policy: str = "through") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", cluster.port, timeout=60)
    try:
        connection.request("PUT", path, body=body, headers={"x-zerohop-write-policy": policy})
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_lost_worker_is_forgotten_with_what_it_alone_held() -> None:
    with RealCluster(workers=2, proxies=1) as cluster:
        assert put(cluster, "/scratch", b"") == 200
        assert put(cluster, "/scratch/a-key", b"x" * 100_000, "must_cache") == 200
        lost = cluster.worker_id("worker-0")  # the proxy writes to the worker of its host

        refused = cluster.cli("admin", "forget", lost, check=False)
        assert (refused.returncode, "stop it first" in refused.stderr) == (2, True)
        assert cluster.cli("admin", "forget", "w-unknown", check=False).returncode == 3

        marks = cluster.marks()
        cluster.pause("worker-0")
        cluster.wait_given_up("worker-0", marks)
        told = cluster.cli("admin", "forget", lost, "--verbose").stdout
        assert "lost with it: 1 content, 97.7KiB" in told
        assert "scratch/a-key" in told
        report = json.loads(cluster.cli("admin", "report", "--json").stdout)
        assert [worker["id"] for worker in report["workers"]] == [cluster.worker_id("worker-1")]

        marks = cluster.marks()
        cluster.resume("worker-0")  # it does return: as a new one, with what it held
        cluster.wait_line("proxy-0", rf"worker {lost} is live", after=marks["proxy-0"])
        assert cluster.cli("fs", "cat", "/scratch/a-key").stdout == "x" * 100_000


def test_with_the_lost_one_forgotten_a_cluster_of_one_holds_alone() -> None:
    with RealCluster(workers=2, proxies=1) as cluster:
        assert put(cluster, "/bucket", b"") == 200
        marks = cluster.marks()
        cluster.kill("worker-1")
        cluster.wait_given_up("worker-1", marks)
        away = cluster.under_store / "away"
        (cluster.under_store / "contents").rename(away)
        body = os.urandom(50_000)
        assert (
            put(cluster, "/bucket/k", body, "async_through") == 503
        )  # it wants a second copy, or the under-store
        facts = json.loads(cluster.cli("admin", "forget", cluster.worker_id("worker-1"), "--json").stdout)
        assert facts == {
            "worker": cluster.worker_id("worker-1"),
            "lost_contents": 0,
            "lost_bytes": 0,
            "lost": [],
        }
        while put(cluster, "/bucket/k", body, "async_through") != 200:  # until worker-0 has heard of it
            pass
        away.rename(cluster.under_store / "contents")


def test_a_command_that_reads_leaves_no_client_behind() -> None:
    with RealCluster(workers=1, proxies=1, lost_after_s=60.0) as cluster:
        assert put(cluster, "/bucket", b"") == 200
        assert put(cluster, "/bucket/k", b"x" * 50_000) == 200
        assert cluster.cli("fs", "cat", "/bucket/k").stdout == "x" * 50_000
        assert json.loads(cluster.cli("admin", "report", "--json").stdout)["clients"] == 0

"""`zerohop admin top` against a running cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable

from tests.support.cluster import Cluster


def test_once_as_json_tells_of_requests_and_all_processes(cluster: Cluster) -> None:
    bucket = f"{cluster.endpoint}/watched"
    subprocess.run(["curl", "-sS", "-X", "PUT", bucket], check=True, capture_output=True)
    done = threading.Event()

    def load() -> None:
        while not done.is_set():
            subprocess.run(["curl", "-sS", f"{bucket}/[1-50]"], check=True, capture_output=True)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        printed = cluster.cli("admin", "top", "--once", "--json", "--interval", "0.5").stdout
    finally:
        done.set()
        thread.join()
    found = json.loads(printed)
    assert found["requests_per_s"] > 0
    (gets,) = (one for one in found["operations"] if one["operation"] == "GetObject")
    assert 0 < gets["p50_s"] <= gets["p99_s"]
    assert gets["sent_bytes_per_s"] > 0
    assert {tier["tier"] for tier in found["tiers"]} >= {"MEM", "SSD"}
    kinds = [one["kind"] for one in found["processes"] if one["answers"]]
    assert sorted(kinds) == ["master", "proxy", "proxy", "worker"]


def test_once_for_people(cluster: Cluster) -> None:
    printed = cluster.cli("admin", "top", "--once", "--interval", "0.1").stdout
    assert "requests/s" in printed
    assert "1 workers live, 0 lost, 2 proxies" in " ".join(printed.split())


def test_a_process_that_hangs_is_shown(cluster_factory: Callable[..., Cluster]) -> None:
    cluster = cluster_factory(proxies=1)
    os.kill(cluster.pid("worker"), signal.SIGSTOP)
    try:
        printed = cluster.cli("admin", "top", "--once", "--json", "--interval", "0.1").stdout
    finally:
        os.kill(cluster.pid("worker"), signal.SIGCONT)
    (worker,) = (one for one in json.loads(printed)["processes"] if one["kind"] == "worker")
    assert not worker["answers"]


def test_the_report_tells_the_admin_addresses(cluster: Cluster) -> None:
    report = json.loads(cluster.cli("admin", "report", "--json").stdout)
    run_dir = cluster.running.run_dir
    assert report["master"]["admin_address"] == f"unix:{run_dir}/master-admin.sock"
    assert [one["admin_address"] for one in report["workers"]] == [f"unix:{run_dir}/worker-admin.sock"]
    assert {one["admin_address"] for one in report["proxies"]} == {
        f"unix:{run_dir}/proxy-{index}-admin.sock" for index in range(2)
    }

"""Several workers and proxies, of which members die, hang, come back and are restarted, under load.

What is acknowledged stays; and once the cluster has given a member up, no request fails any more. That moment is taken
from the log of the proxies, not from a clock.
"""

from __future__ import annotations

import http.client
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from tests.e2e.crash_load import CrashLoad
from tests.support.real_cluster import RealCluster
from tests.support.soak_report import SoakReport

POLICIES = ("cache_through", "async_through", "through")


def request(
    cluster: RealCluster, method: str, path: str, body: bytes = b"", policy: str = ""
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", cluster.port, timeout=30)
    try:
        headers = {"x-zerohop-write-policy": policy} if policy else {}
        connection.request(method, path, body=body or None, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@contextmanager
def loaded(cluster: RealCluster) -> Iterator[CrashLoad]:
    """Mixed load; at the end everything acknowledged is there."""
    assert request(cluster, "PUT", "/load")[0] == 200
    load = CrashLoad("127.0.0.1", cluster.port, "load", writers=2, policies=POLICIES, may_fail=False)
    load.start()
    try:
        yield load
    finally:
        load.finish()
    load.check()


def lose_and_regain(cluster: RealCluster, load: CrashLoad, worker: str, how: str) -> None:
    """One worker is killed or stopped; it is given up; it comes back. Failures are forgiven only before it is given
    up, and around its return.
    """
    load.wait_for_acknowledgements(12, timeout_s=60)
    marks = cluster.marks()
    load.allow_failures()
    if how == "kill":
        cluster.kill(worker)
    else:
        cluster.pause(worker)
    cluster.wait_given_up(worker, marks)
    load.forbid_failures()
    load.wait_for_acknowledgements(12, timeout_s=60)
    marks = cluster.marks()
    load.allow_failures()
    if how == "kill":
        cluster.launch(worker)
        cluster.wait_ready(worker)
    else:
        cluster.resume(worker)
    worker_id = cluster.worker_id(worker)
    for proxy, mark in marks.items():
        cluster.wait_line(proxy, rf"worker {worker_id} is live", after=mark)
    load.forbid_failures()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("how", ["kill", "pause"])
def test_any_worker_may_be_lost_under_load(how: str) -> None:
    with RealCluster() as cluster, loaded(cluster) as load:
        for worker in cluster.workers:
            lose_and_regain(cluster, load, worker, how)
        load.wait_for_acknowledgements(12, timeout_s=60)


@pytest.mark.soak(share=1.5, cost_s=40)
@pytest.mark.parametrize("how", ["kill", "pause"])
def test_workers_are_lost_again_and_again(how: str, soak_s: float, soak_report: SoakReport) -> None:
    deadline = time.monotonic() + soak_s
    with RealCluster(heartbeat_s=1.0, lost_after_s=5.0) as cluster, loaded(cluster) as load:
        for worker in itertools.cycle(cluster.workers):
            lose_and_regain(cluster, load, worker, how)
            load.restarts += 1
            if load.restarts >= 2 and time.monotonic() > deadline:
                break
        load.wait_for_acknowledgements(12, timeout_s=120)
    soak_report.note(losses=load.restarts, acknowledged=load.acknowledged_count)


def test_a_master_that_restarts_is_waited_for() -> None:
    with RealCluster(workers=2) as cluster, loaded(cluster) as load:
        for end in (cluster.kill, cluster.terminate):
            load.wait_for_acknowledgements(12, timeout_s=60)
            end("master")
            cluster.launch("master")
            cluster.wait_ready("master")
        load.wait_for_acknowledgements(12, timeout_s=60)


def test_unpersisted_contents_survive_a_worker_while_the_under_store_is_down() -> None:
    """Two workers hold each content; one of them is killed; the other one serves it, and persists it later."""
    with RealCluster() as cluster:
        assert request(cluster, "PUT", "/unpersisted")[0] == 200
        contents = cluster.under_store / "contents"
        contents.rename(cluster.under_store / "away")
        bodies = {f"/unpersisted/{number}": os.urandom(5_000_000 + number) for number in range(6)}
        for path, body in bodies.items():
            assert request(cluster, "PUT", path, body, "async_through")[0] == 200
        marks = cluster.marks()
        cluster.kill("worker-0")
        cluster.wait_given_up("worker-0", marks)
        for path, body in bodies.items():
            assert request(cluster, "GET", path) == (200, body), path
        assert request(cluster, "PUT", "/unpersisted/through", b"x" * 50_000, "through")[0] == 503
        (cluster.under_store / "away").rename(contents)
        cluster.terminate("worker-1")  # persists what it holds
        for path, body in bodies.items():
            assert request(cluster, "GET", path) == (200, body), path


def test_with_too_few_workers_a_write_goes_through() -> None:
    """A cluster of two that has lost one asks the under-store before it acknowledges."""
    with RealCluster(workers=2) as cluster:
        assert request(cluster, "PUT", "/few")[0] == 200
        marks = cluster.marks()
        cluster.kill("worker-1")
        cluster.wait_given_up("worker-1", marks)
        body = os.urandom(3_000_000)
        assert request(cluster, "PUT", "/few/k", body, "async_through")[0] == 200
        marks = cluster.marks()
        cluster.kill("worker-0")
        cluster.launch("worker-1")
        cluster.wait_ready("worker-1")
        cluster.wait_given_up("worker-0", marks)
        assert request(cluster, "GET", "/few/k") == (200, body)


def test_lost_scratch_data_is_named() -> None:
    """`must_cache`: HEAD still answers, GET says what was lost, and the object can be deleted."""
    with RealCluster() as cluster:
        assert request(cluster, "PUT", "/scratch")[0] == 200
        assert request(cluster, "PUT", "/scratch/k", b"x" * 100_000, "must_cache")[0] == 200
        marks = cluster.marks()
        for worker in ("worker-0", "worker-1"):  # the proxies write to the worker of their host
            cluster.kill(worker)
        for worker in ("worker-0", "worker-1"):
            cluster.wait_given_up(worker, marks)
        assert request(cluster, "HEAD", "/scratch/k")[0] == 200
        status, answer = request(cluster, "GET", "/scratch/k")
        assert status == 500
        assert b"only copies were on lost worker w-" in answer
        assert request(cluster, "DELETE", "/scratch/k")[0] == 204


def test_a_worker_on_another_under_store_is_refused() -> None:
    with RealCluster(workers=1, proxies=1) as cluster:
        elsewhere = cluster.folder / "elsewhere"
        cluster.configure("worker-9", under_store=str(elsewhere))
        cluster.launch("worker-9")
        assert cluster.wait_ended("worker-9") != 0
        told = cluster.wait_line("worker-9", "this cluster keeps its contents in under-store")
        assert (cluster.under_store / "store-id").read_text().strip() in told
        assert (elsewhere / "store-id").read_text().strip() in told


class _SdkLoad:
    """What an ordinary program does all day through boto3, with its standard retries; any error that remains counts."""

    def __init__(self, cluster: RealCluster) -> None:
        user = cluster.user("rolling")
        self._s3 = boto3.client(
            "s3",
            endpoint_url=cluster.endpoint,
            aws_access_key_id=user.access_key,
            aws_secret_access_key=user.secret_key,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, retries={"mode": "standard"}),
        )
        self._s3.create_bucket(Bucket="rolling")
        self._stop = threading.Event()
        self._rounds = threading.Condition()
        self.count = 0
        self.errors: list[str] = []
        self._threads = [threading.Thread(target=self._work, args=(name,)) for name in ("a", "b")]

    def __enter__(self) -> _SdkLoad:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive()

    def wait_for_rounds(self, more: int) -> None:
        with self._rounds:
            goal = self.count + more
            done = self._rounds.wait_for(lambda: self.count >= goal or bool(self.errors), 60)
        assert done, "the load stands still"
        assert not self.errors, self.errors

    def _work(self, name: str) -> None:
        for number in itertools.count():
            if self._stop.is_set() or self.errors:
                return
            try:
                self._round(f"{name}{number % 7}")
            except (BotoCoreError, ClientError, AssertionError) as error:
                self.errors.append(repr(error))
            with self._rounds:
                self.count += 1
                self._rounds.notify_all()

    def _round(self, key: str) -> None:
        for size in (100, 300_000, 5_000_000):
            body = os.urandom(size)
            self._s3.put_object(Bucket="rolling", Key=key, Body=body)
            assert self._s3.get_object(Bucket="rolling", Key=key)["Body"].read() == body, (key, size)
        assert key in {entry["Key"] for entry in self._s3.list_objects_v2(Bucket="rolling")["Contents"]}
        self._s3.delete_object(Bucket="rolling", Key=key)


def rolling_restart(cluster: RealCluster, load: _SdkLoad) -> None:
    for name in [*cluster.workers, *cluster.proxies, "master"]:
        load.wait_for_rounds(3)
        marks = cluster.marks()
        cluster.restart(name)
        if name in cluster.workers:
            worker_id = cluster.worker_id(name)
            for proxy, mark in marks.items():
                cluster.wait_line(proxy, rf"worker {worker_id} is live", after=mark)
    load.wait_for_rounds(3)


def test_a_rolling_restart_fails_nothing_that_an_sdk_does_not_hide() -> None:
    with RealCluster() as cluster, _SdkLoad(cluster) as load:
        rolling_restart(cluster, load)


@pytest.mark.soak(share=1.5, cost_s=30)
def test_many_rolling_restarts(soak_s: float, soak_report: SoakReport) -> None:
    deadline, rolled = time.monotonic() + soak_s, 0
    with RealCluster(heartbeat_s=1.0, lost_after_s=5.0) as cluster, _SdkLoad(cluster) as load:
        while not rolled or time.monotonic() < deadline:
            rolling_restart(cluster, load)
            rolled += 1
    soak_report.note(rolling_restarts=rolled, rounds_of_load=load.count)


@pytest.mark.soak(share=0.75, cost_s=20)
def test_hosts_whose_cables_are_pulled(soak_s: float, soak_report: SoakReport) -> None:
    """Network namespaces stand for hosts. Needs `unshare`, `nsenter` (util-linux) and `ip` (iproute2)."""
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    done = subprocess.run(
        ["unshare", *as_root, "--net", sys.executable, "-m", "tests.e2e.namespace_lab", f"{soak_s:.0f}"],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-8000:] + done.stdout[-2000:]
    soak_report.note(cables_pulled=int(done.stdout.split()[-1]))

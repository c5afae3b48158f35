"""A cluster as it runs on several hosts: its processes started one by one, with configuration files, over TCP.

They share a secret and one under-store. The second proxy counts as another host: it has no use of the workers' Unix
sockets, so its bytes are relayed over TCP. A worker dies, and comes back.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MIB = 1 << 20
PATIENCE_S = 60.0

CONFIG = """\
[cluster]
cluster_secret_file = "{folder}/secret"
[master]
listen = ["tcp://127.0.0.1:0"]
data_dir = "{folder}/master"
heartbeat_s = "100ms"
lost_after_s = "1s"
block_size_bytes = "1MiB"
[worker]
listen = ["tcp://127.0.0.1:0"]
under_store = "{folder}/shared"
mem_quota = "64MiB"
ssd_quota = "256MiB"
[proxy]
port = 0
anonymous = "no"
"""


class Process:
    """`zerohop master`, `worker` or `proxy` as a child, ready when it is made."""

    def __init__(self, folder: Path, kind: str, **flags: object) -> None:
        arguments = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]
        self._log = folder / f"{kind}-{random.randbytes(4).hex()}.log"
        with self._log.open("wb") as log:
            self.child = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "zerohop.cli",
                    kind,
                    "--config",
                    str(folder / "zerohop.toml"),
                    *arguments,
                ],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.child.stdout is not None
        watchdog = threading.Timer(PATIENCE_S, self.child.kill)
        watchdog.start()
        line = self.child.stdout.readline()
        watchdog.cancel()
        assert line.startswith(f"{kind} ready "), line + self.log
        self.address = line.split()[2]

    @property
    def log(self) -> str:
        """What it wrote to standard error."""
        return self._log.read_text()

    def kill(self) -> None:
        """kill -9."""
        self.child.kill()
        self._end()

    def stop(self) -> None:
        """Asks it to end; asserts that it does so cleanly."""
        if self.child.poll() is None:
            self.child.terminate()
            assert self._end() == 0, self.log
            assert "Traceback" not in self.log, self.log

    def _end(self) -> int:
        assert self.child.stdout is not None
        status = self.child.wait(PATIENCE_S)
        self.child.stdout.close()
        return status


class Deployment:
    """A master, two workers and two proxies; the second proxy is on another host as far as it knows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: list[Process] = []
        (folder / "zerohop.toml").write_text(CONFIG.format(folder=folder))
        secret = folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text("correct horse battery staple")

    def start(self) -> None:
        """Starts all, one after the other, and adds a user."""
        self.master = self._start("master")
        self.workers = [self.start_worker(number) for number in range(2)]
        self.proxies = [
            self._start("proxy", master=self.master.address),
            self._start("proxy", master=self.master.address, host_id="elsewhere"),
        ]
        user = json.loads(self.cli("user", "add", "alice", "--json").stdout)
        self._keys = {name: user[name] for name in ("access_key", "secret_key")}

    def _start(self, kind: str, **flags: object) -> Process:
        process = Process(self.folder, kind, **flags)
        self._made.append(process)
        return process

    def start_worker(self, number: int) -> Process:
        """Starts a worker on the folder of its number."""
        data = self.folder / f"worker-{number}"
        return self._start("worker", master=self.master.address, data_dir=data, mem_dir=data / "mem")

    def stop(self) -> None:
        """Stops what runs, in the opposite order; asserts that all end cleanly."""
        for process in reversed(self._made):
            process.stop()

    def kill_whatever_is_left(self) -> None:
        """For a teardown after a failure."""
        for process in self._made:
            if process.child.poll() is None:
                process.kill()

    def cli(self, *arguments: str, check: bool = True, secret: str = "") -> subprocess.CompletedProcess[str]:
        """Runs a client command against the master, with the cluster's configuration or another `secret`."""
        credentials = (
            {"ZEROHOP_CLUSTER_SECRET": secret}
            if secret
            else {"ZEROHOP_CONFIG": str(self.folder / "zerohop.toml")}
        )
        done = subprocess.run(
            [sys.executable, "-m", "zerohop.cli", *arguments],
            env={
                **_environment(),
                **credentials,
                "ZEROHOP_MASTER": self.master.address,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def report(self) -> Any:
        """What `zerohop admin report` says."""
        return json.loads(self.cli("admin", "report", "--json").stdout)

    def wait_live(self, count: int) -> None:
        """Until so many workers are live, by the master's own account."""
        deadline = time.monotonic() + PATIENCE_S
        while sum(worker["live"] for worker in self.report()["workers"]) != count:
            assert time.monotonic() < deadline, self.master.log

    def s3(self, proxy: int) -> S3Client:
        """A client of one of the proxies."""
        return boto3.client(
            "s3",
            endpoint_url=self.proxies[proxy].address,
            aws_access_key_id=self._keys["access_key"],
            aws_secret_access_key=self._keys["secret_key"],
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
        )


def _environment() -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ZEROHOP_")}
    return {**clean, "PYTHONWARNINGS": "default"}


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Deployment]:
    cluster = Deployment(tmp_path)
    try:
        cluster.start()
        yield cluster
        cluster.stop()
    finally:
        cluster.kill_whatever_is_left()


def _body(s3: S3Client, key: str) -> bytes:
    return s3.get_object(Bucket="shared", Key=key)["Body"].read()


def test_what_goes_in_by_one_proxy_comes_out_of_the_other(real: Deployment) -> None:
    near, far = real.s3(0), real.s3(1)
    near.create_bucket(Bucket="shared")
    written = {}
    for index in range(8):
        for name, s3 in (("near", near), ("far", far)):
            key = f"{name}-{index}"
            written[key] = random.randbytes(3 * MIB + index)
            s3.put_object(Bucket="shared", Key=key, Body=written[key])
    small = random.randbytes(100)
    far.put_object(Bucket="shared", Key="small", Body=small)
    for s3 in (near, far):
        assert {key: _body(s3, key) for key in written} == written
        assert _body(s3, "small") == small
        part = s3.get_object(Bucket="shared", Key="far-1", Range=f"bytes={MIB - 5}-{2 * MIB + 5}")
        assert part["Body"].read() == written["far-1"][MIB - 5 : 2 * MIB + 6]
    used = [sum(tier["used_bytes"] for tier in worker["tiers"]) for worker in real.report()["workers"]]
    assert len(used) == 2
    assert all(used), "both workers took some"

    real.workers[0].kill()
    for s3 in (near, far):
        assert {key: _body(s3, key) for key in written} == written
        s3.put_object(Bucket="shared", Key="after", Body=written["near-0"])
        assert _body(s3, "after") == written["near-0"]
    real.wait_live(1)
    real.start_worker(0)
    real.wait_live(2)
    assert len(real.report()["workers"]) == 2, "it came back as the one that it was"
    assert {key: _body(far, key) for key in written} == written


def test_who_does_not_know_the_secret_is_refused(real: Deployment) -> None:
    refused = real.cli("fs", "ls", "/", check=False, secret="wrong")
    assert refused.returncode == 4, refused.stderr
    assert "secret" in refused.stderr
    assert real.cli("fs", "ls", "/").returncode == 0

"""The cluster that is measured: a running one, or one of our own for as long as the measurement lasts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from zerohop.cli.cluster_options import Target, find_cluster
from zerohop.cli.data_folder import read_running_cluster
from zerohop.errors import InvalidRequest, NotFound, PeerUnavailable

__all__ = ["BenchCluster", "bench_cluster"]

_START_TIMEOUT_S = 60.0


class BenchCluster(NamedTuple):
    """Where it is."""

    target: Target
    endpoint: str


@contextmanager
def bench_cluster(master: str | None, endpoint: str | None, data: Path | None) -> Iterator[BenchCluster]:
    """The cluster that was named, or one of our own for as long as the context lasts."""
    if master or endpoint:
        if not (endpoint and (master or data)):
            raise InvalidRequest("a running cluster is named by --master and --endpoint, or by --data")
        yield BenchCluster(find_cluster(master, data, None), endpoint)
    elif data is not None:
        yield BenchCluster(find_cluster(None, data, None), read_running_cluster(data).endpoint)
    else:
        with tempfile.TemporaryDirectory(prefix="zerohop-bench-") as folder:
            own = Path(folder) / "data"
            with _own_cluster(own):
                yield BenchCluster(find_cluster(None, own, None), read_running_cluster(own).endpoint)


@contextmanager
def _own_cluster(data: Path) -> Iterator[None]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ZEROHOP_")}
    command = [sys.executable, "-m", "zerohop.cli", "up", f"--data={data}", "--port=0"]
    log = data.parent / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=clean, stdout=output, stderr=output)  # noqa: S603
    try:
        _wait_until_ready(process, data, log)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], data: Path, log: Path) -> None:
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            read_running_cluster(data)
        except NotFound:
            if process.poll() is not None or time.monotonic() > deadline_s:
                said = log.read_text(errors="replace")[-1000:]
                raise PeerUnavailable(f"the cluster for the bench did not start:\n{said}") from None
            time.sleep(0.05)
        else:
            return

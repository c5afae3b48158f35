"""`zerohop up` with its real children: readiness, restarts, stopping, and what kills leave behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from tests.support.cluster import Cluster

ClusterFactory = Callable[..., Cluster]


def _refused(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "zerohop.cli", "up", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_one_line_of_readiness_per_process_in_order(cluster: Cluster) -> None:
    lines = cluster.output.splitlines()
    names = [line.split()[0] for line in lines if " ready" in line and not line.startswith("zerohop")]
    assert names[:4] == ["master", "worker", "proxy-0", "proxy-1"]
    assert f"zerohop is ready: S3 at {cluster.endpoint}" in cluster.output
    assert "anonymous requests are accepted" in cluster.output
    assert re.search(r"try: curl .*" + re.escape(cluster.endpoint), cluster.output)


def test_data_and_sockets_are_readable_by_their_owner_only(cluster: Cluster) -> None:
    for folder in (cluster.data, Path(cluster.running.run_dir)):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((cluster.data / "cluster.json").stat().st_mode) == 0o600


def test_every_proxy_serves_the_port(cluster: Cluster) -> None:
    served = {psutil.Process(cluster.pid(f"proxy-{index}")).ppid() for index in range(2)}
    assert served == {cluster.pid("supervisor")}
    for _ in range(16):
        with socket.create_connection(("127.0.0.1", cluster.port), timeout=10) as sock:
            sock.sendall(
                f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{cluster.port}\r\nConnection: close\r\n\r\n".encode()
            )
            assert sock.recv(12) == b"HTTP/1.1 200"


def test_the_data_folder_has_one_user(cluster: Cluster) -> None:
    second = _refused(f"--data={cluster.data}", "--port=0")
    assert second.returncode != 0
    assert f"in use by the cluster with pid {cluster.pid('supervisor')}" in second.stderr


def test_the_port_has_one_user(cluster: Cluster, tmp_path: Path) -> None:
    second = _refused(f"--data={tmp_path / 'other'}", f"--port={cluster.port}")
    assert second.returncode == 2
    assert f"port {cluster.port} of 127.0.0.1 is in use" in second.stderr


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "format").write_text("999\n")
    refused = _refused(f"--data={tmp_path}", "--port=0")
    assert refused.returncode != 0
    assert "format 999" in refused.stderr


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    before = tmp_path.stat().st_mode
    refused = _refused(f"--data={tmp_path}", "--port=0")
    assert refused.returncode == 2
    assert "no zerohop data folder" in refused.stderr
    assert tmp_path.stat().st_mode == before


def test_a_file_is_no_data_folder(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_text("mine")
    refused = _refused(f"--data={file}", "--port=0")
    assert refused.returncode == 2
    assert f"{file} is a file" in refused.stderr
    assert file.read_text() == "mine"


def test_beyond_loopback_it_needs_users(tmp_path: Path) -> None:
    refused = _refused(f"--data={tmp_path / 'data'}", "--port=0", "--host=0.0.0.0", "--proxies=2")
    assert refused.returncode == 2
    assert "there is no user who could sign a request" in refused.stderr
    assert "--anonymous" in refused.stderr
    assert "proxy" not in refused.stdout, "the port is not opened first"


@pytest.mark.parametrize("name", ["master", "worker", "proxy-0"])
def test_a_killed_child_is_started_again(cluster_factory: ClusterFactory, name: str) -> None:
    cluster = cluster_factory()
    before = cluster.pid(name)
    cluster.kill(name)
    cluster.wait_restarted(name)
    assert cluster.pid(name) != before


def test_crashes_without_end_stop_the_cluster(cluster_factory: ClusterFactory) -> None:
    cluster = cluster_factory(proxies=1, env={"ZEROHOP_UP_RESTARTS_PER_MINUTE": "1"})
    processes = cluster.processes()
    cluster.kill("proxy-0")
    cluster.wait_restarted("proxy-0")
    cluster.kill("proxy-0")
    assert cluster.wait_ended() == 1
    cluster.assert_gone(processes)
    assert "keeps crashing" in cluster.log


def test_a_killed_supervisor_takes_its_children_along(cluster_factory: ClusterFactory) -> None:
    cluster = cluster_factory()
    processes = cluster.processes()
    stopped = psutil.Process(cluster.pid("worker"))
    stopped.suspend()  # one that could not notice by itself
    os.kill(cluster.pid("supervisor"), signal.SIGKILL)
    cluster.wait_ended()
    cluster.assert_gone(processes)
    cluster.start()


def test_after_a_kill_of_everything_it_starts_again(cluster_factory: ClusterFactory) -> None:
    cluster = cluster_factory()
    port = cluster.port
    cluster.kill_all()
    cluster.start()
    assert cluster.port == port


def test_a_second_signal_kills(cluster_factory: ClusterFactory) -> None:
    cluster = cluster_factory()
    processes = cluster.processes()
    psutil.Process(cluster.pid("worker")).suspend()  # it will not stop when it is asked
    supervisor = cluster.pid("supervisor")
    os.kill(supervisor, signal.SIGINT)
    cluster.wait_for(re.compile("stopping"))
    os.kill(supervisor, signal.SIGINT)
    assert cluster.wait_ended() == 130
    cluster.assert_gone(processes)


@pytest.mark.parametrize("name", ["master", "worker"])
def test_a_signal_while_it_starts_ends_it_cleanly(tmp_path: Path, name: str) -> None:
    cluster = Cluster(tmp_path)
    try:
        cluster.launch()
        cluster.wait_for(re.compile(f"^{name} ready"))
        children = psutil.Process(cluster.supervisor_pid).children()
        os.kill(cluster.supervisor_pid, signal.SIGINT)
        cluster.wait_ended()
        cluster.assert_gone(children)
        assert "zerohop is ready" not in cluster.output
        assert "Traceback" not in cluster.log
    finally:
        cluster.kill_whatever_is_left()


def test_a_configured_folder_of_the_memory_tier_is_left_alone(
    cluster_factory: ClusterFactory, tmp_path: Path
) -> None:
    mem_dir = tmp_path / "mem"
    mem_dir.mkdir()
    (mem_dir / "letter").write_text("mine")
    cluster_factory(proxies=1, env={"ZEROHOP_WORKER_MEM_DIR": str(mem_dir)}).stop()
    assert (mem_dir / "letter").read_text() == "mine"


def test_a_long_path_of_the_data_folder_gets_its_sockets_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 20) / ("deep" * 20)
    folder.mkdir(parents=True)
    cluster = Cluster(folder, proxies=1)
    try:
        cluster.start()
        run_dir = Path(cluster.running.run_dir)
        assert run_dir.parent != cluster.data
        assert stat.S_IMODE(run_dir.stat().st_mode) == 0o700
        cluster.kill_all()
        assert run_dir.exists()
        cluster.start()
        assert not run_dir.exists()
        second = Path(cluster.running.run_dir)
        cluster.stop()
        assert not second.exists()
    finally:
        cluster.kill_whatever_is_left()

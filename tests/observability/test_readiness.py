"""Ready means able to work: processes that lose what they need say so, and take it back."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial

from tests.observability.admin_http import ask, eventually
from tests.support.cluster import Cluster

_FAST = {"ZEROHOP_MASTER_HEARTBEAT_S": "0.1", "ZEROHOP_MASTER_LOST_AFTER_S": "0.6"}
_NAMES = ("master", "worker", "proxy-0")


def _is(status: int, cluster: Cluster, name: str) -> bool:
    return _ready(cluster, name) == status


def _ready(cluster: Cluster, name: str) -> int:
    return ask(f"unix:{cluster.running.run_dir}/{name}-admin.sock", "/health/ready").status


def test_a_started_cluster_is_ready_and_one_without_a_master_is_not(
    cluster_factory: Callable[..., Cluster],
) -> None:
    cluster = cluster_factory(proxies=1, env=_FAST)
    for name in _NAMES:
        eventually(partial(_is, 200, cluster, name), f"{name} is ready")
    os.kill(cluster.pid("master"), signal.SIGSTOP)
    try:
        for name in ("worker", "proxy-0"):
            eventually(partial(_is, 503, cluster, name), f"{name} misses the master")
            why = ask(f"unix:{cluster.running.run_dir}/{name}-admin.sock", "/health/ready").text
            assert "master" in why
            live = ask(f"unix:{cluster.running.run_dir}/{name}-admin.sock", "/health/live")
            assert live.status == 200
    finally:
        os.kill(cluster.pid("master"), signal.SIGCONT)
    for name in _NAMES:
        eventually(partial(_is, 200, cluster, name), f"{name} is ready again")


def test_a_configured_address_is_served_besides_the_socket(cluster_factory: Callable[..., Cluster]) -> None:
    cluster = cluster_factory(proxies=2, env={"ZEROHOP_PROXY_ADMIN_LISTEN": "tcp://127.0.0.1:0"})
    assert _ready(cluster, "proxy-0") == 200
    assert _ready(cluster, "proxy-1") == 200

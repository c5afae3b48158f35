"""Lines of what a cluster costs that nobody asks: its processor time, and the memory of connections kept open.

And what a fast client keeps of its rate in a crowd of slow ones.
"""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Final

from zerohop_bench import slow_clients
from zerohop_bench.http_load import request_once
from zerohop_bench.process_tree import rss_bytes
from zerohop_bench.results import OURS, Figure
from zerohop_bench.stage import Stage
from zerohop_bench.zerohop_servers import Zerohop

__all__ = ["ALONE", "crowd", "idle_connections", "idle_cpu"]

ALONE: Final = f"{OURS}, alone"
_SETTLE_S: Final = 2.0
_WARM_REQUESTS: Final = 200
_TIMEOUT_S: Final = 30.0


def idle_cpu(stage: Stage) -> tuple[Figure, ...]:
    """Percent of a core that a fresh cluster uses which nobody asks for anything."""
    cluster = _cluster(stage)
    time.sleep(_SETTLE_S)
    before_s = cluster.cpu_s()
    time.sleep(stage.plan.idle_s)
    return (Figure(OURS, ((cluster.cpu_s() - before_s) / stage.plan.idle_s * 100,)),)


def idle_connections(stage: Stage) -> tuple[Figure, ...]:
    """Bytes that the resident memory of a cluster grows by, when so many connections have asked once and stay open."""
    count = stage.plan.idle_connections
    slow_clients.allow_descriptors(2 * count)
    cluster = _cluster(stage)
    with contextlib.ExitStack() as connections:
        cluster.store("small", b"x" * 4096)
        request = cluster.head("GET", "small")
        for _ in range(_WARM_REQUESTS):
            request_once(cluster.address, request)
        before_bytes = rss_bytes(cluster.pids)
        for _ in range(count):
            sock = connections.enter_context(socket.create_connection(cluster.address, _TIMEOUT_S))
            sock.sendall(request)
            while not sock.recv(64 << 10).endswith(b"x"):
                pass
        return (Figure(OURS, (max(0, rss_bytes(cluster.pids) - before_bytes),)),)


def crowd(stage: Stage) -> tuple[Figure, ...]:
    """Requests a second of one client among slow readers and idle connections, and alone."""
    cluster = _cluster(stage)
    sizes = slow_clients.Crowd(stage.plan.crowd, stage.plan.crowd)
    found = slow_clients.measure(cluster.address, sizes, seconds=2 * stage.plan.seconds)
    if found.cut:
        stage.remarks.append(f"{found.cut} of the crowd were cut")
    return (Figure(OURS, (found.crowded_per_s,)), Figure(ALONE, (found.solo_per_s,)))


def _cluster(stage: Stage) -> Zerohop:
    """One for these lines alone, which come in the order in which each leaves it fresh enough for the next."""
    return stage.once("standing", lambda: stage.keep(Zerohop))

"""The memory of a request does not grow with its object."""

from __future__ import annotations

import hashlib
import http.client
import io
import random
import threading
from collections.abc import Callable, Iterator

import psutil
import pytest
from tests.support.cluster import Cluster

MIB = 1 << 20
GROWTH_LIMIT_BYTES = 64 * MIB


class _Body(io.RawIOBase):
    """A readable stream of `size` bytes that differ from MiB to MiB, which remembers its own MD5."""

    def __init__(self, size: int) -> None:
        self._cell = random.Random(7).randbytes(MIB)
        self._left = size
        self._count = 0
        self.md5 = hashlib.md5()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = (self._count.to_bytes(8, "big") + self._cell[8:])[: min(self._left, MIB)]
        self._left -= len(piece)
        self._count += 1
        self.md5.update(piece)
        return piece


class _PeakMemory:
    """Greatest resident memory of processes while a block runs, cached bytes in shared memory aside."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self.before = self._now()
        self.peak = dict(self.before)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> _PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._stop.set()
        self._thread.join()

    def _now(self) -> dict[str, int]:
        infos = {name: process.memory_info() for name, process in self._processes.items()}
        return {name: info.rss - info.shared for name, info in infos.items()}

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            for name, size in self._now().items():
                self.peak[name] = max(self.peak[name], size)

    def growth(self) -> dict[str, int]:
        return {name: self.peak[name] - self.before[name] for name in self.before}


def _pieces(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while piece := response.read(MIB):
        yield piece


def _up_and_down(cluster: Cluster, size: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", cluster.port, timeout=120)
    connection.request("PUT", "/streams")
    connection.getresponse().read()
    with _PeakMemory({name: cluster.pid(name) for name in ("master", "worker", "proxy-0")}) as memory:
        body = _Body(size)
        connection.request("PUT", "/streams/big", body=body, headers={"Content-Length": str(size)})
        response = connection.getresponse()
        response.read()
        assert response.status == 200
        assert response.headers["ETag"] == f'"{body.md5.hexdigest()}"'
        connection.request("GET", "/streams/big")
        response = connection.getresponse()
        assert int(response.headers["Content-Length"]) == size
        digest = hashlib.md5()
        for piece in _pieces(response):
            digest.update(piece)
        assert digest.hexdigest() == body.md5.hexdigest()
    connection.close()
    growth = memory.growth()
    assert all(grown < GROWTH_LIMIT_BYTES for grown in growth.values()), growth


@pytest.mark.timeout(300)
def test_512_mebibytes_stream_through_in_bounded_memory(cluster_factory: Callable[..., Cluster]) -> None:
    _up_and_down(cluster_factory(proxies=1), 512 * MIB)


@pytest.mark.soak(cost_s=60)
@pytest.mark.timeout(1800)
def test_four_gibibytes_stream_through_in_bounded_memory(cluster_factory: Callable[..., Cluster]) -> None:
    _up_and_down(cluster_factory(proxies=1), 4096 * MIB)

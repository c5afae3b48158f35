"""What is attacked: a cluster with something to read, whose processes must be afterwards as they were before."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Final

import psutil
from tests.hostile.case import Case, head, request
from tests.hostile.exchange import Client, carry_out, judge
from tests.hostile.signer import Signer
from tests.support.cluster import Cluster

__all__ = ["Target", "prepare"]

_SETTLES_S: Final = 30.0
_GROWTH_BYTES: Final = 48 << 20
"""Allocators keep what a peak needed, thread pools fill: flat is what does not go on growing."""
_LARGE: Final = 20_000_000


class Target:
    """`begin`, attack, `assert_unharmed`."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        user = cluster.user("mallory")
        self.signer = Signer(user.access_key, user.secret_key)
        self._before: dict[int, tuple[int, int]] = {}

    @property
    def port(self) -> int:
        return self.cluster.port

    def begin(self) -> None:
        """Makes the buckets and objects, warms everything up, and notes what the processes hold."""
        prepare(self.port, self.signer)
        self.note()

    def note(self) -> None:
        """From here on, growth counts."""
        self._before = {process.pid: _holdings(process) for process in self.cluster.processes()}

    def attack(self, case: Case, wire: list[bytes] | None = None) -> str:
        """One exchange; what is wrong with the answers, "" for nothing. `wire` replaces what the case sends."""
        sent = case.wire(self.signer) if wire is None else wire
        try:
            return judge(case, carry_out(case, sent, self.port, f"marker-{uuid.uuid4().hex[:16]}"))
        except AssertionError as error:
            return f"{case.name}: {type(error).__name__}: {error}"

    def assert_unharmed(self) -> None:
        """Nothing was stored, all descriptors and threads are back, memory is flat, and the service goes on."""
        listing = self._must(head("GET /hostile?prefix=partial HTTP/1.1"))
        assert b"<Contents>" not in listing, f"a partial object: {listing!r}"
        assert b"<Upload>" not in self._must(head("GET /hostile?uploads HTTP/1.1"))
        assert len(self._must(head("GET /hostile/large HTTP/1.1"))) == _LARGE
        self._until(self._unfinished_files)
        for process in self.cluster.processes():
            self._until(partial(self._leaks, process))

    def _unfinished_files(self) -> str:
        left = [str(path) for path in self.cluster.data.glob("**/staging/**/*") if path.is_file()]
        return f"unfinished files are left: {left}" if left else ""

    def _leaks(self, process: psutil.Process) -> str:
        descriptors, rss_bytes = self._before[process.pid]
        now, rss_now = _holdings(process)
        # A link or two of the pools between the processes may have been opened since; a leak is one for each request.
        if now > descriptors + 8:
            return f"{process.cmdline()[-2:]} has {now} descriptors, and had {descriptors}"
        if rss_now > rss_bytes + _GROWTH_BYTES:
            return f"{process.cmdline()[-2:]} has {rss_now >> 20} MiB of memory, and had {rss_bytes >> 20}"
        return ""

    def _until(self, trouble: Callable[[], str]) -> None:
        deadline = time.monotonic() + _SETTLES_S
        while what := trouble():
            assert time.monotonic() < deadline, what
            self._must(head("GET /hostile?max-keys=0 HTTP/1.1"))

    def _must(self, wire: bytes) -> bytes:
        return _must(self.port, wire)


def prepare(port: int, signer: Signer) -> None:
    """Makes the buckets and objects that the corpus speaks of, and warms everything up."""
    make = signer.sign("PUT", "/hostile-signed").fields
    _must(port, request("PUT /hostile HTTP/1.1", "Content-Length: 0"))
    _must(port, head("PUT /hostile-signed HTTP/1.1", *make, "Content-Length: 0"))
    _must(port, request("PUT /hostile/present HTTP/1.1", body=b"hello"))
    for _ in range(3):
        _must(port, request("PUT /hostile/large HTTP/1.1", body=bytes(_LARGE)))
        _must(port, head("GET /hostile/large HTTP/1.1"))


def _must(port: int, wire: bytes) -> bytes:
    with Client(port) as client:
        client.send([wire])
        answer = client.answer()
    assert answer is not None
    assert answer.status == 200, answer
    return answer.body


def _holdings(process: psutil.Process) -> tuple[int, int]:
    return process.num_fds(), process.memory_info().rss

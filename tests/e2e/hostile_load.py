"""Those who mean no good, all the time: mutants of the hostile corpus, and clients that stall."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from tests.hostile.case import head
from tests.hostile.exchange import Client
from tests.hostile.signer import Signer
from tests.hostile.survival import ENDS, mutant, survives

__all__ = ["HostileLoad"]

_STALLED_AT_ONCE: Final = 12
_READERS_LEAVE_AFTER_S: Final = 15.0
"""Longer than the server's time-out for a body that does not move."""


class HostileLoad:
    """Two threads of mutants and one of stalled clients, at all `ports` in turn, while a `with` block runs."""

    def __init__(self, ports: Sequence[int], signer: Signer, seed: int) -> None:
        self.done: Counter[str] = Counter()
        self.problems: list[str] = []
        self._ports = ports
        self._signer = signer
        self._seeds = itertools.count(seed)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> HostileLoad:
        self._stop.clear()
        works: list[Callable[[], None]] = [self._mutants, self._mutants, self._stalls]
        self._threads = [threading.Thread(target=work) for work in works]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), "a connection hangs"

    def _mutants(self) -> None:
        while not self._stop.is_set() and not self.problems:
            seed = next(self._seeds)
            port = self._ports[seed % len(self._ports)]
            then = ENDS[seed % len(ENDS)]
            if wrong := survives(port, mutant(self._signer, seed), then):
                self.problems.append(f"seed {seed}: {wrong}")
            self.done["hostile request"] += 1

    def _stalls(self) -> None:
        """Half of them begin to send and stop, half begin to read and stop; the former wait to be cut."""
        while not self._stop.is_set() and not self.problems:
            ports = list(itertools.islice(itertools.cycle(self._ports), _STALLED_AT_ONCE))
            clients = [Client(port) for port in ports]
            writers, readers = clients[::2], clients[1::2]
            for client in writers:
                client.send(
                    [head("PUT /hostile/partial/stalled HTTP/1.1", "Content-Length: 900000"), b"x" * 90_000]
                )
            for client in readers:
                client.send([head("GET /hostile/large HTTP/1.1")])
            self._stop.wait(_READERS_LEAVE_AFTER_S)
            for client in writers:
                try:
                    answer = client.rest()
                except AssertionError as error:
                    self.problems.append(f"a stalled PUT: {error}")
                    break
                if answer.startswith(b"HTTP/1.1 5"):
                    self.problems.append(f"a stalled PUT: {answer[:500]!r}")
            for client in clients:
                client.reset()
            self.done["stalled client"] += len(clients)

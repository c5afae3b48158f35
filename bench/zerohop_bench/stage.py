"""Where the lines are measured: who is compared, on which cores, for how long, and the turns that they take.

Each server has one core for all its processes, and the load comes from another one. The servers take turns within
a round, in opposite orders in odd and even rounds, so that whatever else the machine does meets all of them.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from zerohop_bench.http_load import LoadFailed, Work
from zerohop_bench.peer_servers import PEERS, Moto, Nginx, SeaweedFs
from zerohop_bench.results import OURS, Figure, Point
from zerohop_bench.servers import BUCKET, Server
from zerohop_bench.zerohop_servers import Zerohop

__all__ = [
    "FULL",
    "KIB",
    "LARGE_BYTES",
    "MIB",
    "PINNED",
    "QUICK",
    "SYNCED",
    "Entrant",
    "NothingToMeasure",
    "Plan",
    "Stage",
    "failure",
]

KIB: Final = 1 << 10
MIB: Final = 1 << 20
LARGE_BYTES: Final = 256 * MIB
SYNCED: Final = f"{SeaweedFs.name} (fsync)"

PINNED: Final = "pinned"

T = TypeVar("T")


class Plan(NamedTuple):
    """How long and how large to measure."""

    name: str
    rounds: int
    seconds: float
    """Of each turn of a round."""
    small_objects: int
    """Of 4 KiB, read in turn: more than a few hot ones, and all in memory, as nginx has them."""
    block_objects: int
    """Of 64 KiB: too large to stand in the metadata, so they are read from a worker's blocks."""
    large_rounds: int
    large_bytes: int
    large_times: int
    """GETs of that size in a turn of one stream."""
    peers: tuple[type[Server], ...]
    listed_keys: tuple[int, ...]
    """Keys in the buckets of which pages are listed, in rising order."""
    peer_listed_keys: int
    parts: int
    copied_bytes: int
    idle_connections: int
    idle_s: float
    crowd: int
    hop_seconds: float
    curves: bool


FULL: Final = Plan(
    name="full",
    rounds=5,
    seconds=2.0,
    small_objects=1_000,
    block_objects=200,
    large_rounds=7,
    large_bytes=LARGE_BYTES,
    large_times=4,
    peers=PEERS,
    listed_keys=(1_000, 10_000, 100_000, 1_000_000),
    peer_listed_keys=10_000,
    parts=10_000,
    copied_bytes=5 << 30,
    idle_connections=1_000,
    idle_s=20.0,
    crowd=1_000,
    hop_seconds=2.0,
    curves=True,
)
QUICK: Final = FULL._replace(
    name="quick",
    rounds=3,
    seconds=0.4,
    small_objects=500,
    block_objects=100,
    large_rounds=5,
    large_times=1,
    peers=(Nginx, SeaweedFs),
    listed_keys=(1_000, 20_000),
    peer_listed_keys=2_000,
    parts=500,
    idle_s=2.0,
    crowd=100,
    hop_seconds=0.3,
    curves=False,
)


class NothingToMeasure(Exception):
    """Our own cluster did not start."""


class Entrant(NamedTuple):
    """One who takes a turn in each round. `server` is whose processor time counts."""

    who: str
    server: Server
    run: Callable[[], Work]


class Stage:
    """Starts what is needed when it is needed; `stack` ends it all."""

    def __init__(self, plan: Plan, folder: Path, stack: ExitStack, say: Callable[[str], None]) -> None:
        self.plan = plan
        self.folder = folder
        self.say = say
        self.missing = {peer.name: peer.missing() for peer in plan.peers if peer.missing()}
        self.versions: dict[str, str] = {}
        self.remarks: list[str] = []
        """Who fell out of the line that is being measured, and why."""
        self._stack = stack
        self._servers: dict[str, Server] = {}
        self._found: dict[str, Any] = {}
        self._labels = 0
        cores = sorted(os.sched_getaffinity(0))
        # None are pinned where there is only one.
        self.server_cpus = str(cores[0]) if len(cores) > 1 else None
        self.load_cpu = cores[-1] if len(cores) > 1 else None
        self.cores = len(cores)
        self.wide_cpus = f"{cores[0]}-{cores[-2]}" if len(cores) > 1 else None
        """All but that of the load."""

    # -------------------------------------------------------------------------------------------------- servers

    def servers(self, *peers: type[Server]) -> dict[str, Server]:
        """Ours and those of `peers` that are there, running and filled, in the order of the table.

        Raises NothingToMeasure when ours does not start; a peer that does not counts as missing.
        """
        wanted: list[type[Server]] = [Zerohop, *(peer for peer in peers if peer in self.plan.peers)]
        for cls in wanted:
            self._start(cls)
        return {cls.name: self._servers[cls.name] for cls in wanted if cls.name in self._servers}

    def all_servers(self) -> dict[str, Server]:
        """Ours and all peers but moto, which is too slow to be waited for at every line."""
        return self.servers(*(peer for peer in PEERS if peer is not Moto))

    @property
    def ours(self) -> Zerohop:
        """The cluster of `zerohop up` that the peers are compared with."""
        server = self.servers()[OURS]
        assert isinstance(server, Zerohop)
        return server

    @contextmanager
    def own(self, make: Callable[[Path, str | None, str], T], *, cpus: str | None = PINNED) -> Iterator[T]:
        """A further server, made of a folder, its cores and a label; it runs while the context lasts.

        It is pinned to the cores `cpus`, where None stands for all, and PINNED for the one of all servers.
        """
        self._labels += 1
        server = make(self.folder, self.server_cpus if cpus == PINNED else cpus, f"own-{self._labels}")
        assert isinstance(server, Server)
        try:
            server.start()
            yield server
        finally:
            server.stop()

    def keep(self, make: Callable[[Path, str | None, str], T]) -> T:
        """The same, but it runs until the end of the stage."""
        return self._stack.enter_context(self.own(make))

    def once(self, name: str, find: Callable[[], T]) -> T:
        """What `find` finds, found once: for lines that show different sides of one measurement."""
        if name not in self._found:
            self._found[name] = find()
        found: T = self._found[name]
        return found

    def _start(self, cls: type[Server]) -> None:
        if cls.name in self._servers or cls.name in self.missing:
            return
        self.say(f"starting {cls.name}")
        server = cls(self.folder, self.server_cpus)
        self._stack.callback(server.stop)
        try:
            server.start()
            self._fill(server)
            self.versions[cls.name] = server.version()
        except (LoadFailed, OSError) as error:
            server.stop()
            if cls is Zerohop:
                raise NothingToMeasure(str(error)) from error
            self.missing[cls.name] = f"did not start: {failure(error)}"
            return
        self._servers[cls.name] = server

    def _fill(self, server: Server) -> None:
        small, block = os.urandom(4 * KIB), os.urandom(64 * KIB)
        for number in range(self.plan.small_objects):
            server.store(f"small-{number}", small)
        if isinstance(server, Moto):
            return
        for number in range(self.plan.block_objects):
            server.store(f"block-{number}", block)
        server.store("large", os.urandom(self.plan.large_bytes))

    # --------------------------------------------------------------------------------------------------- rounds

    def writers(self, *peers: type[Server]) -> list[tuple[str, Server, str]]:
        """Who takes PUTs, and into which bucket: SeaweedFS enters twice, with its fsync and without."""
        servers = self.servers(*peers)
        found = [(name, server, BUCKET) for name, server in servers.items() if server.takes_writes]
        weed = servers.get(SeaweedFs.name)
        return found if weed is None else [*found, (SYNCED, weed, SeaweedFs.synced_bucket)]

    def rounds(
        self,
        entrants: Sequence[Entrant],
        *,
        unit_size: int = 1,
        rounds: int | None = None,
        hot: bool = False,
    ) -> tuple[Figure, ...]:
        """What each reaches, a figure each; processor time is given for `unit_size` units of work.

        `hot`: each has a turn before the first round, since what was never read is not what is measured. A peer that
        fails is left out with a remark. Raises LoadFailed when the first entrant does.
        """
        values: dict[str, list[float]] = {entrant.who: [] for entrant in entrants}
        costs: dict[str, list[float]] = {entrant.who: [] for entrant in entrants}
        for number in range(-1 if hot else 0, rounds or self.plan.rounds):
            for entrant in entrants if number % 2 == 0 else reversed(entrants):
                if entrant.who not in values:
                    continue
                try:
                    rate, cpu_us = self.turn(entrant, unit_size)
                except (LoadFailed, OSError) as error:
                    if entrant is entrants[0]:
                        raise
                    del values[entrant.who]
                    self.remarks.append(f"{entrant.who} fell out: {failure(error)}")
                    continue
                if number >= 0:
                    values[entrant.who].append(rate)
                    costs[entrant.who].append(cpu_us)
        return tuple(Figure(who, tuple(found), tuple(costs[who])) for who, found in values.items())

    def turn(self, entrant: Entrant, unit_size: int = 1) -> tuple[float, float]:
        """The rate of one turn, and microseconds of the server's processor time for each unit."""
        before_s = entrant.server.cpu_s()
        work = entrant.run()
        spent_s = entrant.server.cpu_s() - before_s
        return work.rate, spent_s / max(work.units / unit_size, 1) * 1e6

    def point(self, x: float, entrant: Entrant, *, rounds: int = 2) -> Point:
        """One point of a curve: the median of a few turns."""
        turns = [self.turn(entrant) for _ in range(rounds)]
        return Point(
            x, statistics.median(rate for rate, _ in turns), statistics.median(cost for _, cost in turns)
        )


def failure(error: Exception) -> str:
    """What it says: the first line and, where a log follows, its last one."""
    first, *more = (str(error) or repr(error)).strip().splitlines()
    return f"{first[:200]} {more[-1][:200]}" if more else first[:300]

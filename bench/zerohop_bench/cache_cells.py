"""Cold, warm and direct reads of mounted objects side by side: by size, and by number of readers.

Who is compared takes turns within a round, in opposite orders in odd and even rounds. A cold turn has a mount of its
own, so that nothing of it is known or cached; on it as many small objects as there are readers were read before, so
that the connections to the origin stand, as they do for who reads the origin directly.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from zerohop_bench.cache_places import Origin, delayed, mounted
from zerohop_bench.cache_reads import Reading, read_all
from zerohop_bench.contest import machine_after, machine_now
from zerohop_bench.http_load import LoadFailed
from zerohop_bench.peer_servers import SeaweedFs
from zerohop_bench.results import OURS, Figure, Result, Run, Target
from zerohop_bench.stage import KIB, MIB, failure
from zerohop_bench.zerohop_servers import Zerohop

__all__ = ["COLD", "DIRECT", "FULL", "MEM", "QUICK", "SSD", "Cell", "Plan", "Way", "measure", "results"]

S = TypeVar("S", SeaweedFs, Zerohop)

COLD: Final = f"{OURS}, cold"
MEM: Final = f"{OURS}, warm in MEM"
SSD: Final = f"{OURS}, warm in SSD"
DIRECT: Final = "origin"

FIRST_BYTE: Final = Target(1.2, DIRECT, at_most=True)
COLD_RATE: Final = Target(0.9, DIRECT)
WARM_RATE: Final = Target(10.0, DIRECT)

_MAX_READERS: Final = 8
_ONLY_DISK: Final = "[worker]\nmem_quota = 0\n"


class Cell(NamedTuple):
    """One size by one number of readers. Each reader reads `times` objects one after another, its own ones; but
    those of `shared` size are one object for all readers. `limited`: on a way to the origin that has a rate.
    """

    size_bytes: int
    readers: int
    times: int = 1
    shared: bool = False
    limited: bool = False

    @property
    def name(self) -> str:
        """As in "64m-8"."""
        size = f"{self.size_bytes >> 20}m" if self.size_bytes >= MIB else f"{self.size_bytes >> 10}k"
        return f"{size}-{self.readers}{'-limited' if self.limited else ''}"

    @property
    def title(self) -> str:
        """As in "64 MiB, eight readers"."""
        large = self.size_bytes >= MIB
        size = f"{self.size_bytes >> 20} MiB" if large else f"{self.size_bytes >> 10} KiB"
        readers = "one reader" if self.readers == 1 else f"{self.readers} readers"
        way = ", limited way" if self.limited else ""
        return f"{size}, {readers}{' of one object' if self.shared else ''}{way}"

    def keys(self, reader: int) -> list[str]:
        """What a reader reads, in order."""
        first = 0 if self.shared else reader * self.times
        return [f"{self.size_bytes}-{number}" for number in range(first, first + self.times)]


class Plan(NamedTuple):
    """What is measured. All cells of one size share their objects."""

    name: str
    rounds: int
    cells: tuple[Cell, ...]


FULL: Final = Plan(
    "full",
    5,
    (
        Cell(64 * KIB, 1, times=32),
        Cell(64 * KIB, 8, times=16),
        Cell(64 * MIB, 1),
        Cell(64 * MIB, 8),
        Cell(256 * MIB, 1),
        Cell(256 * MIB, 8, shared=True),
        Cell(64 * KIB, 1, times=32, limited=True),
        Cell(1 * MIB, 1, times=16, limited=True),
        Cell(8 * MIB, 1, times=4, limited=True),
        Cell(64 * MIB, 1, limited=True),
        Cell(256 * MIB, 1, limited=True),
    ),
)
QUICK: Final = Plan(
    "quick",
    3,
    (
        Cell(64 * KIB, 8, times=4),
        Cell(64 * MIB, 1),
        Cell(256 * MIB, 1),
        Cell(1 * MIB, 1, times=8, limited=True),
        Cell(8 * MIB, 1, times=4, limited=True),
        Cell(64 * MIB, 1, limited=True),
    ),
)


class Way(NamedTuple):
    """How far the origin is, and what the limited way to it carries in a second, over all connections."""

    round_trip_s: float
    bytes_per_s: float


class _Turn(NamedTuple):
    reading: Reading
    cpu_us: float
    """Of the cluster for a MiB, or for an object where they are small; 0 where that is not ours to tell."""


class _Place:
    """Who is compared, running and filled."""

    def __init__(
        self, origins: dict[bool, Origin], fast: Zerohop, disk: Zerohop, warm: dict[tuple[str, bool], Origin]
    ) -> None:
        """`origins` and `warm` mounts by whether the way to them is limited."""
        self._origins = origins
        self._fast = fast
        self._disk = disk
        self._warm = warm
        self._mounts = 0

    def turn(self, who: str, cell: Cell) -> _Turn:
        """One turn of one of them. Raises LoadFailed, OSError."""
        if who == DIRECT:
            return _Turn(_read(self._origins[cell.limited], cell), 0.0)
        if who != COLD:
            return _timed(self._disk if who == SSD else self._fast, self._warm[who, cell.limited], cell)
        self._mounts += 1
        with mounted(self._fast, self._origins[cell.limited], f"cold-{self._mounts}") as bucket:
            probes = [[bucket.get(_probe(reader), 1)] for reader in range(cell.readers)]
            read_all(bucket.address, probes[0][0], probes)
            return _timed(self._fast, bucket, cell)


def _timed(cluster: Zerohop, bucket: Origin, cell: Cell) -> _Turn:
    before_s = cluster.cpu_s()
    reading = _read(bucket, cell)
    units = cell.readers * cell.times * max(1, cell.size_bytes // MIB)
    return _Turn(reading, (cluster.cpu_s() - before_s) / units * 1e6)


def _read(place: Origin, cell: Cell) -> Reading:
    readers = [
        [place.get(key, cell.size_bytes) for key in cell.keys(reader)] for reader in range(cell.readers)
    ]
    return read_all(place.address, place.get(_probe(0), 1), readers)


def _probe(number: int) -> str:
    return f"probe-{number}"


def measure(
    plan: Plan,
    given: Origin | None,
    way: Way,
    folder: Path | None,
    say: Callable[[str], None],
) -> Run:
    """Measures it all with the origin that far away: `given`, or a SeaweedFS of our own. Raises LoadFailed when
    something does not start; leaves nothing behind, at the origin neither.
    """
    started_s, machine = time.monotonic(), machine_now()
    versions: dict[str, str] = {}
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zerohop-bench-", dir=folder)))
        origin = given
        if origin is None:
            say("starting the origin")
            weed = stack.enter_context(_running(SeaweedFs(home, None)))
            origin = Origin(weed.address, weed.keys)
            versions["origin"] = f"origin: {weed.version()}"
        say("filling the origin")
        stack.enter_context(_filled(origin, plan.cells))
        origins = {
            False: stack.enter_context(delayed(origin, way.round_trip_s)),
            True: stack.enter_context(delayed(origin, way.round_trip_s, way.bytes_per_s)),
        }
        say("starting the clusters")
        fast = stack.enter_context(_running(Zerohop(home, None, "mem")))
        disk = stack.enter_context(_running(Zerohop(home, None, "ssd", settings=_ONLY_DISK)))
        versions[OURS] = fast.version()
        warm = {
            (who, limited): stack.enter_context(mounted(cluster, far, "warm-limited" if limited else "warm"))
            for who, cluster in ((MEM, fast), (SSD, disk))
            for limited, far in origins.items()
        }
        place = _Place(origins, fast, disk, warm)
        found = [result for cell in plan.cells for result in _cell_results(place, cell, plan.rounds, say)]
    took_s = time.monotonic() - started_s
    return Run(plan.name, machine_after(machine), took_s, versions, {}, tuple(found), ())


@contextmanager
def _running(server: S) -> Iterator[S]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def _filled(origin: Origin, wanted: Sequence[Cell]) -> Iterator[None]:
    probes = {_probe(reader): b"x" for reader in range(_MAX_READERS)}
    sizes = {key: cell.size_bytes for cell in wanted for n in range(cell.readers) for key in cell.keys(n)}
    stored: list[str] = []
    try:
        for key, body in probes.items():
            origin.store(key, body)
            stored.append(key)
        for key, size_bytes in sizes.items():
            origin.store(key, os.urandom(size_bytes))
            stored.append(key)
        yield
    finally:
        for key in stored:
            origin.delete(key)


def _cell_results(place: _Place, cell: Cell, rounds: int, say: Callable[[str], None]) -> tuple[Result, ...]:
    say(cell.title)
    who = (COLD, DIRECT, MEM, SSD)
    turns: dict[str, list[_Turn]] = {one: [] for one in who}
    try:
        for one in (MEM, SSD):
            place.turn(one, cell)  # fills the cache
        for number in range(rounds):
            for one in who if number % 2 == 0 else reversed(who):
                turns[one].append(place.turn(one, cell))
    except (LoadFailed, OSError) as error:
        return (Result(cell.name, cell.title, "B/s", failed=failure(error)),)
    return results(
        cell,
        {one: [turn.reading for turn in took] for one, took in turns.items()},
        {one: tuple(turn.cpu_us for turn in took) for one, took in turns.items() if one != DIRECT},
    )


def results(
    cell: Cell, readings: dict[str, list[Reading]], cpu_us: dict[str, tuple[float, ...]]
) -> tuple[Result, ...]:
    """The lines of a cell: first byte, rate of cold reads, rate of warm ones. Pure."""
    is_large = cell.size_bytes >= MIB
    unit = "B/s" if is_large else "req/s"

    def firsts(who: str) -> Figure:
        return Figure(who, tuple(reading.first_byte_s for reading in readings[who]))

    def rates(who: str) -> Figure:
        by = 1 if is_large else cell.size_bytes
        return Figure(who, tuple(reading.bytes_per_s / by for reading in readings[who]), cpu_us.get(who, ()))

    return (
        Result(
            f"{cell.name}-first",
            f"{cell.title}: first byte",
            "s",
            tuple(firsts(who) for who in (COLD, DIRECT, MEM, SSD)),
            (FIRST_BYTE,),
        ),
        Result(f"{cell.name}-cold", f"{cell.title}: cold", unit, (rates(COLD), rates(DIRECT)), (COLD_RATE,)),
        Result(
            f"{cell.name}-warm",
            f"{cell.title}: warm",
            unit,
            (rates(MEM), rates(SSD), rates(DIRECT)),
            (WARM_RATE,),
        ),
    )

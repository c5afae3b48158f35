"""The data path against its peers: SeaweedFS's S3 server, and nginx as the bound of what a server can do.

Each server has one core, all its processes together, and the load comes from another one. Every line is measured
round by round, the servers taking turns within a round, so that whatever else the machine does meets all of them;
a figure is the median of its rounds, and only ratios of one run mean anything.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

from zerohop_bench.http_load import Work, exchanges, get_streams, put_stream, reads
from zerohop_bench.peer_servers import BUCKET, Nginx, SeaweedFs, Server, Zerohop

__all__ = ["FULL", "QUICK", "Figure", "Line", "Plan", "measure"]

_KIB: Final = 1 << 10
_MIB: Final = 1 << 20
_SMALL_OBJECTS: Final = 1000
"""Read in turn: more than any cache of a few hot objects would hold, and all in memory, as nginx has them."""
_BLOCK_OBJECTS: Final = 200
"""Of 64 KiB: too large to stand in the metadata, so they are read from a worker's blocks."""
_PUTS_PER_S: Final = 12_000
"""PUTs made ahead for each second of a round; a server that is faster ends its round earlier."""

_HEADS_PER_S: Final = 60_000


class Plan(NamedTuple):
    """How long to measure."""

    rounds: int
    seconds: float


QUICK: Final = Plan(rounds=3, seconds=1.0)
FULL: Final = Plan(rounds=7, seconds=4.0)


class Figure(NamedTuple):
    """What one server reached on one line: median of the rounds, and processor time for each unit of work."""

    server: str
    rates: tuple[float, ...]
    cpu_us: float

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)


class Line(NamedTuple):
    """One line of the table. `unit` is "req/s" or "B/s"; processor time is given for a request, or a MiB."""

    name: str
    unit: str
    figures: tuple[Figure, ...]

    def ratio(self, server: str) -> float | None:
        """The rate of zerohop, as a multiple of this server's; None where one of them was not measured."""
        ours, theirs = self._figure(Zerohop.name), self._figure(server)
        return None if ours is None or theirs is None else ours.rate / theirs.rate

    def cpu_ratio(self, server: str) -> float | None:
        """How often zerohop could do the same work in this server's processor time.

        On a busy machine more to be trusted than the rates: those depend on how the kernel divides a core among
        whoever wants it, and it gives a cluster of four processes more than a server of one.
        """
        ours, theirs = self._figure(Zerohop.name), self._figure(server)
        return None if ours is None or theirs is None or not ours.cpu_us else theirs.cpu_us / ours.cpu_us

    def _figure(self, server: str) -> Figure | None:
        return next((figure for figure in self.figures if figure.server == server), None)


class _Contest(NamedTuple):
    name: str
    unit: str
    entrants: dict[str, Callable[[], Work]]
    servers: dict[str, Server]


def measure(
    plan: Plan, folder: Path | None, say: Callable[[str], None]
) -> tuple[dict[str, str], dict[str, str], list[Line]]:
    """Versions of what was measured, how to install what was not, and the lines. Raises LoadFailed.

    The servers keep their data in a temporary folder below `folder`.
    """
    server_cpu, load_cpu = _cpus()
    missing = {cls.name: cls.missing() for cls in (Zerohop, SeaweedFs, Nginx) if cls.missing()}
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zerohop-peers-", dir=folder)))
        servers: dict[str, Server] = {}
        for cls in (Zerohop, SeaweedFs, Nginx):
            if cls.name not in missing:
                server = cls(place, server_cpu)
                stack.callback(server.stop)
                say(f"starting {cls.name}")
                server.start()
                servers[cls.name] = server
        _fill(servers, say)
        lines = []
        for contest in _contests(servers, plan, load_cpu):
            say(contest.name)
            lines.append(_run(contest, plan.rounds))
        return {name: server.version() for name, server in servers.items()}, missing, lines


def _cpus() -> tuple[int | None, int | None]:
    """One core for the servers, another for the load; none are pinned where there is only one."""
    available = sorted(os.sched_getaffinity(0))
    return (available[0], available[1]) if len(available) > 1 else (None, None)


def _fill(servers: dict[str, Server], say: Callable[[str], None]) -> None:
    say("storing the objects to read")
    small, block, large = os.urandom(4 * _KIB), os.urandom(64 * _KIB), os.urandom(256 * _MIB)
    for server in servers.values():
        for number in range(_SMALL_OBJECTS):
            server.store(f"small-{number}", small)
        for number in range(_BLOCK_OBJECTS):
            server.store(f"block-{number}", block)
        server.store("large", large)


def _contests(servers: dict[str, Server], plan: Plan, cpu: int | None) -> list[_Contest]:
    s3 = {name: server for name, server in servers.items() if name != Nginx.name}
    body = os.urandom(64 * _MIB)

    def small_reads(prefix: str, count: int) -> dict[str, Callable[[], Work]]:
        return {
            name: lambda server=server: reads(  # type: ignore[misc]
                server.address,
                [server.target("GET", f"{prefix}-{number}") for number in range(count)],
                seconds=plan.seconds,
                cpu=cpu,
            )
            for name, server in servers.items()
        }

    def heads() -> dict[str, Callable[[], Work]]:
        return {
            name: lambda server=server: exchanges(  # type: ignore[misc]
                server.address, _heads(server, plan.seconds), seconds=plan.seconds, cpu=cpu
            )
            for name, server in s3.items()
        }

    def streams(count: int) -> dict[str, Callable[[], Work]]:
        return {
            name: lambda server=server: get_streams(  # type: ignore[misc]
                server.address, server.target("GET", "large"), 256 * _MIB, streams=count, cpu=cpu
            )
            for name, server in servers.items()
        }

    def large_puts() -> dict[str, Callable[[], Work]]:
        return {
            name: lambda server=server, bucket=bucket: put_stream(  # type: ignore[misc]
                server.address, server.put_head(bucket, "upload", body), body, cpu=cpu
            )
            for name, server, bucket in _writers(s3)
        }

    def small_puts() -> dict[str, Callable[[], Work]]:
        return {
            name: _SmallPuts(server, bucket, plan.seconds, cpu).run for name, server, bucket in _writers(s3)
        }

    owners = {name: server for name, server, _ in _writers(s3)} | servers
    return [
        _Contest("4 KiB GET, signed, 32 connections", "req/s", small_reads("small", _SMALL_OBJECTS), owners),
        _Contest("HEAD, signed, 32 connections", "req/s", heads(), owners),
        _Contest("64 KiB GET, signed, 32 connections", "req/s", small_reads("block", _BLOCK_OBJECTS), owners),
        _Contest("4 KiB PUT, signed, 32 connections", "req/s", small_puts(), owners),
        _Contest("256 MiB GET, 1 stream", "B/s", streams(1), owners),
        _Contest("256 MiB GET, 8 streams", "B/s", streams(8), owners),
        _Contest("64 MiB PUT, 1 stream", "B/s", large_puts(), owners),
    ]


SYNCED: Final = f"{SeaweedFs.name} (fsync)"


def _writers(servers: dict[str, Server]) -> list[tuple[str, Server, str]]:
    """Who takes PUTs, and into which bucket: SeaweedFS enters twice, with its fsync and without."""
    found = [(name, server, BUCKET) for name, server in servers.items()]
    weed = servers.get(SeaweedFs.name)
    return found if weed is None else [*found, (SYNCED, weed, SeaweedFs.synced_bucket)]


def _heads(server: Server, seconds: float) -> list[bytes]:
    heads = [
        f"HEAD {server.target('HEAD', f'small-{number}')} HTTP/1.1\r\nHost: {server.host}\r\n\r\n".encode()
        for number in range(_SMALL_OBJECTS)
    ]
    return heads * (1 + int(_HEADS_PER_S * seconds) // _SMALL_OBJECTS)


class _SmallPuts:
    """PUTs of new keys each time: an overwrite would be another thing."""

    def __init__(self, server: Server, bucket: str, seconds: float, cpu: int | None) -> None:
        self._server, self._bucket, self._seconds, self._cpu = server, bucket, seconds, cpu
        self._made = 0

    def run(self) -> Work:
        body = os.urandom(4 * _KIB)
        first = self._made
        self._made += int(_PUTS_PER_S * self._seconds)
        heads = [
            self._server.put_head(self._bucket, f"put/{number}", body) for number in range(first, self._made)
        ]
        requests = [head + body for head in heads]
        return exchanges(self._server.address, requests, seconds=self._seconds, cpu=self._cpu)


def _run(contest: _Contest, rounds: int) -> Line:
    rates: dict[str, list[float]] = {name: [] for name in contest.entrants}
    costs: dict[str, list[float]] = {name: [] for name in contest.entrants}
    for _ in range(rounds):
        for name, run in contest.entrants.items():
            server = contest.servers[name]
            before_s = server.cpu_s()
            work = run()
            rates[name].append(work.rate)
            units = work.units if contest.unit == "req/s" else work.units / _MIB
            costs[name].append((server.cpu_s() - before_s) / units * 1e6)
    return Line(
        contest.name,
        contest.unit,
        tuple(Figure(name, tuple(rates[name]), statistics.median(costs[name])) for name in contest.entrants),
    )

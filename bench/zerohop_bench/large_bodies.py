"""Lines of large bodies: GET of 256 MiB over one stream and eight, from this host and from another; PUT of 64 MiB."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from zerohop_bench.bare_loop import BareLoop
from zerohop_bench.http_load import Work, get_streams, put_stream
from zerohop_bench.peer_servers import Minio, SeaweedFs
from zerohop_bench.results import OURS, Figure
from zerohop_bench.servers import Server
from zerohop_bench.stage import MIB, Entrant, Stage
from zerohop_bench.zerohop_servers import Zerohop, ZerohopHosts

__all__ = [
    "BARE_LOOP",
    "LOCAL",
    "eight_streams",
    "one_stream",
    "puts_on_free_cores",
    "puts_on_one_core",
    "remote",
]

BARE_LOOP: Final = "bare loop"
LOCAL: Final = f"{OURS}, same host"
_UPLOAD_BYTES: Final = 64 * MIB
_FILLING_UPLOADS: Final = 6


def one_stream(stage: Stage) -> tuple[Figure, ...]:
    """256 MiB GET over one connection, a few in a turn: processor time is told in steps of 10 ms only."""
    return _streams(stage, 1, times=stage.plan.large_times)


def eight_streams(stage: Stage) -> tuple[Figure, ...]:
    """The same over eight at once."""
    return _streams(stage, 8)


def puts_on_one_core(stage: Stage) -> tuple[Figure, ...]:
    """64 MiB PUT with the body's hash signed, as SDKs do over plain HTTP."""
    body = os.urandom(_UPLOAD_BYTES)

    def entrant(name: str, server: Server, bucket: str) -> Entrant:
        def run() -> Work:
            head = server.put_head(bucket, "upload", body)
            return put_stream(server.address, head, body, cpu=stage.load_cpu)

        return Entrant(name, server, run)

    entrants = [entrant(*writer) for writer in stage.writers(SeaweedFs, Minio)]
    return stage.rounds(entrants, unit_size=MIB)


def puts_on_free_cores(stage: Stage) -> tuple[Figure, ...]:
    """64 MiB PUT by a cluster that is not pinned, against a loop that does the least that must be done."""
    body = os.urandom(_UPLOAD_BYTES)

    def entrant(name: str, server: Server) -> Entrant:
        def run() -> Work:
            head = server.head("PUT", "upload", length_bytes=len(body))  # MD5 is all that both must hash
            return put_stream(server.address, head, body, cpu=None)

        return Entrant(name, server, run)

    with stage.own(_full_soon, cpus=None) as cluster, stage.own(BareLoop, cpus=None) as bare:
        entrants = [entrant(OURS, cluster), entrant(BARE_LOOP, bare)]
        for _ in range(_FILLING_UPLOADS):
            entrants[0].run()
        return stage.rounds(
            entrants,
            unit_size=MIB,
            rounds=stage.plan.large_rounds,
        )


def _full_soon(folder: Path, cpus: str | None, label: str) -> Zerohop:
    """A cluster whose memory tier is filled by a few uploads, as it is in use: then it takes the place of what it
    evicts, and no memory that the machine has never used, which costs several times as much (the bare loop deletes
    its last file, too).
    """
    return Zerohop(folder, cpus, label, settings=f'[worker]\nmem_quota = "{_UPLOAD_BYTES * 4 // MIB}MiB"\n')


def remote(stage: Stage) -> tuple[Figure, ...]:
    """256 MiB GET through a proxy that takes its worker for another host, against the local path."""

    def elsewhere(*place: object) -> ZerohopHosts:
        return ZerohopHosts(*place, worker_hosts=("one",), proxy_host="two")  # type: ignore[arg-type]

    near = stage.ours
    with stage.own(elsewhere) as far:
        far.store("large", os.urandom(stage.plan.large_bytes))
        entrants = [
            _stream(stage, name, server, 1, stage.plan.large_times)
            for name, server in ((OURS, far), (LOCAL, near))
        ]
        return stage.rounds(entrants, unit_size=MIB, rounds=stage.plan.large_rounds)


def _streams(stage: Stage, count: int, times: int = 1) -> tuple[Figure, ...]:
    entrants = [_stream(stage, name, server, count, times) for name, server in stage.all_servers().items()]
    return stage.rounds(entrants, unit_size=MIB, rounds=stage.plan.large_rounds)


def _stream(stage: Stage, name: str, server: Server, count: int, times: int) -> Entrant:
    target = server.target("GET", "large")
    size_bytes = stage.plan.large_bytes
    return Entrant(
        name,
        server,
        lambda: get_streams(
            server.address, target, size_bytes, streams=count, cpu=stage.load_cpu, times=times
        ),
    )

"""Lines of small requests: GET, HEAD and PUT of 4 KiB, GET of 64 KiB, and a mix of them over hot and cold keys."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterable
from typing import Final

from zerohop_bench.http_exchanges import exchanges
from zerohop_bench.http_load import Work, missing_wrk, reads
from zerohop_bench.peer_servers import Minio, Moto, Nginx, SeaweedFs
from zerohop_bench.results import OURS, Figure
from zerohop_bench.servers import Server
from zerohop_bench.stage import KIB, Entrant, Stage

__all__ = [
    "GET_BY_OURS",
    "block_gets",
    "header_signed_gets",
    "heads",
    "mixed",
    "presigned_gets",
    "puts",
    "run_presigned",
    "zipf_keys",
]

GET_BY_OURS: Final = f"{OURS}, 4 KiB GET"
"""GETs by the same generator as HEADs, to compare those with."""

_PUTS_PER_S: Final = 8_000
"""PUTs made ahead for each second of a turn; a server that is faster ends its turn earlier."""
_MIXED_REQUESTS: Final = 4_000
_ZIPF_EXPONENT: Final = 1.0
_SHARES: Final = {"GET": 70, "HEAD": 10, "PUT": 15, "LIST": 5}
"""Percent of each kind in the mix; read-mostly, as object stores are."""


def presigned_gets(stage: Stage) -> tuple[Figure, ...]:
    """4 KiB GET by presigned URLs, all objects in turn over 32 connections."""
    servers = stage.servers(Nginx, SeaweedFs, Minio, Moto)
    return stage.rounds(_readers(stage, servers, "small", stage.plan.small_objects), hot=True)


def block_gets(stage: Stage) -> tuple[Figure, ...]:
    """The same of objects of 64 KiB."""
    return stage.rounds(_readers(stage, stage.all_servers(), "block", stage.plan.block_objects), hot=True)


def header_signed_gets(stage: Stage) -> tuple[Figure, ...]:
    """4 KiB GET with the signature in the header, as SDKs send them."""
    servers = stage.servers(SeaweedFs, Minio)
    return stage.rounds([_by_ours(stage, name, server, "GET") for name, server in servers.items()])


def heads(stage: Stage) -> tuple[Figure, ...]:
    """HEAD, and our GET by the same generator."""
    servers = stage.servers(SeaweedFs, Minio)
    entrants = [_by_ours(stage, name, server, "HEAD") for name, server in servers.items()]
    entrants.insert(1, _by_ours(stage, GET_BY_OURS, stage.ours, "GET"))
    return stage.rounds(entrants)


def puts(stage: Stage) -> tuple[Figure, ...]:
    """4 KiB PUT of new keys, the body's hash signed."""
    return stage.rounds(
        [
            Entrant(name, server, _SmallPuts(stage, server, bucket).run)
            for name, server, bucket in stage.writers(SeaweedFs, Minio, Moto)
        ]
    )


def mixed(stage: Stage) -> tuple[Figure, ...]:
    """GET, HEAD, PUT and LIST of 100 keys, on keys of a Zipf distribution."""
    servers = stage.servers(SeaweedFs, Minio)
    body = os.urandom(4 * KIB)

    def entrant(name: str, server: Server) -> Entrant:
        return Entrant(
            name, server, _exchange(stage, server, lambda: list(_mix(server, body, stage.plan.small_objects)))
        )

    return stage.rounds([entrant(name, server) for name, server in servers.items()])


def zipf_keys(count: int, draws: int, seed: int = 1) -> list[int]:
    """Numbers below `count`, of which the n-th most frequent comes about 1/n as often as the first."""
    weights = list(itertools.accumulate(1 / (rank + 1) ** _ZIPF_EXPONENT for rank in range(count)))
    return random.Random(seed).choices(range(count), cum_weights=weights, k=draws)


def run_presigned(
    stage: Stage, server: Server, targets: list[str], *, connections: int = 32
) -> Callable[[], Work]:
    """GETs of `targets` round and round: by wrk, or by our own generator where there is none."""
    seconds, cpu = stage.plan.seconds, stage.load_cpu
    if not missing_wrk():
        return lambda: reads(server.address, targets, seconds=seconds, cpu=cpu, connections=connections)
    requests = [f"GET {target} HTTP/1.1\r\nHost: {server.host}\r\n\r\n".encode() for target in targets]
    return lambda: exchanges(
        server.address, requests, seconds=seconds, cpu=cpu, connections=connections, again=True
    )


def _readers(stage: Stage, servers: dict[str, Server], prefix: str, count: int) -> list[Entrant]:
    return [
        Entrant(
            name,
            server,
            run_presigned(stage, server, [server.target("GET", f"{prefix}-{n}") for n in range(count)]),
        )
        for name, server in servers.items()
    ]


def _by_ours(stage: Stage, name: str, server: Server, method: str) -> Entrant:
    return Entrant(
        name,
        server,
        _exchange(
            stage,
            server,
            lambda: [server.head(method, f"small-{n}") for n in range(stage.plan.small_objects)],
        ),
    )


def _exchange(stage: Stage, server: Server, make: Callable[[], list[bytes]]) -> Callable[[], Work]:
    """Requests round and round; made for each turn, since a signature in the header is good for 15 minutes only."""
    return lambda: exchanges(
        server.address, make(), seconds=stage.plan.seconds, cpu=stage.load_cpu, again=True
    )


def _mix(server: Server, body: bytes, objects: int) -> Iterable[bytes]:
    kinds = random.Random(2).choices(list(_SHARES), weights=list(_SHARES.values()), k=_MIXED_REQUESTS)
    for kind, number in zip(kinds, zipf_keys(objects, _MIXED_REQUESTS), strict=True):
        if kind == "PUT":
            yield server.head("PUT", f"mixed-{number}", length_bytes=len(body)) + body
        elif kind == "LIST":
            query = {
                "list-type": "2",
                "max-keys": "100",
                "prefix": "small-",
                "start-after": f"small-{number}",
            }
            yield server.head("GET", "", query=query)
        else:
            yield server.head(kind, f"small-{number}")


class _SmallPuts:
    """PUTs of new keys each time: an overwrite would be another thing."""

    def __init__(self, stage: Stage, server: Server, bucket: str) -> None:
        self._server, self._bucket = server, bucket
        self._seconds, self._cpu = stage.plan.seconds, stage.load_cpu
        self._made = 0

    def run(self) -> Work:
        """One turn."""
        body = os.urandom(4 * KIB)
        first = self._made
        self._made += int(_PUTS_PER_S * self._seconds)
        requests = [
            self._server.put_head(self._bucket, f"put/{number}", body) + body
            for number in range(first, self._made)
        ]
        return exchanges(self._server.address, requests, seconds=self._seconds, cpu=self._cpu)

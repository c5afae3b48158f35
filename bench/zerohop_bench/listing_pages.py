"""Lines of LIST: pages of 1,000 keys out of buckets of a thousand keys to a million."""

from __future__ import annotations

from collections.abc import Sequence

from zerohop_bench import many_keys
from zerohop_bench.http_exchanges import exchanges
from zerohop_bench.http_load import LoadFailed, Work
from zerohop_bench.peer_servers import Minio, SeaweedFs
from zerohop_bench.results import OURS, Figure
from zerohop_bench.servers import Server
from zerohop_bench.stage import Entrant, Stage
from zerohop_bench.zerohop_servers import Zerohop

__all__ = ["cluster_of_many_keys", "of_keys", "pages"]

_PAGES = 100
_CONNECTIONS = 4
_FILL_S = 90.0


def of_keys(count: int) -> str:
    """How our figure for a bucket of `count` keys is called, except for the largest, which is the line's own."""
    return f"{OURS}, {count:,} keys"


def cluster_of_many_keys(stage: Stage) -> Zerohop:
    """The cluster whose buckets they are; it runs until the end of the stage."""

    def start() -> Zerohop:
        cluster = stage.keep(Zerohop)
        stage.say(f"filling buckets of up to {stage.plan.listed_keys[-1]:,} keys")
        many_keys.fill(cluster, stage.plan.listed_keys)
        return cluster

    return stage.once("many keys", start)


def pages(stage: Stage) -> tuple[Figure, ...]:
    """Pages a second over 4 connections, the largest bucket first."""
    cluster = cluster_of_many_keys(stage)
    *fewer, most = stage.plan.listed_keys
    entrants = [_entrant(stage, OURS, cluster, many_keys.bucket_of(most), most)]
    entrants += [
        _entrant(stage, of_keys(count), cluster, many_keys.bucket_of(count), count) for count in fewer
    ]
    count = stage.plan.peer_listed_keys
    for name, server in stage.servers(SeaweedFs, Minio).items():
        if name != OURS:
            try:
                _put_keys(stage, server, count)
            except (LoadFailed, OSError) as error:
                stage.remarks.append(f"{name} fell out: {error}")
            else:
                entrants.append(_entrant(stage, name, server, many_keys.bucket_of(count), count))
    return stage.rounds(entrants)


def _put_keys(stage: Stage, server: Server, count: int) -> None:
    """Under the same keys as ours; over S3, since nobody knows the insides of a peer."""
    bucket = many_keys.bucket_of(count)
    server.make_bucket(bucket)
    requests = [server.put_head(bucket, many_keys.key_of(number), b"") for number in range(count)]
    work = exchanges(server.address, requests, seconds=_FILL_S, cpu=stage.load_cpu)
    if work.units != count:
        raise LoadFailed(f"stored only {work.units} of {count} keys in {_FILL_S:.0f} s")


def _entrant(stage: Stage, who: str, server: Server, bucket: str, count: int) -> Entrant:
    starts = many_keys.page_starts(count, _PAGES)

    def run() -> Work:
        requests: Sequence[bytes] = [
            server.head("GET", "", bucket=bucket, query=_query(start)) for start in starts
        ]
        return exchanges(
            server.address,
            requests,
            seconds=stage.plan.seconds,
            cpu=stage.load_cpu,
            connections=_CONNECTIONS,
            again=True,
        )

    return Entrant(who, server, run)


def _query(start: str) -> dict[str, str]:
    return {"list-type": "2", "max-keys": "1000"} | ({"start-after": start} if start else {})

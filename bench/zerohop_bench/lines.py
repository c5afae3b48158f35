"""The table of lines: what is measured, against whom, and what it should reach. Everything else follows from it.

A line's first figure is ours. Its targets name the others by what they are called among its figures.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, NamedTuple

from zerohop_bench import by_reference, large_bodies, listing_pages, members, small_requests, standing_costs
from zerohop_bench.peer_servers import Nginx, SeaweedFs
from zerohop_bench.results import Figure, Target
from zerohop_bench.stage import MIB, SYNCED, Plan, Stage

__all__ = ["LINES", "PEER_LINES", "Line"]

_NGINX: Final = Nginx.name
_WEED: Final = SeaweedFs.name
_SENDFILE: Final = (Target(1.0, _NGINX, worst=0.95), Target(1.1, _NGINX, at_most=True, by_cpu=True))


class Line(NamedTuple):
    """`title` may name fields of the plan.

    `unit` is "req/s" or "B/s" (more is better), or "us", "s", "B" or "%" of a core (less is better).
    """

    name: str
    title: str
    unit: str
    measure: Callable[[Stage], tuple[Figure, ...]]
    targets: tuple[Target, ...] = ()
    tolerance: float = 0.3
    """Share by which a ratio may get worse before the guard calls it a regression."""

    def title_of(self, plan: Plan) -> str:
        """The title with the sizes of `plan`."""
        return self.title.format(**plan._asdict(), most_keys=plan.listed_keys[-1])


_TWO_PROXIES: Final = (
    Target(1.7, members.ONE_PROXY)
    if len(os.sched_getaffinity(0)) >= members.CORES_FOR_A_RATE
    else Target(1.15, members.ONE_PROXY, at_most=True, by_cpu=True)
)

LINES: Final = (
    Line(
        "get-4k", "4 KiB GET, presigned", "req/s", small_requests.presigned_gets,
        (Target(0.5, _NGINX), Target(2.0, _WEED)),
    ),
    Line(
        "get-4k-header", "4 KiB GET, signed in the header", "req/s", small_requests.header_signed_gets,
        (Target(2.0, _WEED),),
    ),
    Line(
        "head", "HEAD, signed in the header", "req/s", small_requests.heads,
        (Target(1.0, small_requests.GET_BY_OURS),), tolerance=0.15,
    ),
    Line("get-64k", "64 KiB GET, presigned", "req/s", small_requests.block_gets),
    Line(
        "put-4k", "durable 4 KiB PUT, 32 connections", "req/s", small_requests.puts,
        (Target(1.5, SYNCED),),
    ),
    Line("mixed", "mix of GET, HEAD, PUT, LIST; Zipf keys", "req/s", small_requests.mixed),
    Line("get-256m", "256 MiB GET, one stream", "B/s", large_bodies.one_stream, _SENDFILE),
    Line("get-256m-8", "256 MiB GET, eight streams", "B/s", large_bodies.eight_streams, _SENDFILE),
    Line(
        "put-64m", "64 MiB PUT, hash signed", "B/s", large_bodies.puts_on_one_core,
        (Target(1.0, _WEED),),
    ),
    Line(
        "put-64m-free", "64 MiB PUT, cores free", "B/s", large_bodies.puts_on_free_cores,
        (Target(0.8, large_bodies.BARE_LOOP),),
    ),
    Line(
        "remote", "256 MiB GET, worker on another host", "B/s", large_bodies.remote,
        (Target(0.75, large_bodies.LOCAL),),
    ),
    Line(
        "hop-p50", "4 KiB read, one connection, p50", "us", members.hop_p50,
        (Target(1.5, members.NATIVE, at_most=True),),
    ),
    Line(
        "hop-p99", "4 KiB read, one connection, p99", "us", members.hop_p99,
        (Target(1.5, members.NATIVE, at_most=True),), tolerance=0.6,
    ),
    Line(
        "list", "LIST page of 1,000 keys out of {most_keys:,}", "req/s", listing_pages.pages,
        (Target(1 / 1.3, listing_pages.of_keys(1_000)), Target(2.0, _WEED)),
    ),
    Line("complete", "CompleteMultipartUpload of {parts:,} parts", "s", by_reference.complete),
    Line("copy", "CopyObject of 5 GiB", "s", by_reference.copy),
    Line(
        "moved", "bytes moved by both", "B", by_reference.moved_bytes,
        (Target(float(MIB), at_most=True),),
    ),
    Line(
        "idle-cpu", "idle cluster", "%", standing_costs.idle_cpu,
        (Target(1.0, at_most=True),), tolerance=0.5,
    ),
    Line(
        "idle-memory", "memory of {idle_connections:,} idle connections", "B", standing_costs.idle_connections,
        (Target(60.0 * MIB, at_most=True),),
    ),
    Line("two-proxies", "4 KiB GET, two proxies", "req/s", members.two_proxies, (_TWO_PROXIES,), tolerance=0.2),
    Line(
        "crowd", "fast client among {crowd:,} slow and {crowd:,} idle", "req/s", standing_costs.crowd,
        (Target(0.5, standing_costs.ALONE),), tolerance=0.4,
    ),
)  # fmt: skip

PEER_LINES: Final = ("get-4k", "head", "get-64k", "put-4k", "get-256m", "get-256m-8", "put-64m")
"""The plain data path, for a short look while working on it."""

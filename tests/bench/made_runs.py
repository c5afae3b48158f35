"""Runs as a measurement would leave them, for what is made of them."""

from __future__ import annotations

from zerohop_bench.results import OURS, Curve, Figure, Machine, Point, Result, Run, Series, Target

MACHINE = Machine("2026-01-02", 2, "Some CPU", 24 << 30, "6.1", 0.5, 1.5)


def made_run(
    rate: float = 2000.0,
    moved_bytes: float = 0.0,
    *,
    cpu_us: float = 100.0,
    missing: dict[str, str] | None = None,
) -> Run:
    ours = Figure(OURS, (rate, rate * 1.1), (cpu_us, cpu_us * 1.1))
    weed = Figure("SeaweedFS", (1000.0, 1100.0), (200.0, 210.0))
    nginx = Figure("nginx", (4000.0, 4400.0), (20.0, 21.0))
    others = tuple(figure for figure in (nginx, weed) if figure.who not in (missing or {}))
    targets = (Target(0.5, "nginx"), Target(2.0, "SeaweedFS"))
    results = (
        Result("get-4k", "4 KiB GET", "req/s", (ours, *others), targets),
        Result(
            "moved", "bytes moved", "B", (Figure(OURS, (moved_bytes,)),), (Target(1 << 20, at_most=True),)
        ),
        Result("list", "LIST page", "req/s", failed="no answer", remarks=("MinIO fell out: it is slow",)),
    )
    points = (Point(1024, 5000, 50), Point(1 << 20, 50, 5000))
    curve = Curve("size", "GET by size", "bytes", (Series(OURS, points), Series("nginx", points)))
    return Run("quick", MACHINE, 61.0, {"zerohop": "zerohop 1"}, missing or {}, results, (curve,))

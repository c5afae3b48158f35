"""The harness itself, in the smallest sizes: every line yields figures, and nothing is left behind."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from zerohop_bench import bare_loop, many_keys, process_tree
from zerohop_bench.bare_loop import BareLoop
from zerohop_bench.contest import measure
from zerohop_bench.growth import GROWTH
from zerohop_bench.http_load import Work
from zerohop_bench.lines import LINES, PEER_LINES, Line
from zerohop_bench.results import OURS, Run
from zerohop_bench.stage import QUICK

TINY = QUICK._replace(
    rounds=1,
    seconds=0.1,
    small_objects=20,
    block_objects=5,
    large_rounds=1,
    large_times=1,
    large_bytes=1 << 20,
    peers=(),
    listed_keys=(1000, 2500),
    parts=12,
    copied_bytes=2 * 64 << 20,
    idle_connections=5,
    idle_s=0.1,
    crowd=3,
    hop_seconds=0.02,
    curves=True,
)


ON_ONE_CLUSTER = {"head", "put-4k", "mixed", "get-256m", "put-64m", "hop-p50", "hop-p99", "complete", "moved"}


def test_lines_yield_figures_and_nothing_is_left(tmp_path: Path) -> None:
    lines = [line for line in LINES if line.name in ON_ONE_CLUSTER]
    plan = TINY._replace(curves=False)
    others = children()
    check(measure(plan, tmp_path, lambda _text: None, lines=lines), lines, tmp_path)
    assert children() <= others


@pytest.mark.soak(cost_s=90)
@pytest.mark.timeout(600)
def test_every_line_and_curve_yields_figures(tmp_path: Path) -> None:
    others = children()
    run = measure(TINY, tmp_path, lambda _text: None)
    check(run, LINES, tmp_path)
    assert children() <= others
    assert {curve.name: curve.failed for curve in run.curves} == {growth.name: "" for growth in GROWTH}
    assert all(point.cpu_us > 0 for curve in run.curves for one in curve.series for point in one.points)


def check(run: Run, lines: Sequence[Line], folder: Path) -> None:
    assert {result.name: result.failed for result in run.results if result.failed} == {}
    assert [result.name for result in run.results] == [line.name for line in lines]
    for result in run.results:
        assert result.figures[0].who == OURS
        assert all(figure.values for figure in result.figures)
    moved = run.result("moved")
    assert moved is not None
    assert moved.figures[0].median < 1 << 20
    assert os.listdir(folder) == []


def children() -> set[int]:
    """Pids of what this process has started: clusters that tests share, and all else."""
    return {child.pid for child in psutil.Process().children()}


def test_names_of_lines_are_unique() -> None:
    names = [line.name for line in LINES]
    assert len(set(names)) == len(names)
    assert set(PEER_LINES) < set(names)


def test_the_bare_loop_hashes_and_stores_what_it_receives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zerohop_bench.http_load import put_stream

    body = os.urandom(3 << 20)
    memory = tmp_path / "memory"
    memory.mkdir()
    monkeypatch.setattr(bare_loop, "_SHARED_MEMORY", memory)
    server = BareLoop(tmp_path, None, "bare")
    assert list(memory.iterdir())
    server.start()
    try:
        head = f"PUT /x HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        assert isinstance(put_stream(server.address, head, body, cpu=None), Work)
    finally:
        server.stop()
    assert (tmp_path / "bare" / "object-1").read_bytes() == body
    assert not list(memory.iterdir())


def test_pages_start_where_a_whole_page_is_left() -> None:
    assert set(many_keys.page_starts(1000, 5)) == {""}
    starts = many_keys.page_starts(5000, 50)
    assert all(start <= many_keys.key_of(4000) for start in starts)
    assert (
        hashlib.md5("".join(starts).encode()).hexdigest()
        == hashlib.md5("".join(many_keys.page_starts(5000, 50)).encode()).hexdigest()
    )


def test_a_process_tree_counts_its_children() -> None:
    own = [os.getpid()]
    assert os.getpid() in process_tree.members(os.getpid())
    assert process_tree.cpu_s(own) > 0
    assert process_tree.rss_bytes(own) > 1 << 20
    assert process_tree.members(2**22 + 1) == frozenset()

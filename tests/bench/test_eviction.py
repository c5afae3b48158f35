"""The eviction contest: its replays, its references, its rule, and its command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from zerohop.cli.bench_eviction import eviction
from zerohop_bench.eviction.candidates import Lru, Sieve, WTinyLfu
from zerohop_bench.eviction.contest import OURS, PAPER, run, standings
from zerohop_bench.eviction.references import replay_reference
from zerohop_bench.eviction.replay import replay, replay_optimal
from zerohop_bench.eviction.traces import BLOCK_BYTES, WORKLOADS, Trace, Workload
from zerohop_worker.cache_index import CacheIndex
from zerohop_worker.policy import Policy, S3Fifo

BY_NAME = {workload.name: workload for workload in WORKLOADS}


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_a_trace_is_the_same_each_time_and_nobody_beats_the_optimum(workload: Workload) -> None:
    trace = workload.trace(0.05, 3000)
    assert trace == workload.trace(0.05, 3000)
    optimal = replay_optimal(trace)
    assert optimal.misses >= len(trace.sizes)
    policies: list[Policy] = [S3Fifo(), Lru(), Sieve(), WTinyLfu(400)]
    for policy in policies:
        outcome = replay(trace, policy)
        assert outcome.total_bytes == sum(trace.sizes[block] for block in trace.accesses)
        if not workload.object_sizes:
            assert outcome.misses >= optimal.misses


@pytest.mark.parametrize("name", ["zipf 1.0", "readers of ranges", "popularity drifts", "mixed"])
def test_our_lru_and_sieve_miss_exactly_what_libcachesims_miss(name: str) -> None:
    trace = BY_NAME[name].trace(0.05, 10_000)
    assert replay(trace, Lru()).misses == replay_reference(trace, "LRU").misses
    assert replay(trace, Sieve()).misses == replay_reference(trace, "Sieve").misses


def test_our_s3_fifo_with_the_papers_settings_is_near_libcachesims() -> None:
    trace = BY_NAME["zipf 1.0"].trace(0.1, 20_000)
    ours, theirs = replay(trace, S3Fifo(PAPER)), replay_reference(trace, "S3FIFO")
    assert ours.hit_ratio == pytest.approx(theirs.hit_ratio, abs=0.01)


def test_the_optimum_of_a_trace_done_by_hand() -> None:
    blocks = [(bytes([letter]), 0) for letter in b"abcabdab"]
    trace = Trace(blocks, dict.fromkeys(blocks, 1), capacity_bytes=2)
    assert replay_optimal(trace).misses == 4
    assert replay(trace, Lru()).misses == 8


def test_the_replay_hits_what_the_workers_cache_index_hits() -> None:
    trace = BY_NAME["mixed"].trace(0.05, 8000)
    index = CacheIndex([("MEM", trace.capacity_bytes)])
    hits = 0
    for now, block in enumerate(trace.accesses):
        if (copy := index.find(block)) is not None:
            index.touch(copy, now)
            hits += 1
            continue
        incoming = index.place(block, BLOCK_BYTES, now=now)
        assert incoming is not None
        index.commit(incoming, BLOCK_BYTES, 0, now)
        index.take_drops()
    assert hits == len(trace.accesses) - replay(trace, S3Fifo()).misses


def test_the_default_wins_where_it_was_made_to() -> None:
    names = ["zipf 1.0 and scans, read twice", "loop and zipf 0.9", "mixed"]
    cells = run(workloads=[BY_NAME[name] for name in names], shares=[0.05, 0.25], accesses=20_000)
    scores = {standing.policy: standing.score for standing in standings(cells)}
    assert all(scores[OURS] < scores[policy] for policy in ("LRU", "SIEVE", "S3-FIFO"))


def test_the_command_prints_tables_and_draws(tmp_path: Path) -> None:
    plot = tmp_path / "eviction.png"
    done = CliRunner().invoke(eviction, ["--accesses=200", f"--plot={plot}"])
    assert done.exit_code == 0
    assert done.stdout.startswith("| policy | score | zipf |")
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_the_command_tunes_and_gives_json() -> None:
    done = CliRunner().invoke(eviction, ["--tune", "--accesses=200", "--json"])
    answer = json.loads(done.stdout)
    assert OURS in [standing["policy"] for standing in answer["standings"]]
    assert len(answer["cells"]) == 4 * len(WORKLOADS)

"""Results of mutations go when nobody sends these again, whatever the wall clock does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.namespace.harness import Harness

from zerohop.clock import ManualClock
from zerohop_master import keys, objects
from zerohop_master.kv.memory import MemoryStore
from zerohop_master.sweep import CommitAges, Sweep

HOUR_S = 3600.0


async def started() -> tuple[Harness, Sweep]:
    clock = ManualClock()
    master = await Harness.start(MemoryStore(now=clock.now_s), clock)
    return master, Sweep(master.namespace, master.contents)


async def pass_time(master: Harness, sweep: Sweep, minutes: int) -> None:
    for _ in range(minutes):
        master.clock.advance(60)
        await drop(master, sweep)


async def drop(master: Harness, sweep: Sweep) -> None:
    await sweep.drop_results(await master.lease(), master.namespace.now_ms(), master.clock.monotonic_s())


async def results(master: Harness) -> int:
    start, end = keys.span(keys.MUTATIONS)
    return len(await master.store.scan(start, end, limit=1000))


async def test_results_stay_for_an_hour() -> None:
    master, sweep = await started()
    await master.create_bucket()
    await pass_time(master, sweep, 59)
    assert await results(master) == 1
    await pass_time(master, sweep, 17)
    assert await results(master) == 0


async def test_a_forward_jump_of_the_wall_clock_drops_no_result_that_may_be_asked_for() -> None:
    master, sweep = await started()
    await master.create_bucket()
    await pass_time(master, sweep, 90)
    request = master.put_request("k", data=b"one")
    first = await objects.put_object(master.namespace, request)
    await master.put("k", data=b"two")
    master.clock.set_wall(master.clock.now_s() + 30 * 24 * HOUR_S)
    await drop(master, sweep)
    await pass_time(master, sweep, 10)
    assert await objects.put_object(master.namespace, request) == first  # and it does not happen twice
    assert (await master.lookup("k")).data == b"two"
    await pass_time(master, sweep, 7)
    assert await results(master) == 0


async def test_makers_whose_clocks_are_behind_hold_up_nobody() -> None:
    master, sweep = await started()
    await master.create_bucket()
    await master.put("ahead", data=b"x")
    await pass_time(master, sweep, 70)
    master.clock.set_wall(master.clock.now_s() - 4 * HOUR_S)
    await master.put("behind", data=b"x")
    master.clock.set_wall(master.clock.now_s() + 4 * HOUR_S)
    await pass_time(master, sweep, 7)
    assert await results(master) == 1  # the one that came last, although its clock says first


@given(st.lists(st.tuples(st.floats(0, 200), st.integers(0, 50)), max_size=60))
def test_only_commits_of_long_ago_are_settled(steps: list[tuple[float, int]]) -> None:
    ages, now_s, version = CommitAges(), 0.0, 1
    made: list[tuple[float, int]] = []
    for passed_s, commits in steps:
        now_s, version = now_s + passed_s, version + commits
        made.append((now_s, version))
        settled = ages.settled(now_s)
        assert not settled or any(seen >= settled and now_s - at_s >= 15 * 60 for at_s, seen in made)
        if any(now_s - at_s >= 17 * 60 + 200 for at_s, _ in made):
            assert settled
        ages.saw(version, now_s)

"""When a crashed process is started again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zerohop.cli.restart_policy import RestartPolicy
from zerohop.clock import ManualClock


def test_delays_grow_until_the_cluster_stops() -> None:
    clock = ManualClock()
    policy = RestartPolicy(limit=5)
    delays = []
    for _ in range(6):
        delays.append(policy.delay_after_crash(clock.monotonic_s()))
        clock.advance(1)
    assert delays == [0, 0.25, 0.5, 1, 2, None]


def test_crashes_of_more_than_a_minute_ago_are_forgotten() -> None:
    clock = ManualClock()
    policy = RestartPolicy(limit=1)
    for _ in range(10):
        assert policy.delay_after_crash(clock.monotonic_s()) == 0
        clock.advance(60)


@given(st.lists(st.floats(0, 30), max_size=50), st.integers(0, 8))
def test_never_more_than_the_limit_within_a_minute(gaps_s: list[float], limit: int) -> None:
    clock = ManualClock()
    policy = RestartPolicy(limit)
    restarts: list[float] = []
    for gap_s in gaps_s:
        clock.advance(gap_s)
        now_s = clock.monotonic_s()
        if policy.delay_after_crash(now_s) is None:
            break
        restarts.append(now_s)
        assert sum(one > now_s - 60 for one in restarts) <= limit

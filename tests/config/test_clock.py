"""The clock that tests move by hand."""

from __future__ import annotations

import pytest

from zerohop.clock import Clock, ManualClock, SystemClock


def test_a_manual_clock_stands_still_until_it_is_moved() -> None:
    clock: Clock = ManualClock(now_s=100, monotonic_s=5)
    assert (clock.now_s(), clock.monotonic_s()) == (100, 5)
    assert isinstance(clock, ManualClock)
    clock.advance(2.5)
    assert (clock.now_s(), clock.monotonic_s()) == (102.5, 7.5)


def test_only_the_wall_goes_back() -> None:
    clock = ManualClock(now_s=100)
    clock.set_wall(50)
    assert (clock.now_s(), clock.monotonic_s()) == (50, 0)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)


def test_the_system_clock_runs() -> None:
    clock = SystemClock()
    assert clock.monotonic_s() <= clock.monotonic_s()
    assert clock.now_s() > 1_700_000_000

"""However long the soak is to be: it does something of everything, and ends in time."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.soak_plan import Need, SoakPlan, chosen, fixed_budget_s

NEEDS = st.lists(st.builds(Need, st.floats(0, 60), st.floats(0.1, 5)), min_size=1, max_size=20)


@given(NEEDS, st.floats(600, 7200), st.lists(st.floats(0.5, 1.5), min_size=20, max_size=20))
def test_tests_that_take_longer_or_shorter_are_made_up_for(
    needs: list[Need], soak_s: float, slowness: list[float]
) -> None:
    plan = SoakPlan(soak_s, {str(number): need for number, need in enumerate(needs)})
    now_s = 0.0
    for number, need in enumerate(needs):
        given_s = plan.begin(str(number), now_s)
        assert given_s >= 0
        now_s += given_s + need.cost_s * slowness[number]
    # What cannot be helped: costs that exceed the time, and errors that nobody is left to make up for.
    worst_s = sum(need.cost_s * slow for need, slow in zip(needs, slowness, strict=False))
    errors_s = [need.cost_s * (slow - 1) for need, slow in zip(needs, slowness, strict=False)]
    late_s = max(accumulate(reversed(errors_s)))
    assert now_s <= max(soak_s + max(late_s, 0.0), worst_s) + 1e-6


def test_shares_are_of_what_is_left() -> None:
    plan = SoakPlan(1000.0, {"a": Need(10, 1), "b": Need(10, 3), "c": Need(80)})
    assert plan.begin("c", 100.0) == 0.0
    assert plan.begin("a", 180.0) == pytest.approx(200.0)
    assert plan.begin("b", 390.0) == pytest.approx(600.0)


def test_each_function_gets_its_turn() -> None:
    functions = {
        "matrix": [(f"matrix[{number}]", 5.0) for number in range(30)],
        "keys": [("keys", 40.0)],
        "ranges": [(f"ranges[{number}]", 5.0) for number in range(30)],
    }
    found = chosen(functions, 100.0)
    assert "keys" in found
    assert sum(name.startswith("matrix") for name in found) == 6
    assert sum(name.startswith("ranges") for name in found) == 6
    assert {name.partition("[")[2] for name in found if name.startswith("matrix")} != {
        name.partition("[")[2] for name in found if name.startswith("ranges")
    }
    assert len(chosen(functions, 340.0)) == 61
    assert not chosen(functions, 4.0)


@pytest.mark.parametrize("soak_s", [600, 1800, 3600, 7200])
def test_half_of_the_time_is_for_what_can_go_on_for_longer(soak_s: int) -> None:
    assert 0 < fixed_budget_s(soak_s) < soak_s / 2

"""Histograms and what is read from them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerohop.cli.cluster_rates import Look, quantile, rates
from zerohop.metrics import LATENCY_BOUNDS_S, Histogram
from zerohop_proxy.request_numbers import OperationNumbers

DURATIONS = st.lists(st.floats(min_value=0, max_value=1000), max_size=200)


@given(DURATIONS)
def test_buckets_hold_what_is_not_above_their_bound(values: list[float]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    for bound, count in histogram.buckets():
        assert count == sum(value <= float(bound) for value in values)
    assert histogram.count == len(values)
    assert histogram.total == pytest.approx(sum(values))


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1)), max_size=50))
def test_both_times_of_a_request_are_counted_right(requests: list[tuple[float, float]]) -> None:
    numbers, total, first = OperationNumbers(), Histogram(), Histogram()
    for total_s, share in requests:
        numbers.ended(200, total_s, total_s * share)
        total.observe(total_s)
        first.observe(total_s * share)
    assert numbers.seconds.counts == total.counts
    assert numbers.first_byte.counts == first.counts
    assert numbers.statuses[200] == len(requests)


def test_a_request_that_was_cut_has_no_first_byte() -> None:
    numbers = OperationNumbers()
    numbers.ended(0, 1.0, -5.0)
    assert (numbers.seconds.count, numbers.first_byte.count) == (1, 0)


@given(st.lists(st.floats(min_value=0, max_value=29), min_size=1, max_size=200), st.floats(0.01, 1))
def test_a_quantile_is_in_the_bucket_where_it_belongs(values: list[float], share: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    found = quantile([(float(bound), count) for bound, count in histogram.buckets()], share)
    assert found is not None
    exact = sorted(values)[max(0, math.ceil(len(values) * share) - 1)]
    upper = next(bound for bound in LATENCY_BOUNDS_S if exact <= bound)
    lower = max((bound for bound in LATENCY_BOUNDS_S if bound < exact), default=0.0)
    assert lower <= found <= upper * (1 + 1e-9)


def test_no_observations_have_no_quantile() -> None:
    assert quantile([], 0.5) is None
    assert quantile([(1.0, 0.0), (math.inf, 0.0)], 0.5) is None
    assert quantile([(1.0, 0.0), (math.inf, 3.0)], 0.5) == 1.0


def _requests(count: float) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {("zerohop_proxy_request_seconds_count", (("operation", "GetObject"),)): count}


@pytest.mark.parametrize(
    ("before", "after", "per_s"),
    [
        ({"a": 10.0}, {"a": 30.0}, 10.0),
        ({"a": 10.0, "b": 5.0}, {"a": 12.0, "b": 7.0}, 2.0),
        ({"a": 10.0}, {"a": 4.0}, 2.0),  # restarted: counts from its start
        ({}, {"a": 1000.0}, 0.0),  # did not answer before: nothing is known of its growth
        ({"a": 1000.0}, {}, None),
    ],
)
def test_rates_over_processes_that_come_and_go(
    before: dict[str, float], after: dict[str, float], per_s: float | None
) -> None:
    earlier = Look(100.0, {name: _requests(count) for name, count in before.items()})
    later = Look(102.0, {name: _requests(count) for name, count in after.items()})
    found = rates(earlier, later)
    assert [one.per_s for one in found.operations] == ([] if per_s is None else [per_s])

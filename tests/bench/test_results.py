"""Ratios are taken in pairs, and verdicts follow from them."""

from __future__ import annotations

import pytest

from zerohop_bench.results import OURS, Figure, Result, Target


def result(*targets: Target, others: tuple[Figure, ...] = ()) -> Result:
    ours = Figure(OURS, (100.0, 90.0, 210.0), (20.0, 22.0, 21.0))
    return Result("line", "Line", "req/s", (ours, *others), targets)


PEER = Figure("peer", (50.0, 100.0, 100.0), (10.0, 11.0, 42.0))


def test_a_ratio_is_the_median_of_pairs_and_not_the_ratio_of_medians() -> None:
    found = result(others=(PEER,))
    assert found.ratios("peer") == (2.0, 0.9, 2.1)
    assert found.ratio("peer") == 2.0
    assert found.ratio("peer", by_cpu=True) == 2.0
    assert found.ratio("nobody") is None


@pytest.mark.parametrize(
    "target, ratio, met",
    [
        (Target(2.0, "peer"), 2.0, True),
        (Target(2.01, "peer"), 2.0, False),
        (Target(2.0, "peer", worst=0.95), 2.0, False),
        (Target(2.0, "peer", worst=0.9), 2.0, True),
        (Target(1.5, "peer", at_most=True, by_cpu=True), 2.0, False),
        (Target(99.0), 100.0, True),
        (Target(99.0, at_most=True), 100.0, False),
    ],
)
def test_verdicts(target: Target, ratio: float, met: bool) -> None:
    (verdict,) = result(target, others=(PEER,)).verdicts()
    assert (verdict.ratio, verdict.met) == (ratio, met)


def test_a_target_against_somebody_who_was_not_measured_has_no_verdict() -> None:
    assert result(Target(1.0, "peer")).verdicts() == ()


def test_the_worst_is_the_lowest_of_at_least_and_the_highest_of_at_most() -> None:
    high, low = result(Target(1.0, "peer", at_most=True), Target(1.0, "peer"), others=(PEER,)).verdicts()
    assert (high.worst, low.worst) == (2.1, 0.9)

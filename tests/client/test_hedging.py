"""When a read is asked of a second worker: the decisions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zerohop.client.hedging import Hedging, Pace, Step

answers = st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 60)), max_size=200)


@given(answers)
def test_hedges_are_a_small_share_of_the_reads(reads: list[tuple[str, float]]) -> None:
    hedging = Hedging()
    for number, (worker_id, after_s) in enumerate(reads, 1):
        hedging.asked()
        if after_s > hedging.delay_s and hedging.late(worker_id, ()) is Step.HEDGE:
            hedging.beaten(worker_id, after_s)
        else:
            hedging.answered(worker_id, after_s)
        assert hedging.hedges <= 8 + number / 10
        assert 1.0 <= hedging.delay_s <= 8.0


def test_without_a_budget_a_read_waits_and_earns_it_back() -> None:
    hedging = Hedging()
    steps = [hedging.late("a", ()) for _ in range(9)]
    assert steps == [Step.HEDGE] * 8 + [Step.WAIT]
    for _ in range(11):
        hedging.asked()
    assert [hedging.late("a", ()) for _ in range(2)] == [Step.HEDGE, Step.WAIT]


def test_one_hedge_a_read() -> None:
    hedging = Hedging()
    assert hedging.late("a", (), may_hedge=False) is Step.WAIT
    assert hedging.hedges == 0


def test_behind_a_slow_under_store_a_read_waits_longer_and_less_long_afterwards() -> None:
    hedging = Hedging()
    for _ in range(100):
        hedging.answered("a", 1.0)
    assert 3.5 < hedging.delay_s < 4.5
    for _ in range(100):
        hedging.answered("a", 0.001)
    assert hedging.delay_s == 1.0


def test_one_slow_worker_of_three_does_not_make_the_others_look_fast() -> None:
    hedging = Hedging()
    for _ in range(200):
        hedging.answered("a", 0.01)
        hedging.answered("b", 0.01)
        hedging.beaten("slow", 5.0)
    assert hedging.delay_s < 1.1


def test_a_worker_that_is_beaten_again_and_again_is_avoided_for_longer_each_time() -> None:
    hedging = Hedging()
    assert [hedging.beaten("a", 1.0) for _ in range(8)] == [0, 0, 3, 6, 12, 24, 30, 30]
    assert hedging.beaten("b", 1.0) == 0
    hedging.answered("a", 5.0)  # in the end, and too late to change anything
    assert hedging.beaten("a", 1.0) == 30
    hedging.answered("a", 0.01)
    assert hedging.beaten("a", 1.0) == 0


def test_what_waits_for_a_worker_that_is_avoided_moves_on_without_a_budget() -> None:
    hedging = Hedging()
    for _ in range(8):
        hedging.late("a", ())
    assert hedging.late("a", {"a"}) is Step.MOVE
    assert hedging.late("a", {"b"}) is Step.WAIT


def test_workers_that_have_left_are_forgotten() -> None:
    hedging = Hedging()
    for _ in range(5):
        hedging.beaten("a", 1.0)
    hedging.keep({"b"})
    assert hedging.beaten("a", 1.0) == 0


@given(st.lists(st.tuples(st.floats(0, 3.9), st.integers(0, 1 << 20)), max_size=100))
def test_patience_is_bought_with_bytes(pieces: list[tuple[float, int]]) -> None:
    pace = Pace()
    for waited_s, size_bytes in pieces:
        pace.moved(waited_s, size_bytes)
        assert 0 <= pace.patience_s <= 4.0


def test_a_trickle_uses_up_the_patience_and_a_slow_but_steady_worker_does_not() -> None:
    trickle, steady = Pace(), Pace()
    for _ in range(40):
        trickle.moved(0.1, 1000)
        steady.moved(0.1, 8192)
    assert trickle.patience_s < 1.0
    assert steady.patience_s == 4.0

"""S3-FIFO as the worker uses it: what stays, what goes, and that its books are right whatever happens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerohop_worker.policy import BlockId, S3Fifo, S3FifoTuning

PAPER = S3FifoTuning(small_share=0.1, settling_share=0.0, contested=False)


def block(number: int) -> BlockId:
    return number.to_bytes(16), 0


class Cache:
    """Holds `capacity` blocks of one byte, read through the policy."""

    def __init__(self, capacity: int, tuning: S3FifoTuning | None = None) -> None:
        self.capacity = capacity
        self.policy = S3Fifo() if tuning is None else S3Fifo(tuning)

    def read(self, number: int) -> bool:
        """Whether it was there."""
        if block(number) in self.policy:
            self.policy.touch(block(number))
            return True
        while len(self.policy) >= self.capacity:
            assert self.policy.evict(lambda _block: True) is not None
        self.policy.insert(block(number), 1)
        return False

    def holds(self, numbers: range) -> int:
        return sum(block(number) in self.policy for number in numbers)


def warm(cache: Cache, hot: range) -> None:
    for _ in range(4):
        for number in hot:
            cache.read(number)


@pytest.mark.parametrize("reads_of_each", [1, 2, 6])
def test_a_scan_displaces_nothing_however_many_ranges_it_reads_a_block_in(reads_of_each: int) -> None:
    cache = Cache(1000)
    warm(cache, range(900))
    for number in range(10_000, 20_000):
        for _ in range(reads_of_each):
            cache.read(number)
    assert cache.holds(range(870)) == 870  # the last few had only just come in


def test_without_settling_the_ranges_of_one_reader_pass_for_uses() -> None:
    cache = Cache(1000, S3FifoTuning(settling_share=0.0))
    warm(cache, range(900))
    for number in range(10_000, 20_000):
        cache.read(number)
        cache.read(number)
    assert cache.holds(range(900)) < 100


def test_a_use_of_a_block_that_came_in_long_enough_ago_counts() -> None:
    cache = Cache(1000)
    warm(cache, range(1000))
    cache.read(5000)
    for number in range(10_000, 10_040):
        cache.read(number)
    assert cache.read(5000)
    for number in range(20_000, 20_500):
        cache.read(number)
    assert cache.read(5000)


def test_a_loop_over_more_than_the_cache_hits_most_of_what_can_be_hit() -> None:
    def hits(cache: Cache) -> int:
        return sum([cache.read(number) for _ in range(20) for number in range(1100)][-1100:])

    assert hits(Cache(1000)) > 850
    assert hits(Cache(1000)) > hits(Cache(1000, PAPER))


def test_what_is_popular_gives_way_when_another_thing_is() -> None:
    cache = Cache(1000)
    warm(cache, range(900))
    for _ in range(10):
        for number in range(5000, 5900):
            cache.read(number)
    assert cache.holds(range(5000, 5900)) > 800


def test_only_what_earned_its_place_is_said_to_have() -> None:
    policy = S3Fifo()
    for number in range(4):
        policy.insert(block(number), 1)
    policy.touch(block(0))
    victims = [policy.evict(lambda _block: True) for _ in range(4)]
    assert [(victim.block, victim.earned) for victim in victims if victim is not None] == [
        (block(1), False),
        (block(2), False),
        (block(3), False),
        (block(0), True),
    ]
    assert policy.evict(lambda _block: True) is None


Step = tuple[str, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["insert", "touch", "remove", "evict"]), st.integers(0, 30), st.integers(1, 1000)
    ),
    max_size=200,
)


@given(STEPS)
def test_it_knows_what_it_was_shown_and_gives_up_only_what_it_may(steps: list[Step]) -> None:
    policy, shown = S3Fifo(), set[BlockId]()
    for what, number, size_bytes in steps:
        if what == "insert":
            policy.insert(block(number), size_bytes)
            shown.add(block(number))
        elif what == "touch":
            policy.touch(block(number))
        elif what == "remove":
            policy.remove(block(number))
            shown.discard(block(number))
        else:
            kept = block(number)
            victim = policy.evict(kept.__ne__)
            assert (victim is None) == (not shown - {kept})
            if victim is not None:
                assert victim.block != kept
                shown.remove(victim.block)
        policy.check_invariants()
        assert len(policy) == len(shown)
        assert all(known in policy for known in shown)

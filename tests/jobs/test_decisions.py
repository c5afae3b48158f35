"""What jobs decide without asking anybody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerohop.client.layout import HeldPiece
from zerohop.client.placement import block_key, extent_key, rank
from zerohop.client.plan import Piece
from zerohop.errors import InvalidRequest, KeyNotFound, NoWorker, OriginRefused, UnderStoreFailed
from zerohop.model import OriginRef, content_id, mounted_content_id
from zerohop_master.jobs.copies import Change, in_bounds, to_home, without
from zerohop_master.jobs.loading import spans
from zerohop_master.jobs.retries import is_of_all_keys, pause_ms, was_tried

WORKERS = ("a", "b", "c", "d")
BLOCK = 1 << 16


@given(st.integers(1, 100), st.floats(0, 1, exclude_max=True))
def test_pauses_grow_to_five_minutes(failures: int, chance: float) -> None:
    pause = pause_ms(failures, chance)
    assert 500 <= pause <= 300_000
    assert pause <= pause_ms(failures + 1, 0.0)
    assert pause_ms(failures, chance, longest_ms=2000) <= 2000


def test_only_failures_of_the_origin_pause_its_mount() -> None:
    assert is_of_all_keys(UnderStoreFailed())
    assert is_of_all_keys(OriginRefused())
    assert is_of_all_keys(NoWorker())
    assert not is_of_all_keys(InvalidRequest())
    assert not is_of_all_keys(KeyNotFound())
    assert was_tried(UnderStoreFailed())
    assert not was_tried(NoWorker())


@given(
    st.permutations(WORKERS),
    st.lists(st.sampled_from(WORKERS), min_size=1, unique=True),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_copies_come_within_their_bounds_and_never_to_none(
    ranked: list[str], have: list[str], least: int, most: int
) -> None:
    most = max(least, most) if most else 0
    change = in_bounds(least, most)(have, ranked)
    assert set(change.free) <= set(have)
    assert not set(change.load) & set(have)
    left = (set(have) | set(change.load)) - set(change.free)
    assert left
    assert len(left) >= min(least, len(WORKERS))
    assert not most or len(left) <= max(1, most)
    if change.free:  # who it belongs to keeps it before others
        assert max(map(ranked.index, left)) < min(map(ranked.index, change.free))


def test_a_worker_that_leaves_passes_on_what_it_alone_has() -> None:
    assert without("a")(["a"], ["a", "b", "c"]) == Change(["b"])
    assert without("a")(["a", "c"], ["a", "b", "c"]) == Change()
    assert without("a")(["a"], ["a"]).load == []


def test_a_worker_that_joins_gets_what_is_first_its_own() -> None:
    assert to_home("a")(["b"], ["a", "b"]) == Change(["a"])
    assert to_home("a")(["b"], ["c", "a", "b"]) == Change()
    assert to_home()(["a"], ["a", "b"]) == Change()


def test_spans_under_a_limit_are_what_a_second_may_take() -> None:
    content = content_id(b"sessions", 1, BLOCK)
    held = HeldPiece(Piece(content, 5 * BLOCK, 0, 5 * BLOCK), (), None)
    assert [span.blocks for span in spans(held, ["a"], 1, 2 * BLOCK)] == [2, 2, 1]
    assert [span.blocks for span in spans(held, ["a"], 1, BLOCK // 2)] == [1] * 5


@pytest.mark.parametrize("copies", [1, 2])
@given(size_bytes=st.integers(1, 70 * BLOCK))
def test_spans_cover_a_content_once_each_at_its_own_workers(copies: int, size_bytes: int) -> None:
    origin = OriginRef(b"mnt1", "key")
    for content, ref in (
        (content_id(b"sessions", 1, BLOCK), None),
        (mounted_content_id(b"mnt1", b"0123456789", BLOCK), origin),
    ):
        held = HeldPiece(Piece(content, size_bytes, 0, size_bytes), (), ref)
        found = list(spans(held, WORKERS, copies))
        assert [index for span in found for index in range(span.first, span.first + span.blocks)] == list(
            range(-(-size_bytes // BLOCK))
        )
        assert sum(span.size_bytes for span in found) == size_bytes
        for span in found:
            assert 0 < span.blocks <= 16
            for index in range(span.first, span.first + span.blocks):
                name = block_key(content, index) if ref is None else extent_key(b"mnt1", "key", index)
                assert tuple(rank(name, WORKERS))[:copies] == span.workers[:copies]

"""The pure parts: placement, plans of reads, mutation ids, pauses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerohop.client.placement import block_key, rank, read_order, write_order
from zerohop.client.plan import Piece, block_spans, pieces
from zerohop.client.repeats import delays_s
from zerohop.host import host_id
from zerohop.model import Segment, WorkerInfo, content_id
from zerohop.rpc.mutation import MUTATION_ID_BYTES, mutation_time_ms, new_mutation_id

lengths = st.lists(st.integers(0, 50), max_size=8)


def worker(worker_id: str, *, live: bool = True) -> WorkerInfo:
    return WorkerInfo(
        worker_id=worker_id,
        session=b"s" * 8,
        host_id="",
        address="",
        unix_address="",
        descriptor_path="",
        live=live,
    )


@given(lengths, st.integers(0, 100), st.integers(0, 500), st.integers(0, 500))
def test_pieces_are_the_bytes_of_the_range(sizes: list[int], first: int, start: int, stop: int) -> None:
    segments = [Segment(bytes([number]) * 16, size) for number, size in enumerate(sizes)]
    # Every byte of the object by where it is, the slow way.
    object_bytes = [(s.content, offset) for s in segments for offset in range(s.length)]
    wanted = object_bytes[max(0, start - first) : max(0, stop - first)]
    found = [
        (piece.content, offset)
        for piece in pieces(segments, first, start, stop)
        for offset in range(piece.offset, piece.offset + piece.size)
    ]
    assert found == wanted


def test_pieces_take_no_segment_beyond_the_range() -> None:
    def segments() -> Iterator[Segment]:
        yield Segment(b"a" * 16, 10)
        yield Segment(b"b" * 16, 10)
        pytest.fail("asked for more segments than the range needs")

    assert list(pieces(segments(), 0, 5, 20)) == [Piece(b"a" * 16, 10, 5, 5), Piece(b"b" * 16, 10, 0, 10)]


@given(st.integers(0, 70), st.integers(0, 70))
def test_block_spans_cover_a_piece(offset: int, size: int) -> None:
    content = content_id(b"s" * 8, 1, 16)
    spans = list(block_spans(Piece(content, 200, offset, size)))
    assert [span.block * 16 + span.offset + n for span in spans for n in range(span.size)] == list(
        range(offset, offset + size)
    )
    assert all(0 < span.size <= 16 - span.offset for span in spans)


@given(st.binary(max_size=24), st.sets(st.text(max_size=5), min_size=2, max_size=8))
def test_losing_a_worker_moves_only_its_own_keys(key: bytes, workers: set[str]) -> None:
    order = rank(key, workers)
    assert sorted(order) == sorted(workers)
    assert rank(key, workers - {order[-1]}) == order[:-1]


def test_rendezvous_spreads_blocks_over_workers() -> None:
    firsts = [rank(block_key(b"c" * 16, index), ["a", "b", "c"])[0] for index in range(3000)]
    assert all(800 < firsts.count(name) < 1200 for name in "abc")


def test_order_prefers_holders_then_local_and_avoids_the_unreachable() -> None:
    workers = [worker(name) for name in "abcd"] + [worker("gone", live=False)]

    def ids(**preferences: object) -> list[str]:
        return [found.worker_id for found in read_order(workers, b"key", **preferences)]  # type: ignore[arg-type]

    plain = ids()
    assert sorted(plain) == list("abcd")
    assert ids(local={plain[3]})[0] == plain[3]
    assert ids(local={plain[3]}, holders=(plain[2],))[:2] == [plain[2], plain[3]]
    assert ids(local={plain[0]}, avoid={plain[0]}) == [*plain[1:], plain[0]]
    assert write_order(workers, b"key", local={plain[1]})[0].worker_id == plain[1]


@given(st.integers(0, 2**48 - 1))
def test_mutation_ids_are_unique_and_carry_their_time(now_ms: int) -> None:
    one, two = new_mutation_id(now_ms), new_mutation_id(now_ms)
    assert one != two
    assert len(one) == MUTATION_ID_BYTES
    assert mutation_time_ms(one) == now_ms
    assert one[6] >> 4 == 7  # RFC 9562: the version, and the variant
    assert one[8] >> 6 == 0b10


def test_mutation_ids_sort_by_time() -> None:
    ids = [new_mutation_id(now_ms) for now_ms in range(0, 10_000_000, 999_983)]
    assert ids == sorted(ids)


def test_pauses_double_to_a_bound() -> None:
    pauses = list(itertools.islice(delays_s(itertools.repeat(1.0)), 12))
    assert pauses[:3] == [0.01, 0.02, 0.04]
    assert max(pauses) == pauses[-1] == 0.5
    assert next(delays_s(iter([0.0]))) == 0.005


def test_host_id_is_the_same_for_all_who_ask() -> None:
    assert host_id() == host_id()
    assert host_id()

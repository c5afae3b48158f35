"""Shares of mounts in the cache, and copies in memory on request."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zerohop.model import mounted_content_id
from zerohop_worker.cache_copy import BlockId
from zerohop_worker.cache_index import CacheIndex

PAGE = 4096
MOUNTS = (b"mnt1", b"mnt2")


def block(mount: bytes, number: int) -> BlockId:
    return mounted_content_id(mount, number.to_bytes(10, "big"), PAGE), 0


def put(index: CacheIndex, name: BlockId, now: float = 0.0) -> bool:
    incoming = index.place(name, PAGE, now=now)
    return incoming is not None and index.commit(incoming, PAGE, 0, now) is not None


def test_a_mount_above_its_share_loses_its_own_coldest_blocks() -> None:
    index = CacheIndex([("MEM", 100 * PAGE)])
    index.shares.set({b"mnt1": 3 * PAGE})
    for number in range(10):
        assert put(index, block(b"mnt2", number))
    for number in range(3):
        assert put(index, block(b"mnt1", number))
    first = index.find(block(b"mnt1", 0))
    assert first is not None
    index.touch(first, 1.0)
    assert put(index, block(b"mnt1", 3))
    kept = [number for number in range(4) if index.find(block(b"mnt1", number))]
    assert kept == [0, 2, 3]
    assert all(index.find(block(b"mnt2", number)) for number in range(10))


def test_what_does_not_fit_into_a_share_is_not_cached_and_costs_no_other_block() -> None:
    index = CacheIndex([("MEM", 100 * PAGE)])
    index.shares.set({b"mnt1": 2 * PAGE})
    assert put(index, block(b"mnt1", 0))
    assert index.place((block(b"mnt1", 1)[0], 0), 3 * PAGE, now=0.0) is None
    assert index.find(block(b"mnt1", 0)) is not None


def test_lent_blocks_are_asked_back_and_nothing_is_cached_meanwhile() -> None:
    index = CacheIndex([("MEM", 100 * PAGE)])
    index.shares.set({b"mnt1": PAGE})
    assert put(index, block(b"mnt1", 0))
    lent = index.find(block(b"mnt1", 0))
    assert lent is not None
    index.holds.lend(lent, "proxy")
    assert index.place(block(b"mnt1", 1), PAGE, now=100.0) is None
    assert index.take_recalls() == [block(b"mnt1", 0)]


def test_a_lowered_share_is_met_in_the_background() -> None:
    index = CacheIndex([("MEM", 100 * PAGE)])
    for number in range(10):
        put(index, block(b"mnt1", number), now=float(number))
    copies = list(index.tiers["MEM"].copies.values())
    index.shares.set({b"mnt1": 4 * PAGE}, copies)
    index.make_headroom(0.0)
    assert [number for number in range(10) if index.find(block(b"mnt1", number))] == [6, 7, 8, 9]
    index.check_invariants()


def test_a_block_on_disk_is_promoted_when_that_is_asked_for() -> None:
    index = CacheIndex([("MEM", 10 * PAGE), ("SSD", 10 * PAGE)])
    incoming = index.place(block(b"mnt1", 0), PAGE, now=0.0, tiers=["SSD"])
    assert incoming is not None
    copy = index.commit(incoming, PAGE, 0, 0.0)
    assert copy is not None
    assert index.take_move(0.0) is None
    index.promote(copy)
    move = index.take_move(0.0)
    assert move is not None
    assert (move.target.tier, move.down) == ("MEM", False)
    index.moved(move, done=True, now=0.0)
    assert [one.tier for one in index.copies(copy.block)] == ["MEM", "SSD"]


_events = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(MOUNTS), st.integers(0, 30)),
    st.tuples(st.just("touch"), st.sampled_from(MOUNTS), st.integers(0, 30)),
    st.tuples(st.just("drop"), st.sampled_from(MOUNTS), st.integers(0, 30)),
    st.tuples(st.just("share"), st.sampled_from(MOUNTS), st.integers(0, 12)),
)


@given(st.lists(_events, max_size=80))
def test_no_mount_takes_more_than_its_share_for_long(events: list[tuple[str, bytes, int]]) -> None:
    index = CacheIndex([("MEM", 16 * PAGE), ("SSD", 16 * PAGE)])
    shares: dict[bytes, int] = {}
    for now, (what, mount, number) in enumerate(events):
        name = block(mount, number)
        copy = index.find(name)
        if what == "share":
            shares[mount] = number * PAGE
            index.shares.set(shares, [one for tier in index.tiers.values() for one in tier.copies.values()])
            index.make_headroom(float(now))
        elif what == "put":
            put(index, name, float(now))
        elif copy is not None and what == "touch":
            index.touch(copy, float(now))
        elif copy is not None:
            index.drop(copy)
        index.check_invariants()
        index.make_headroom(float(now))  # a second copy of a block, for a move, may be too much until then
        assert all(index.shares.used_bytes(one) <= share for one, share in shares.items())

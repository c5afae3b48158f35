"""The cache of descriptors against a model: bounded, least recently used first, and never a leak."""

from __future__ import annotations

import resource
from collections import OrderedDict

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from zerohop.client.descriptor_cache import DescriptorCache, default_max_count
from zerohop.client.open_block import OpenBlock

MAX_BYTES, MAX_COUNT = 100, 4
keys = st.tuples(st.sampled_from([b"a", b"b"]), st.integers(0, 4))


class Lent:
    """Lends numbers instead of descriptors, and knows which are out."""

    def __init__(self) -> None:
        self.is_broken = False
        self.out: set[int] = set()
        self.last = 0

    def lend(self, key: tuple[bytes, int], length: int) -> OpenBlock:
        self.last += 1
        self.out.add(self.last)
        return OpenBlock(self.last, key[0], key[1], length, "MEM", self)

    def used(self, key: tuple[bytes, int]) -> None:
        raise AssertionError("the cache does not use blocks")

    def take_back(self, block: OpenBlock) -> None:
        self.out.remove(block.fd)


class Cached(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.lenders = [Lent(), Lent()]
        self.cache = DescriptorCache(MAX_BYTES, MAX_COUNT)
        self.model: OrderedDict[tuple[bytes, int], OpenBlock] = OrderedDict()
        self.held: list[OpenBlock] = []

    @rule(key=keys, length=st.integers(1, 120), lender=st.integers(0, 1), keep=st.booleans())
    def put(self, key: tuple[bytes, int], length: int, lender: int, keep: bool) -> None:
        block = self.lenders[lender].lend(key, length)
        self.cache.put(block)
        self.model.pop(key, None)
        self.model[key] = block
        while len(self.model) > MAX_COUNT or sum(b.length for b in self.model.values()) > MAX_BYTES:
            self.model.popitem(last=False)
        if keep:
            self.held.append(block)
        else:
            block.release()

    @rule(key=keys, keep=st.booleans())
    def get(self, key: tuple[bytes, int], keep: bool) -> None:
        block = self.cache.get(key)
        assert block is self.model.get(key)
        if block is not None:
            self.model.move_to_end(key)
            if keep:
                self.held.append(block.acquire())

    @rule(key=keys)
    def drop(self, key: tuple[bytes, int]) -> None:
        assert (key in self.cache) is (key in self.model)
        self.cache.drop(key)
        self.model.pop(key, None)

    @rule(lender=st.integers(0, 1))
    def lose_lender(self, lender: int) -> None:
        gone = self.lenders[lender]
        self.cache.drop_where(lambda block: block.lender is gone)
        for key in [key for key, block in self.model.items() if block.lender is gone]:
            del self.model[key]

    @rule()
    def release_one(self) -> None:
        if self.held:
            self.held.pop(0).release()

    @invariant()
    def nothing_else_is_open(self) -> None:
        self.cache.check_invariants()
        assert len(self.cache) == len(self.model)
        for lender in self.lenders:
            reachable = {b.fd for b in [*self.model.values(), *self.held] if b.lender is lender}
            assert lender.out == reachable


TestCached = Cached.TestCase


def test_number_follows_the_limit_of_the_process() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert 16 <= default_max_count() <= max(16, soft // 4)

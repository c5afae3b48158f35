"""What the cache index knows of one cached copy of a block, of one tier, and of bytes on their way in."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from zerohop.model import TierUse
from zerohop_worker.policy import BlockId, Policy

__all__ = ["BlockId", "Copy", "Incoming", "Move", "Tier", "charge_of"]

_PAGE_BYTES = 4096


def charge_of(size_bytes: int) -> int:
    """What a file of that size takes of a quota: whole pages, as on tmpfs and disk."""
    return max(1, -(-size_bytes // _PAGE_BYTES)) * _PAGE_BYTES


@dataclass(slots=True, eq=False)
class Copy:
    """A complete block file in one tier."""

    block: BlockId
    tier: str
    size_bytes: int
    checksum: int  # xxh3_64 of the bytes
    verified: bool  # false after a restart, until the file has been read once
    lent: int = 0  # descriptors of this file that holders have
    gone: bool = False  # out of the index; its bytes are charged to the tier's lent_bytes while lent > 0
    moving: bool = False  # a move of it is under way: out of the policy, so nobody evicts it
    pinned: bool = False  # implies: not in the policy
    unpersisted: bool = False  # implies: not in the policy
    used_s: float = -1e9  # when it was last used, on the caller's clock
    recalled_s: float = -1e9  # when its holders were last asked to give it back
    cached_s: float = 0.0  # when the block came into the cache (or was found there at the start)

    @property
    def charge_bytes(self) -> int:
        """What it takes of the quota."""
        return charge_of(self.size_bytes)

    @property
    def evictable(self) -> bool:
        """Whether the policy of its tier knows it."""
        return not (self.pinned or self.unpersisted or self.moving or self.gone)


@dataclass(slots=True, eq=False)
class Incoming:
    """Room taken in a tier for a block that is being written."""

    block: BlockId
    tier: str
    charge_bytes: int
    unpersisted: bool
    dropped: bool = False  # the content was deleted meanwhile: it must not be committed


@dataclass(frozen=True, slots=True)
class Move:
    """Copy a block's file to `target`; then call `moved`. `down`: its present copy goes when that is done."""

    copy: Copy
    target: Incoming
    down: bool


TIER_PAUSE_S = 5.0
"""How long a tier that failed a write takes nothing new: its disk may be full of other people's files."""

FULL_S = 600.0
"""How long a tier whose disk was full below its quota takes no more than it held then."""


@dataclass(slots=True)
class Tier:
    """Bookkeeping of one tier. used + reserved + lent is what its quota is compared with."""

    name: str
    quota_bytes: int
    new_policy: Callable[[], Policy]
    used_bytes: int = 0  # sum of the charges of `copies`
    reserved_bytes: int = 0  # sum of the charges of what is incoming
    lent_bytes: int = 0  # charges of copies that are gone, whose descriptors are still out
    pinned_bytes: int = 0
    unpersisted_bytes: int = 0  # of copies and of what is incoming
    failed_until_s: float = -1e9  # a write failed: the tier takes nothing new until then
    fitted_bytes: int | None = None  # what it held when its disk was full, below the quota
    full_until_s: float = -1e9  # then the quota is tried again
    copies: dict[BlockId, Copy] = field(default_factory=dict)
    policy: Policy = field(init=False)

    def __post_init__(self) -> None:
        self.policy = self.new_policy()

    @property
    def taken_bytes(self) -> int:
        """What counts against the quota."""
        return self.used_bytes + self.reserved_bytes + self.lent_bytes

    @property
    def free_bytes(self) -> int:
        """What is left of the room; negative when it was lowered or a lent block is still out."""
        return self.room_bytes - self.taken_bytes

    @property
    def room_bytes(self) -> int:
        """What the tier may take now: its quota, or what fitted when the disk was full before that."""
        return self.quota_bytes if self.fitted_bytes is None else min(self.quota_bytes, self.fitted_bytes)

    def failed(self, now: float, *, is_full: bool) -> None:
        """A write failed. A disk that is full below the quota bounds the tier by what it holds: else nothing would ever
        leave for what is read now, and the cache would stay as it was on that day.
        """
        self.failed_until_s = now + TIER_PAUSE_S
        held_bytes = self.used_bytes + self.lent_bytes
        if is_full and held_bytes:
            self.fitted_bytes, self.full_until_s = held_bytes, now + FULL_S

    def try_again(self, now: float) -> None:
        """Others may have left the disk."""
        if now >= self.full_until_s:
            self.fitted_bytes = None

    def is_idle(self, low_water: float, now: float) -> bool:
        """Whether it has room that nobody has to leave for, and takes it."""
        return self.taken_bytes < self.room_bytes * low_water and now >= self.failed_until_s

    def sync_policy(self, copy: Copy) -> None:
        """Shows the copy to the policy, or hides it, as its flags ask."""
        if not copy.evictable:
            self.policy.remove(copy.block)
        elif copy.block not in self.policy:
            self.policy.insert(copy.block, copy.charge_bytes)

    def use(self) -> TierUse:
        """Capacity and use, for reports and heartbeats."""
        return TierUse(
            name=self.name,
            quota_bytes=self.room_bytes,
            used_bytes=self.used_bytes + self.reserved_bytes,
            block_count=len(self.copies),
            lent_bytes=self.lent_bytes,
            pinned_bytes=self.pinned_bytes,
        )

    def check_invariants(self, incoming: Collection[Incoming]) -> None:
        """For tests."""
        copies = self.copies.values()
        assert self.reserved_bytes == sum(item.charge_bytes for item in incoming)
        waiting = sum(item.charge_bytes for item in incoming if item.unpersisted)
        assert self.unpersisted_bytes == waiting + sum(one.charge_bytes for one in copies if one.unpersisted)
        assert self.used_bytes == sum(copy.charge_bytes for copy in copies)
        assert self.pinned_bytes == sum(copy.charge_bytes for copy in copies if copy.pinned)
        assert all(copy.evictable == (block in self.policy) for block, copy in self.copies.items())
        assert len(self.policy) == sum(copy.evictable for copy in copies)
        assert not any(copy.gone for copy in copies)

"""The cache's decisions: which block is in which tier, what goes when room is needed, what moves up or down.

A plain state machine without I/O: calls are events, and instructions are taken from it afterwards (`take_drops`:
files to unlink; `take_move`: copies to make; `take_recalls`: descriptors to ask back). It lives on the event loop's
thread and nothing in it awaits, so each call is atomic. A block may have one copy in each tier: promotion copies
upwards and leaves the lower copy, so that giving up the upper one later is free and a restart finds it on disk.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence

from zerohop.model import TierUse
from zerohop_worker.cache_copy import BlockId, Copy, Incoming, Move, Tier, charge_of
from zerohop_worker.cache_holds import Holds
from zerohop_worker.mount_shares import MountShares
from zerohop_worker.policy import Policy, S3Fifo

__all__ = ["CacheIndex"]

UNPERSISTED_SHARE = 0.5
"""Above this share of a tier nothing is accepted any more that is not persisted (design, rule 10.6)."""

MAX_DEMOTIONS = 16
"""Moves down that wait or run. Beyond that, victims are dropped: under pressure room is worth more than warmth."""

MAX_PROMOTIONS = 64
PROMOTION_WINDOW_S = 600.0
"""Two uses within this time bring a block up."""

RECALL_AGAIN_S = 5.0


class CacheIndex:
    """`tiers`: (name, quota in bytes) from the fastest to the slowest; those without a quota are left out."""

    def __init__(
        self,
        tiers: Sequence[tuple[str, int]],
        *,
        high_water: float = 0.95,
        low_water: float = 0.85,
        new_policy: Callable[[], Policy] = S3Fifo,
    ) -> None:
        self.tiers = {name: Tier(name, quota, new_policy) for name, quota in tiers if quota > 0}
        self._order = list(self.tiers)
        self._high, self._low = high_water, low_water
        self._indices: dict[bytes, set[int]] = {}  # block indices that have a copy in some tier, by content
        self._incoming: dict[bytes, set[Incoming]] = {}  # by content; none of them empty
        self.holds = Holds(self.tiers)
        self.shares = MountShares()
        self._drops: list[Copy] = []
        self._demotions: OrderedDict[BlockId, Copy] = OrderedDict()  # not taken yet; all of them `moving`
        self._promotions: OrderedDict[BlockId, Copy] = OrderedDict()
        self._recalls: OrderedDict[BlockId, None] = OrderedDict()
        self._demoting = 0  # taken by take_move and not reported
        self.evicted: Counter[str] = Counter()  # by tier
        self.promotions = self.demotions = 0

    @property
    def evictions(self) -> int:
        """Blocks that had to leave some tier."""
        return self.evicted.total()

    # ------------------------------------------------------------------------------------------- reading

    def find(self, block: BlockId) -> Copy | None:
        """The copy in the fastest tier that has one."""
        for tier in self.tiers.values():
            if (copy := tier.copies.get(block)) is not None:
                return copy
        return None

    def copies(self, block: BlockId) -> list[Copy]:
        """All copies of a block, fastest first."""
        return [tier.copies[block] for tier in self.tiers.values() if block in tier.copies]

    def indices(self, content: bytes) -> frozenset[int]:
        """Which blocks of a content have a copy."""
        return frozenset(self._indices.get(content, ()))

    def contents(self) -> Iterable[bytes]:
        """Contents that have a copy of some block."""
        return self._indices.keys()

    def cached_bytes(self, content: bytes) -> int:
        """Bytes of a content that are in some tier, each block counted once."""
        found = (self.find((content, index)) for index in self._indices.get(content, ()))
        return sum(copy.size_bytes for copy in found if copy is not None)

    def uses(self) -> tuple[TierUse, ...]:
        """Capacity and use of each tier."""
        return tuple(tier.use() for tier in self.tiers.values())

    # ------------------------------------------------------------------------------------------ placement

    def place(
        self,
        block: BlockId,
        size_bytes: int,
        *,
        now: float,
        tiers: Iterable[str] | None = None,
        unpersisted: bool = False,
    ) -> Incoming | None:
        """Takes room for a block in the fastest of `tiers` (all, if None) that has or can make some.

        None if none can. Either way unlink what `take_drops` gives before writing.
        """
        charge = charge_of(size_bytes)
        if self.find(block) is None and not self._make_share(block, charge, now):
            return None
        for name in self._order if tiers is None else [name for name in self._order if name in set(tiers)]:
            tier = self.tiers[name]
            if now < tier.failed_until_s or block in tier.copies or self._is_incoming(block, name):
                continue
            if unpersisted and tier.unpersisted_bytes + charge > tier.room_bytes * UNPERSISTED_SHARE:
                continue
            if charge <= tier.room_bytes and self._make_room(tier, charge, now):
                return self._reserve(Incoming(block, name, charge, unpersisted))
        return None

    def _make_share(self, block: BlockId, charge_bytes: int, now: float) -> bool:
        """Drops the coldest blocks of the block's mount while it would have more than its share with this one."""
        for copy in self.shares.victims(block[0], charge_bytes):
            if copy.lent:
                self._recall(copy, now)
            else:
                self.evicted[copy.tier] += 1
                self.drop(copy)
        return self.shares.has_room(block[0], charge_bytes)

    def _is_incoming(self, block: BlockId, tier: str) -> bool:
        """At most one writer of a file name: what one of them unlinks is never another's."""
        return any(item.block == block and item.tier == tier for item in self._incoming.get(block[0], ()))

    def _reserve(self, incoming: Incoming) -> Incoming:
        tier = self.tiers[incoming.tier]
        tier.reserved_bytes += incoming.charge_bytes
        self.shares.added(incoming.block[0], incoming.charge_bytes)
        tier.unpersisted_bytes += incoming.charge_bytes if incoming.unpersisted else 0
        self._incoming.setdefault(incoming.block[0], set()).add(incoming)
        return incoming

    def commit(self, incoming: Incoming, size_bytes: int, checksum: int, now: float) -> Copy | None:
        """The block's file is complete. None when it is not wanted any more: unlink it."""
        tier = self._release(incoming)
        if incoming.dropped or incoming.block in tier.copies:
            return None
        copy = Copy(incoming.block, tier.name, size_bytes, checksum, verified=True, used_s=now)
        copy.cached_s = now
        copy.unpersisted = incoming.unpersisted
        self._add(tier, copy)
        return copy

    def abort(self, incoming: Incoming) -> None:
        """The block will not be written."""
        self._release(incoming)

    def _release(self, incoming: Incoming) -> Tier:
        tier = self.tiers[incoming.tier]
        tier.reserved_bytes -= incoming.charge_bytes
        self.shares.removed(incoming.block[0], incoming.charge_bytes)
        tier.unpersisted_bytes -= incoming.charge_bytes if incoming.unpersisted else 0
        others = self._incoming[incoming.block[0]]
        others.remove(incoming)
        if not others:
            del self._incoming[incoming.block[0]]
        return tier

    def adopt(
        self, tier_name: str, block: BlockId, size_bytes: int, checksum: int, *, unpersisted: bool = False
    ) -> Copy | None:
        """A file found at start. None when the quota has no room for it: unlink it. Unpersisted ones always stay."""
        tier = self.tiers[tier_name]
        if block in tier.copies or (tier.free_bytes < charge_of(size_bytes) and not unpersisted):
            return None
        copy = Copy(block, tier_name, size_bytes, checksum, verified=False, unpersisted=unpersisted)
        self._add(tier, copy)
        return copy

    def tier_failed(self, name: str, now: float, *, is_full: bool = False) -> None:
        """A write to the tier failed (disk full, I/O error)."""
        self.tiers[name].failed(now, is_full=is_full)

    def _add(self, tier: Tier, copy: Copy) -> None:
        tier.copies[copy.block] = copy
        tier.used_bytes += copy.charge_bytes
        tier.unpersisted_bytes += copy.charge_bytes if copy.unpersisted else 0
        self._indices.setdefault(copy.block[0], set()).add(copy.block[1])
        self.shares.entered(copy)
        self.holds.pin_if_wanted(copy)
        tier.sync_policy(copy)

    # --------------------------------------------------------------------------------------------- leaving

    def drop(self, copy: Copy) -> None:
        """Takes a copy out, whatever it is: it is corrupt, unreadable or not wanted."""
        if copy.gone:
            return
        tier = self.tiers[copy.tier]
        tier.policy.remove(copy.block)
        del tier.copies[copy.block]
        tier.used_bytes -= copy.charge_bytes
        self.shares.left(copy)
        tier.pinned_bytes -= copy.charge_bytes if copy.pinned else 0
        tier.unpersisted_bytes -= copy.charge_bytes if copy.unpersisted else 0
        tier.lent_bytes += copy.charge_bytes if copy.lent else 0
        copy.gone, copy.pinned, copy.unpersisted = True, False, False
        for queue in (self._demotions, self._promotions):
            if queue.get(copy.block) is copy:
                del queue[copy.block]
        if self.find(copy.block) is None:
            indices = self._indices[copy.block[0]]
            indices.discard(copy.block[1])
            if not indices:
                del self._indices[copy.block[0]]
        self._drops.append(copy)

    def drop_content(self, content: bytes) -> None:
        """The content is dead: its copies go, and what is incoming will not be committed."""
        for index in self.indices(content):
            for copy in self.copies((content, index)):
                self.drop(copy)
        self.holds.forget(content)
        for incoming in self._incoming.get(content, ()):
            incoming.dropped = True

    def persisted(self, content: bytes) -> None:
        """The content is in the under-store now: its copies become ordinary ones."""
        for index in self.indices(content):
            for copy in self.copies((content, index)):
                self._clear_unpersisted(copy)
        for incoming in self._incoming.get(content, ()):
            if incoming.unpersisted:
                incoming.unpersisted = False
                self.tiers[incoming.tier].unpersisted_bytes -= incoming.charge_bytes

    def _clear_unpersisted(self, copy: Copy) -> None:
        if copy.unpersisted:
            tier = self.tiers[copy.tier]
            tier.unpersisted_bytes -= copy.charge_bytes
            copy.unpersisted = False
            tier.sync_policy(copy)

    def _make_room(self, tier: Tier, charge_bytes: int, now: float) -> bool:
        """Evicts until there is room, as far as that needs no waiting: what is worth keeping is queued to move down."""
        while tier.free_bytes < charge_bytes:
            if not self._evict_one(tier, now):
                return False
        return True

    def _evict_one(self, tier: Tier, now: float) -> bool:
        """One step towards room: drops the next victim or queues it to be demoted. False: there is none."""

        def allowed(block: BlockId) -> bool:
            copy = tier.copies[block]
            if copy.lent:
                self._recall(copy, now)
            return not copy.lent

        lower = [self.tiers[name] for name in self._order[self._order.index(tier.name) + 1 :]]
        # Where room lies idle further down nothing has to be dropped; the disk is waited for by nobody.
        is_idle = any(one.is_idle(self._low, now) for one in lower)
        may_demote = bool(lower) and len(self._demotions) + self._demoting < MAX_DEMOTIONS
        victim = None if is_idle and not may_demote else tier.policy.evict(allowed)
        if victim is None:
            return False
        copy = tier.copies[victim.block]
        has_lower_copy = any(copy.block in one.copies for one in lower)
        if may_demote and not has_lower_copy and (victim.earned or is_idle):
            copy.moving = True
            self._demotions[copy.block] = copy
        else:
            self.evicted[copy.tier] += 1
            self.drop(copy)
        return True

    def make_headroom(self, now: float) -> None:
        """The background job: brings tiers that are above the high watermark down to the low one, and mounts that
        have more than their share down to it.
        """
        for content in self.shares.crowded():
            self._make_share((content, 0), 0, now)
        for tier in self.tiers.values():
            tier.try_again(now)
            if tier.taken_bytes <= tier.room_bytes * self._high:
                continue
            leaving = sum(copy.charge_bytes for copy in self._demotions.values() if copy.tier == tier.name)
            while tier.taken_bytes - leaving > tier.room_bytes * self._low:
                queued = len(self._demotions)
                if not self._evict_one(tier, now):
                    break
                if len(self._demotions) > queued:
                    leaving += next(reversed(self._demotions.values())).charge_bytes

    # --------------------------------------------------------------------------------------- use and moves

    def touch(self, copy: Copy, now: float) -> None:
        """A use of the block. The second one within the window asks for a copy in the fastest tier."""
        if copy.gone:
            return
        self.tiers[copy.tier].policy.touch(copy.block)
        self.shares.touched(copy)
        recently = now - copy.used_s < PROMOTION_WINDOW_S
        copy.used_s = now
        if recently:
            self.promote(copy)

    def promote(self, copy: Copy) -> None:
        """Asks for a copy in the fastest tier, if there is none."""
        in_line = len(self._promotions) < MAX_PROMOTIONS
        if copy.tier != self._order[0] and not copy.moving and not copy.gone and in_line:
            self._promotions[copy.block] = copy

    def take_move(self, now: float) -> Move | None:
        """The next move to carry out, with room taken at its target: down before up."""
        while self._demotions:
            _, copy = self._demotions.popitem(last=False)
            lower = self._order[self._order.index(copy.tier) + 1 :]
            target = self.place(copy.block, copy.size_bytes, now=now, tiers=lower)
            if target is None:
                self.evicted[copy.tier] += 1
                self.drop(copy)
                continue
            self._demoting += 1
            return Move(copy, target, down=True)
        while self._promotions:
            _, copy = self._promotions.popitem(last=False)
            upper = self._order[: self._order.index(copy.tier)]
            if copy.moving or self.find(copy.block) is not copy:
                continue
            target = self.place(copy.block, copy.size_bytes, now=now, tiers=upper[:1])
            if target is not None and not copy.gone:
                copy.moving = True
                self.tiers[copy.tier].sync_policy(copy)
                return Move(copy, target, down=False)
            if target is not None:
                self.abort(target)
        return None

    def moved(self, move: Move, *, done: bool, now: float) -> Copy | None:
        """The move was carried out, or (`done=False`) failed. The new copy, or None: unlink the new file, if any."""
        copy = move.copy
        copy.moving = False
        new = None
        if done and not copy.gone:
            new = self.commit(move.target, copy.size_bytes, copy.checksum, now)
            if new is not None:
                new.cached_s = copy.cached_s
        else:
            self.abort(move.target)
        if move.down:
            self._demoting -= 1
            self.demotions += new is not None
            if not copy.gone and not copy.pinned and not copy.unpersisted and not copy.lent:
                self.evicted[copy.tier] += 1
                self.drop(copy)
        else:
            self.promotions += new is not None
        if not copy.gone:
            self.tiers[copy.tier].sync_policy(copy)
        return new

    def _recall(self, copy: Copy, now: float) -> None:
        if now - copy.recalled_s >= RECALL_AGAIN_S:
            copy.recalled_s = now
            self._recalls[copy.block] = None

    @property
    def has_drops(self) -> bool:
        """Whether `take_drops` would give any."""
        return bool(self._drops)

    def take_drops(self) -> list[Copy]:
        """Copies that have left the index: unlink their files."""
        drops, self._drops = self._drops, []
        return drops

    def take_recalls(self) -> list[BlockId]:
        """Blocks whose descriptors are wanted back from all their holders."""
        recalls = list(self._recalls)
        self._recalls.clear()
        return recalls

    def check_invariants(self) -> None:
        """For tests: what the comments beside the fields promise."""
        for tier in self.tiers.values():
            incoming = [item for items in self._incoming.values() for item in items if item.tier == tier.name]
            tier.check_invariants(incoming)
        blocks = {block for tier in self.tiers.values() for block in tier.copies}
        assert blocks == {(content, index) for content, found in self._indices.items() for index in found}
        assert all(self._incoming.values())
        assert all(self._indices.values())
        assert all(copy.moving and not copy.gone for copy in self._demotions.values())
        assert len(self._demotions) + self._demoting <= MAX_DEMOTIONS
        self.holds.check_invariants()
        self.shares.check_invariants([copy for tier in self.tiers.values() for copy in tier.copies.values()])

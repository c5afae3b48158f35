"""What keeps copies where they are: pins of contents, and descriptors that are lent to other processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable

from zerohop.errors import OutOfSpace
from zerohop.model import Segment
from zerohop_worker.cache_copy import BlockId, Copy, Tier

__all__ = ["PIN_SHARE", "Holds"]

PIN_SHARE = 0.5
"""Pinned blocks may take this share of the quotas: a cache that cannot evict is no cache."""


class _Loan:
    """One descriptor that a holder has. The lending itself counts as the first use, so the first report does not."""

    __slots__ = ("copy", "reported")

    def __init__(self, copy: Copy) -> None:
        self.copy = copy
        self.reported = False


class Holds:
    """Pins and loans over the tiers of one cache index. No I/O, no awaits."""

    def __init__(self, tiers: dict[str, Tier]) -> None:
        self._tiers = tiers
        self._pins: dict[bytes, int] = {}  # length in bytes by content
        self._loans: dict[Hashable, dict[BlockId, deque[_Loan]]] = {}  # by holder; no deque is empty

    # Pins

    def pin(self, segments: Iterable[Segment], copies: Iterable[Copy], *, workers: int = 1) -> None:
        """Keeps these contents from eviction: `copies` are those of their blocks. All of them or none. So many
        `workers` share their blocks.

        Raises OutOfSpace when the pinned contents would be more than their share of all quotas.
        """
        wanted = self._pins | {segment.content: segment.length for segment in segments}
        limit = int(sum(tier.quota_bytes for tier in self._tiers.values()) * PIN_SHARE * max(1, workers))
        if sum(wanted.values()) > limit:
            raise OutOfSpace(
                f"pinned contents may take {limit} bytes of the cache: release some, or raise the quotas"
            )
        self._pins = wanted
        for copy in copies:
            self.pin_if_wanted(copy)
            self._tiers[copy.tier].sync_policy(copy)

    def unpin(self, segments: Iterable[Segment], copies: Iterable[Copy]) -> None:
        """Makes them ordinary again."""
        for segment in segments:
            self._pins.pop(segment.content, None)
        for copy in copies:
            if copy.pinned:
                copy.pinned = False
                self._tiers[copy.tier].pinned_bytes -= copy.charge_bytes
                self._tiers[copy.tier].sync_policy(copy)

    def forget(self, content: bytes) -> None:
        """It is dead: it counts no longer."""
        self._pins.pop(content, None)

    def pin_if_wanted(self, copy: Copy) -> None:
        """Marks a copy of a pinned content, while its tier's share lasts; beyond that it is an ordinary copy."""
        tier = self._tiers[copy.tier]
        room = tier.quota_bytes * PIN_SHARE - tier.pinned_bytes
        if copy.block[0] in self._pins and not copy.pinned and copy.charge_bytes <= room:
            copy.pinned = True
            tier.pinned_bytes += copy.charge_bytes

    # Loans

    def lend(self, copy: Copy, holder: Hashable) -> None:
        """A descriptor of this copy goes to `holder`."""
        copy.lent += 1
        self._loans.setdefault(holder, {}).setdefault(copy.block, deque()).append(_Loan(copy))

    def returned(self, holder: Hashable, block: BlockId) -> None:
        """The holder has closed a descriptor of the block (its oldest one). Unknown ones are ignored."""
        loans = self._loans.get(holder, {})
        if (queue := loans.get(block)) is None:
            return
        self._end(queue.popleft())
        if not queue:
            del loans[block]

    def gone(self, holder: Hashable) -> None:
        """The holder's connection is gone, and with it all that it held."""
        for queue in self._loans.pop(holder, {}).values():
            for loan in queue:
                self._end(loan)

    def used(self, holder: Hashable, block: BlockId) -> Copy | None:
        """The holder reports a use of the block: the copy to count it for, if it is to be counted."""
        queue = self._loans.get(holder, {}).get(block)
        if not queue:
            return None
        loan = queue[-1]
        counted, loan.reported = loan.reported, True
        return loan.copy if counted else None

    def holders(self, block: BlockId) -> list[Hashable]:
        """Who holds descriptors of the block."""
        return [holder for holder, loans in self._loans.items() if block in loans]

    def _end(self, loan: _Loan) -> None:
        copy = loan.copy
        copy.lent -= 1
        if copy.gone and not copy.lent:
            self._tiers[copy.tier].lent_bytes -= copy.charge_bytes

    def check_invariants(self) -> None:
        """For tests: loans and the counts on the copies agree, and so do the tiers' sums."""
        loans = [loan for held in self._loans.values() for queue in held.values() for loan in queue]
        assert all(queue for held in self._loans.values() for queue in held.values())
        for tier in self._tiers.values():
            mine = {id(loan.copy): loan.copy for loan in loans if loan.copy.tier == tier.name}
            assert tier.lent_bytes == sum(copy.charge_bytes for copy in mine.values() if copy.gone)
            for copy in [*mine.values(), *tier.copies.values()]:
                assert copy.lent == sum(loan.copy is copy for loan in loans)

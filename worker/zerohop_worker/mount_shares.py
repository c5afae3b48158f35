"""How much of the cache the mounts take that have a quota, and which of their blocks go first. No I/O, no awaits.

A quota is for the whole cluster: each worker grants its share of it. Copies of a block in two tiers count twice, as
they do against the quotas of the tiers.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from zerohop.model import mount_of
from zerohop_worker.cache_copy import BlockId, Copy

__all__ = ["MountShares"]

_MAX_HELD: Final = 64
"""Copies that may not go are passed over so often in one search for room: an answer is due."""


class MountShares:
    """Invariants: `_bytes` is what all copies and all that is incoming of each mount are charged; `_copies` has the
    copies of the mounts with a share, the coldest first.
    """

    def __init__(self) -> None:
        self._shares: dict[bytes, int] = {}  # bytes by mount
        self._bytes: Counter[bytes] = Counter()
        self._copies: dict[bytes, OrderedDict[tuple[str, BlockId], Copy]] = {}

    def set(self, shares: Mapping[bytes, int], copies: Collection[Copy] = ()) -> None:
        """The shares from now on; `copies` are all that there are, for the mounts that had none before."""
        new = shares.keys() - self._shares.keys()
        self._copies = {mount: self._copies.get(mount, OrderedDict()) for mount in shares}
        self._shares = dict(shares)
        if new:
            for copy in sorted(copies, key=lambda copy: copy.used_s):
                if mount_of(copy.block[0]) in new:
                    self._copies[mount_of(copy.block[0])][copy.tier, copy.block] = copy

    @property
    def shares(self) -> Mapping[bytes, int]:
        """Bytes by mount."""
        return self._shares

    def used_bytes(self, mount_id: bytes) -> int:
        """What a mount takes here."""
        return self._bytes[mount_id]

    def added(self, content: bytes, charge_bytes: int) -> None:
        """So much more is taken by a content."""
        if mount := mount_of(content):
            self._bytes[mount] += charge_bytes

    def removed(self, content: bytes, charge_bytes: int) -> None:
        """So much less."""
        if mount := mount_of(content):
            self._bytes[mount] -= charge_bytes
            if not self._bytes[mount]:
                del self._bytes[mount]

    def entered(self, copy: Copy) -> None:
        """A copy is in the cache."""
        self.added(copy.block[0], copy.charge_bytes)
        if (copies := self._copies.get(mount_of(copy.block[0]))) is not None:
            copies[copy.tier, copy.block] = copy

    def left(self, copy: Copy) -> None:
        """It is not any more."""
        self.removed(copy.block[0], copy.charge_bytes)
        if (copies := self._copies.get(mount_of(copy.block[0]))) is not None:
            copies.pop((copy.tier, copy.block), None)

    def touched(self, copy: Copy) -> None:
        """It was used."""
        if (copies := self._copies.get(mount_of(copy.block[0]))) is not None:
            copies.move_to_end((copy.tier, copy.block))

    def has_room(self, content: bytes, charge_bytes: int) -> bool:
        """Whether its mount may take so much more."""
        mount = mount_of(content)
        share = self._shares.get(mount)
        return share is None or self._bytes[mount] + charge_bytes <= share

    def victims(self, content: bytes, charge_bytes: int) -> Iterator[Copy]:
        """Copies of the content's mount to be dropped, the coldest first, until there is room. Those that are lent
        are given as well, to be asked back; none that must stay.
        """
        mount = mount_of(content)
        if charge_bytes > self._shares.get(mount, charge_bytes):
            return  # it would not fit into an empty one
        held = 0
        while not self.has_room(content, charge_bytes):
            copies = self._copies[mount]
            if not copies or held >= min(_MAX_HELD, len(copies)):
                return
            name, copy = next(iter(copies.items()))
            if copy.evictable:
                yield copy
            if not copy.gone:
                held += 1
                copies.move_to_end(name)

    def crowded(self) -> list[bytes]:
        """A content of each mount that has more than its share."""
        return [
            next(iter(self._copies[mount]))[1][0]
            for mount, share in self._shares.items()
            if self._bytes[mount] > share and self._copies[mount]
        ]

    def check_invariants(self, copies: Collection[Copy]) -> None:
        """For tests: `copies` are all that are in the cache; nothing may be incoming of what is checked."""
        for mount, known in self._copies.items():
            mine = {(copy.tier, copy.block): copy for copy in copies if mount_of(copy.block[0]) == mount}
            assert dict(known) == mine
        for mount, size_bytes in self._bytes.items():
            held = sum(copy.charge_bytes for copy in copies if mount_of(copy.block[0]) == mount)
            assert size_bytes >= held

"""The scrub: reads every cached block once in an interval and drops what does not match its checksum."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from zerohop.errors import ZerohopError
from zerohop_worker.block_store import BlockStore
from zerohop_worker.cache_copy import Copy

__all__ = ["Scrub"]

_MAX_BYTES_PER_S = 64 << 20
"""Of reading, at most: a scrub must not be felt. A cache too large for that takes longer than the interval."""

_IDLE_S = 60.0


class Scrub:
    """`interval_s` is the time in which each block is read once; 0: never."""

    def __init__(self, store: BlockStore, interval_s: float) -> None:
        self._store = store
        self._interval_s = interval_s

    async def run(self) -> None:
        """Round after round, spread evenly over the interval."""
        while self._interval_s > 0:
            copies = self._copies()
            pause_s = self._interval_s / len(copies) if copies else min(_IDLE_S, self._interval_s)
            if not copies:
                await asyncio.sleep(pause_s)
            for copy in copies:
                await asyncio.sleep(max(pause_s, copy.size_bytes / _MAX_BYTES_PER_S))
                await self._check(copy)

    async def run_once(self) -> int:
        """One round without pauses; returns how many damaged blocks it dropped."""
        before = self._store.corrupt_blocks
        for copy in self._copies():
            await self._check(copy)
        return self._store.corrupt_blocks - before

    def _copies(self) -> list[Copy]:
        return [copy for tier in self._store.index.tiers.values() for copy in tier.copies.values()]

    async def _check(self, copy: Copy) -> None:
        """One read at a time. Copies that have left meanwhile, or are being moved, are passed over."""
        if not copy.gone and not copy.moving:
            with suppress(
                ZerohopError
            ):  # what cannot be read now, and is not dropped, is read in the next round
                await self._store.verify(copy)

"""The connection to one worker of this host over which descriptors come, and reports of their use go."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from zerohop.client.open_block import OpenBlock
from zerohop.errors import Overloaded, ProtocolViolation
from zerohop.rpc.descriptors import DescriptorClient, close_descriptors
from zerohop.rpc.worker_api import BlocksOpened, BlockUse, OpenBlocks, ReturnBlocks

__all__ = ["DescriptorLink"]

_REPORT_S = 0.5
_REPORT_COUNT = 512
"""Uses are reported this often, or when so many have gathered: soon enough for the worker's eviction, and rare
enough to cost nothing."""


class DescriptorLink:
    """Lends blocks. When the connection breaks, `broken` is called once and the link is of no further use.

    Concurrency: everything but `open` and `close` is plain functions, atomic on the loop.
    """

    def __init__(
        self,
        path: str,
        *,
        name: str,
        wanted_back: Callable[[DescriptorLink, ReturnBlocks], None],
        broken: Callable[[DescriptorLink], None],
    ) -> None:
        self._client = DescriptorClient(path, name=name, on_lost=self._lost)
        self._client.register_notice(ReturnBlocks, lambda notice: wanted_back(self, notice))
        self._broken = broken
        self._used: set[tuple[bytes, int]] = set()
        self._closed: list[tuple[bytes, int]] = []
        self._timer: asyncio.TimerHandle | None = None
        self.is_broken = False

    async def open(
        self, content: bytes, length: int, index: int, count: int, timeout_s: float
    ) -> list[OpenBlock]:
        """Blocks from `index` on, at least one; the caller holds a reference to each. Raises what the worker raises."""
        request = OpenBlocks(content=content, content_length=length, first_index=index, count=count)
        opened, descriptors = await self._client.call(
            request, timeout_s=timeout_s, late=lambda answer: self._never_used(content, answer)
        )
        if not descriptors or len(descriptors) != len(opened.blocks):
            close_descriptors(descriptors)
            raise ProtocolViolation(f"{len(descriptors)} descriptors for {len(opened.blocks)} blocks")
        return [
            OpenBlock(descriptor, content, handle.index, handle.length, handle.source, self, handle.tier)
            for handle, descriptor in zip(opened.blocks, descriptors, strict=True)
        ]

    def used(self, key: tuple[bytes, int]) -> None:
        """The block was read: the worker is told, soon."""
        self._used.add(key)
        if self._timer is None:
            self._plan_report()
        elif len(self._used) >= _REPORT_COUNT:
            self._report()

    def take_back(self, block: OpenBlock) -> None:
        """Nobody uses the block any more: closes it, and tells the worker."""
        os.close(block.fd)
        self._has_closed((block.content, block.index))

    def _never_used(self, content: bytes, answer: BlocksOpened) -> None:
        """Blocks came when nobody waited for them any more; their descriptors are closed."""
        for handle in answer.blocks:
            self._has_closed((content, handle.index))

    def _has_closed(self, key: tuple[bytes, int]) -> None:
        if self.is_broken:
            return
        self._closed.append(key)
        if self._timer is None:
            self._plan_report()
        elif len(self._closed) >= _REPORT_COUNT:
            self._report()

    def _plan_report(self) -> None:
        if not self.is_broken:
            self._timer = asyncio.get_running_loop().call_later(_REPORT_S, self._report)

    def _report(self) -> None:
        self._stop_timer()
        if self.is_broken or not (self._used or self._closed):
            return
        try:
            while (
                self._used or self._closed
            ):  # in parts: a worker that did not read for long has much to hear
                closed = self._closed[:_REPORT_COUNT]
                self._client.notify(BlockUse(used=tuple(self._used), closed=tuple(closed)))
                self._used.clear()
                del self._closed[: len(closed)]
        except Overloaded:
            # The worker does not read. What was closed must be told some time, what was used is only a hint.
            self._used.clear()
            self._plan_report()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _lost(self) -> None:
        self.is_broken = True
        self._stop_timer()
        self._broken(self)

    async def close(self) -> None:
        """Sends what is left to report and closes the connection."""
        self._report()
        self.is_broken = True
        self._stop_timer()
        await self._client.close()

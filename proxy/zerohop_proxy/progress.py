"""Waiting for a client, but not for ever, and not for one that only pretends to move.

A client must move `minimum_bytes` of a body within `window_s` of waiting for it. Only the time spent waiting for the
client counts: a slow worker or under-store is not its fault.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

__all__ = ["ClientStalled", "Progress"]

T = TypeVar("T")


class ClientStalled(ConnectionError):
    """The client took or gave less of a body than the minimum within the minimum-progress time-out."""


class Progress:
    """The pace of one body, or of the two of one request one after the other. Used by one task at a time."""

    __slots__ = ("_minimum_bytes", "_moved_bytes", "_waited_s", "_window_s")

    def __init__(self, window_s: float, minimum_bytes: int) -> None:
        self._window_s = window_s
        self._minimum_bytes = minimum_bytes
        self._moved_bytes = 0  # since the window began
        self._waited_s = 0.0  # of the window; below `_window_s`

    @property
    def patience_s(self) -> float:
        """How long may be waited until something moves."""
        return self._window_s - self._waited_s

    def moved(self, size_bytes: int) -> None:
        """The body moved by so many bytes."""
        self._moved_bytes += size_bytes
        if self._moved_bytes >= self._minimum_bytes:
            self._moved_bytes = 0
            self._waited_s = 0.0

    def waited(self, elapsed_s: float) -> None:
        """So much time went by waiting for the client. Raises ClientStalled when the window is over."""
        self._waited_s += elapsed_s
        if self._waited_s >= self._window_s:
            raise ClientStalled(f"less than {self._minimum_bytes} bytes in {self._window_s:g} s")

    def stalled(self) -> ClientStalled:
        """What to raise when nothing has moved for `patience_s`."""
        return ClientStalled("the client takes too few bytes")

    def excuses(self, size_bytes: int) -> bool:
        """Whether so many bytes, moved within the window that has ended, are enough; then a new one begins."""
        self._waited_s = self._window_s
        self.moved(size_bytes)
        return self._waited_s == 0.0

    async def during(self, waiting: Awaitable[T]) -> T:
        """The result of `waiting`, which is for the client; raises ClientStalled when the window ends first."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        try:
            async with asyncio.timeout(self.patience_s):
                result = await waiting
        except TimeoutError:
            raise ClientStalled(f"less than {self._minimum_bytes} bytes in {self._window_s:g} s") from None
        self.waited(loop.time() - started_s)
        return result

"""Changes of one name take turns within one process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

__all__ = ["KeyLocks"]


class KeyLocks:
    """A first-come lock for each key that somebody holds or waits for.

    In the master correctness comes from the conditions of commits, and this only saves the losers of a race their work:
    without it, a hundred writers of one key need up to a hundred rounds. The number of waiters is bounded by the
    server's calls.
    """

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}

    async def acquire(self, key: Hashable) -> None:
        """Waits for one's turn; `release` must follow."""
        queue = self._waiting.get(key)
        if queue is None:
            self._waiting[key] = deque()
            return
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(key)  # the turn came together with the cancellation: pass it on
            raise

    @asynccontextmanager
    async def holding(self, *keys: Hashable) -> AsyncIterator[None]:
        """All of these locks, taken in one order for all, so that nobody waits in a circle."""
        held: list[Hashable] = []
        try:
            for key in sorted(set(keys), key=repr):
                await self.acquire(key)
                held.append(key)
            yield
        finally:
            for key in held:
                self.release(key)

    def release(self, key: Hashable) -> None:
        """Passes the lock to whoever has waited longest."""
        queue = self._waiting[key]
        while queue:
            turn = queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._waiting[key]

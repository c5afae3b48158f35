"""Parts of one large object on their way to a store: a few at a time, and the first that fails ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from zerohop_worker.files import Buffer

__all__ = ["PARTS_AT_A_TIME", "PartsInFlight"]

_AT_A_TIME: Final = 4
"""Of one upload. Each holds a copy of its bytes until it has arrived."""

PARTS_AT_A_TIME: Final = 16
"""Of all uploads to one store: behind one that is slow, many of them must not fill the memory."""


class PartsInFlight:
    """Used by one task. `all_arrived` or `give_up` must be the last call."""

    def __init__(self, of_all: asyncio.Semaphore) -> None:
        """`of_all` uploads to the store, see `PARTS_AT_A_TIME`."""
        self._of_all = of_all
        self._sending: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(_AT_A_TIME)
        self._failure: BaseException | None = None

    async def joined(self, buffers: Sequence[Buffer]) -> bytes:
        """The bytes of a part, once there is room for it; `send` must follow. Raises what an earlier part did."""
        await self._slots.acquire()
        try:
            self._raise_failure()
            await self._of_all.acquire()
        except BaseException:
            self._slots.release()
            raise
        try:
            return await asyncio.to_thread(b"".join, buffers)
        except BaseException:
            self._release()
            raise

    def send(self, sending: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        """Sets the part off that there is room for."""
        task = asyncio.create_task(sending(), name=name)
        self._sending.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._release()
        self._sending.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = self._failure or task.exception()

    def _release(self) -> None:
        self._slots.release()
        self._of_all.release()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def all_arrived(self) -> None:
        """Raises what the first part that failed did."""
        if self._sending:
            await asyncio.wait(self._sending)
            await asyncio.sleep(0)  # the callbacks of the last ones run
        self._raise_failure()

    async def give_up(self) -> None:
        """Ends those that are on their way. Never raises."""
        for task in tuple(self._sending):
            task.cancel()
        if self._sending:
            await asyncio.wait(self._sending)
            await asyncio.sleep(0)  # the callbacks of the last ones run
        # Its traceback leads to the bytes of the part and back to us: a cycle of 16 MiB, which the collector may not
        # look at for hours.
        self._failure = None

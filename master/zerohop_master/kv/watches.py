"""Hints to tasks that wait for changes below a prefix."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from weakref import WeakSet

__all__ = ["Watch", "WatchHub"]


class Watch:
    """What `KeyValueStore.watch` returns: commits while nobody waits are remembered as one hint."""

    def __init__(self, prefix: bytes) -> None:
        self.prefix = prefix
        self._hint = asyncio.Event()
        self._closed = False

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> None:
        await self._hint.wait()
        if self._closed:
            raise StopAsyncIteration
        self._hint.clear()

    def _notify(self) -> None:
        self._hint.set()

    def _close(self) -> None:
        self._closed = True
        self._hint.set()


class WatchHub:
    """The watches of one store. A watch that its task dropped is forgotten: nothing needs to be closed."""

    def __init__(self) -> None:
        self._watches: WeakSet[Watch] = WeakSet()

    def watch(self, prefix: bytes) -> Watch:
        """Watches from now on: commits between this call and the first wait give a hint."""
        watch = Watch(prefix)
        self._watches.add(watch)
        return watch

    def touched(self, keys: Iterable[bytes]) -> None:
        """Notifies the watches of the prefixes of `keys`."""
        if not self._watches:
            return
        keys = list(keys)
        for watch in list(self._watches):
            if any(key.startswith(watch.prefix) for key in keys):
                watch._notify()

    def close(self) -> None:
        """Ends every iteration."""
        for watch in list(self._watches):
            watch._close()

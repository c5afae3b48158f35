"""Contents that the under-store does not have yet, and bringing them there: `async_through` and `must_cache`.

Invariant: an owed content has a marker on disk and unpersisted (so never evicted) copies of all its blocks in tiers on
disk, from before its writer is answered until the under-store has it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial

from zerohop.errors import ContentLost, ContentNotFound, OutOfSpace
from zerohop.model import WritePolicy, block_count
from zerohop_worker.block_store import BlockStore
from zerohop_worker.cache_index import UNPERSISTED_SHARE
from zerohop_worker.contents import Contents, Held, Markers
from zerohop_worker.understore.interface import UnderStore

__all__ = ["Persister"]

_log = logging.getLogger(__name__)

_STREAMS = 2
"""Contents that are persisted at a time: enough to overlap their syncs, few enough to leave disk to readers."""

_COPY_PATIENCE_S = 60.0
"""After this time a copy is persisted though the worker that was to do it lives: its release may have been lost."""

_FIRST_PAUSE_S = 0.5
_LAST_PAUSE_S = 30.0


class Persister:
    """`on_persisted(contents)` is called for what became durable in the background: the master is to be told."""

    def __init__(
        self,
        store: BlockStore,
        under_store: UnderStore,
        contents: Contents,
        markers: Markers,
        on_persisted: Callable[[Sequence[bytes]], None],
    ) -> None:
        self._store = store
        self._under_store = under_store
        self._contents = contents
        self._markers = markers
        self._on_persisted = on_persisted
        self._queue: deque[bytes] = deque()  # owed contents that no task works on
        self._running: dict[bytes, asyncio.Task[None]] = {}
        self._failures = 0  # in a row, over all contents: the store is what fails
        self._retry: asyncio.TimerHandle | None = None
        self._stopped = False
        # Called for what was persisted of which other workers hold copies: they may let go of them.
        self.on_release: Callable[[bytes, Sequence[str]], None] = lambda _content, _holders: None
        # Called for what could not be persisted: it needs all its copies for longer.
        self.on_delayed: Callable[[bytes], None] = lambda _content: None

    def may_hold(self, policy: WritePolicy, expected_bytes: int) -> bool:
        """Whether a content may be taken that the under-store will not have at once: half a tier is the limit."""
        wanted = max(expected_bytes, 1)
        return any(
            tier.unpersisted_bytes + wanted <= tier.quota_bytes * UNPERSISTED_SHARE
            for tier in self._store.index.tiers.values()
            if policy is WritePolicy.MUST_CACHE or not self._store.folders[tier.name].volatile
        )

    def load(self) -> dict[bytes, Held]:
        """At start, before blocks are adopted: what is owed from before. Blocking."""
        self._contents.held.update(self._markers.load())
        return self._contents.held

    def start(self) -> None:
        """Begins to persist what is owed."""
        self._queue.extend(content for content, held in self._contents.held.items() if held.owed)
        self._next()

    async def hold(self, content: bytes, held: Held) -> None:
        """A content is complete in the tiers: from now on this worker answers for it. Raises OutOfSpace."""
        if held.owed:
            try:
                await self._store.pool.run(self._markers.add, content, held.length)
            except OSError as error:
                with suppress(
                    OSError
                ):  # what is left of it counts for nothing: a finished one ends in a newline
                    await self._store.pool.run(self._markers.remove, content)
                raise OutOfSpace(f"cannot note an unpersisted content: {error}") from error
        self._contents.held[content] = held
        if held.owed and not held.first:
            self._queue.append(content)
            self._next()

    def take_over(self, live: Collection[str], now_s: float) -> None:
        """Persists at once what others were to persist who are not `live`, or have not done it for too long."""
        for content, held in list(self._contents.held.items()):
            if held.first and (held.first not in live or now_s - held.created_s > _COPY_PATIENCE_S):
                self._contents.held[content] = replace(held, first="")
                self._queue.appendleft(content)
        self._next()

    def persist_soon(self, contents: Sequence[bytes]) -> None:
        """Those that are held, owed or not, are brought to the under-store before others."""
        waiting = set(self._queue)
        for content in contents:
            if content in self._contents.held and content not in waiting:
                self._queue.appendleft(content)
        self._next()

    async def forget(self, content: bytes) -> None:
        """The content is dead or void: stops persisting it. Its blocks are the caller's to drop."""
        held = self._contents.held.pop(content, None)
        task = self._running.get(content)
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))
        if held is not None and held.owed:
            await self._store.pool.run(self._markers.remove, content)

    @property
    def queue_length(self) -> int:
        """Contents that wait to be persisted, or are on their way."""
        return len(self._queue) + len(self._running)

    # -------------------------------------------------------------------------------------- the background queue

    def _next(self) -> None:
        while self._queue and len(self._running) < _STREAMS and self._retry is None and not self._stopped:
            content = self._queue.popleft()
            if content not in self._contents.held or content in self._running:
                continue
            task = asyncio.create_task(self._persist(content))
            self._running[content] = task
            task.add_done_callback(partial(self._ended, content))

    def _ended(self, content: bytes, task: asyncio.Task[None]) -> None:
        del self._running[content]
        if task.cancelled():
            self._next()
            return
        error = task.exception()
        if error is None:
            self._failures = 0
        elif isinstance(error, ContentLost):
            _log.error("content %s is lost: %s", content.hex(), error)
        else:
            _log.warning("content %s is not persisted yet: %s", content.hex(), error)
            self._queue.append(content)
            self.on_delayed(content)
            self._pause()
        self._next()

    def _pause(self) -> None:
        if self._retry is None and not self._stopped:
            pause_s = min(_FIRST_PAUSE_S * 2 ** min(self._failures, 10), _LAST_PAUSE_S)
            self._failures += 1
            self._retry = asyncio.get_running_loop().call_later(pause_s, self._go_on)

    def _go_on(self) -> None:
        self._retry = None
        self._next()

    async def _persist(self, content: bytes) -> None:
        held = self._contents.held[content]
        try:
            stored = await self._under_store.stat(content)
            complete = stored.length == held.length
        except ContentNotFound:
            complete = False
        if not complete:
            await self.copy_to_under_store(content, held.length)
        last = self._contents.held.pop(content, None)
        if last is None:
            return  # deleted meanwhile; who deletes also deletes it in the under-store, after this task has ended
        self._store.index.persisted(content)
        await self._store.pool.run(self._markers.remove, content)
        self._on_persisted((content,))
        if last.others:
            self.on_release(content, last.others)

    async def copy_to_under_store(self, content: bytes, length: int) -> None:
        """Writes a content from its cached blocks. Raises ContentLost when one is missing or damaged."""
        staged = self._under_store.stage(content)
        try:
            for index in range(block_count(content, length)):
                async with aclosing(self._store.block_bytes((content, index))) as pieces:
                    async for data in pieces:
                        await staged.write([data])
            await staged.commit(cached=True)
        except BaseException:
            await staged.abort()
            raise

    async def drain(self, limit_s: float) -> int:
        """Persists what is owed, for at most `limit_s`; returns how many contents still are (a restart goes on).

        What had failed is tried once more, at once.
        """
        if self._retry is not None:
            self._retry.cancel()
            self._go_on()
        try:
            async with asyncio.timeout(limit_s):
                while self._running:
                    await asyncio.wait(self._running.values())
        except TimeoutError:
            _log.warning("%d contents are not persisted yet", len(self._queue) + len(self._running))
        return sum(held.owed for held in self._contents.held.values())

    async def stop(self) -> None:
        """Ends the tasks. What is owed stays noted on disk."""
        self._stopped = True
        if self._retry is not None:
            self._retry.cancel()
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

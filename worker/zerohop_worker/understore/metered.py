"""An under-store with its reads and writes counted: wraps any other."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from time import perf_counter

from zerohop.errors import ContentNotFound, ZerohopError
from zerohop.metrics import Histogram
from zerohop_worker.files import Buffer
from zerohop_worker.understore.interface import StagedContent, StoredContent, UnderStore

__all__ = ["MeteredStore", "UnderStoreNumbers"]


class UnderStoreNumbers:
    """What was asked of the store since the start. Names of operations: read, write, stat, delete, list."""

    def __init__(self) -> None:
        self.read_bytes = 0
        self.written_bytes = 0
        self.errors: Counter[str] = (
            Counter()
        )  # by operation; a content that is not there is an answer, not an error
        self.seconds = {name: Histogram() for name in ("read", "write", "stat", "delete", "list")}

    @contextmanager
    def counted(self, operation: str) -> Iterator[None]:
        """Counts what is done within, and whether it fails."""
        started_s = perf_counter()
        try:
            yield
        except ContentNotFound:
            raise
        except ZerohopError:
            self.errors[operation] += 1
            raise
        finally:
            self.seconds[operation].observe(perf_counter() - started_s)


class MeteredStore:
    """Implements `UnderStore`. A read counts the time that the store takes, not that of its reader."""

    def __init__(self, store: UnderStore) -> None:
        self._store = store
        self.numbers = UnderStoreNumbers()

    async def start(self) -> str:
        """See `UnderStore.start`."""
        return await self._store.start()

    def stage(self, content: bytes) -> StagedContent:
        """See `UnderStore.stage`."""
        return _MeteredContent(self._store.stage(content), self.numbers)

    async def read(self, content: bytes, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        """See `UnderStore.read`."""
        numbers = self.numbers
        spent_s = 0.0
        async with aclosing(self._store.read(content, offset, length)) as pieces:
            try:
                while True:
                    started_s = perf_counter()
                    try:
                        data = await anext(pieces, None)
                    finally:
                        spent_s += perf_counter() - started_s
                    if data is None:
                        return
                    numbers.read_bytes += len(data)
                    yield data
            except ContentNotFound:
                raise
            except ZerohopError:
                numbers.errors["read"] += 1
                raise
            finally:
                numbers.seconds["read"].observe(spent_s)

    async def stat(self, content: bytes) -> StoredContent:
        """See `UnderStore.stat`."""
        with self.numbers.counted("stat"):
            return await self._store.stat(content)

    async def delete(self, content: bytes) -> None:
        """See `UnderStore.delete`."""
        with self.numbers.counted("delete"):
            await self._store.delete(content)

    async def list_contents(self, after: bytes, limit: int) -> list[StoredContent]:
        """See `UnderStore.list_contents`."""
        with self.numbers.counted("list"):
            return await self._store.list_contents(after, limit)

    async def close(self) -> None:
        """See `UnderStore.close`."""
        await self._store.close()


class _MeteredContent:
    """Counts a write when it is committed, or fails: with the time spent in the store."""

    def __init__(self, staged: StagedContent, numbers: UnderStoreNumbers) -> None:
        self._staged = staged
        self._numbers = numbers
        self._spent_s = 0.0

    async def write(self, buffers: Sequence[Buffer]) -> None:
        """See `StagedContent.write`."""
        with self._timed():
            await self._staged.write(buffers)
        self._numbers.written_bytes += sum(len(buffer) for buffer in buffers)

    async def commit(self, tail: Sequence[Buffer] = (), *, cached: bool = False) -> None:
        """See `StagedContent.commit`."""
        try:
            with self._timed():
                await self._staged.commit(tail, cached=cached)
        finally:
            self._numbers.seconds["write"].observe(self._spent_s)
        self._numbers.written_bytes += sum(len(buffer) for buffer in tail)

    async def abort(self) -> None:
        """See `StagedContent.abort`."""
        await self._staged.abort()

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started_s = perf_counter()
        try:
            yield
        except ZerohopError:
            self._numbers.errors["write"] += 1
            raise
        finally:
            self._spent_s += perf_counter() - started_s

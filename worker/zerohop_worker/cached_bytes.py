"""Reading a cached copy of a block: as bytes, or as a part of its file that goes to its reader without being read."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator

from zerohop.errors import OutcomeUnknown
from zerohop.rpc.call import StreamOutCall
from zerohop.rpc.socket_out import RunInThread
from zerohop_worker.block_store import BlockStore
from zerohop_worker.cache_copy import Copy

__all__ = ["FILE_BYTES", "FilePart", "cached_bytes"]

_READ_BYTES = 256 << 10

FILE_BYTES = 128 << 10
"""Less is read and written: one copy costs less than a duplicate of the socket."""


class FilePart:
    """Bytes [start, stop) of a block's file, which has them. Good until the next piece is asked for.

    `run`: where the file is read; None for one in memory.
    """

    def __init__(self, fd: int, start: int, stop: int, run: RunInThread | None) -> None:
        self._fd = fd
        self._start, self._stop = start, stop
        self._run = run

    def __len__(self) -> int:
        return self._stop - self._start

    async def send(self, call: StreamOutCall) -> None:
        """Raises as `StreamOutCall.write`, and OutcomeUnknown when the file cannot be read: its copy is dropped."""
        try:
            await call.write_file(self._fd, self._start, len(self), self._run)
        except (OSError, EOFError) as error:
            self._unreadable(error)
            raise OutcomeUnknown("a block could not be read to its end", reason="connection lost") from error

    def _unreadable(self, error: OSError | EOFError) -> None:
        """The file is not what it was taken for."""


class _CachedPart(FilePart):
    """Of a block in a tier."""

    def __init__(self, store: BlockStore, copy: Copy, fd: int, start: int, stop: int) -> None:
        volatile = store.folders[copy.tier].volatile
        super().__init__(fd, start, stop, None if volatile else store.pool.run)
        self._store = store
        self._copy = copy

    def _unreadable(self, error: OSError | EOFError) -> None:
        if isinstance(error, OSError):
            self._store.unreadable(self._copy, error)
        else:
            self._store.damaged(self._copy)


async def cached_bytes(
    store: BlockStore, copy: Copy, start: int, stop: int, *, as_file: bool = False
) -> AsyncGenerator[bytes | FilePart, None]:
    """Bytes of a cached block; ends early, and drops the copy, when it turns out to be damaged.

    `as_file`: the reader can `FilePart.send` them.
    """
    fd = store.open(copy)
    if fd is None:
        return
    store.used(copy)
    volatile = store.folders[copy.tier].volatile
    try:
        if as_file and stop - start >= FILE_BYTES and os.fstat(fd).st_size >= stop:
            yield _CachedPart(store, copy, fd, start, stop)
            return
        while start < stop:
            size_bytes = min(_READ_BYTES, stop - start)
            try:
                if volatile:
                    # A copy in memory: 30 us, less than a thread costs.
                    data = os.pread(fd, size_bytes, start)
                else:
                    data = await store.pool.run(os.pread, fd, size_bytes, start)
            except OSError as error:
                store.unreadable(copy, error)
                return
            if not data:
                store.damaged(copy)
                return
            start += len(data)
            yield data
    finally:
        os.close(fd)

"""Reading a cached copy of a block as bytes."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator

from zerohop_worker.block_store import BlockStore
from zerohop_worker.cache_copy import Copy

__all__ = ["cached_bytes"]

_READ_BYTES = 256 << 10


async def cached_bytes(store: BlockStore, copy: Copy, start: int, stop: int) -> AsyncGenerator[bytes, None]:
    """Bytes of a cached block; ends early, and drops the copy, when it turns out to be damaged."""
    fd = store.open(copy)
    if fd is None:
        return
    store.used(copy)
    volatile = store.folders[copy.tier].volatile
    try:
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

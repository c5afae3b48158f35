"""Digests computed in threads, overlapped with what else happens to the bytes.

MD5 runs at 0.9 GB/s and is what limits a PUT, so it must not share a thread with receiving and writing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import Executor
from typing import Final

__all__ = ["HASHED_ON_LOOP_BYTES", "Batch", "digested"]

Batch = Sequence[bytes | memoryview]

HASHED_ON_LOOP_BYTES: Final = 32 * 1024
"""Up to here hashing (about 1 us a KiB) is cheaper than the hop to a thread and back."""


async def digested(
    take: Callable[[], Awaitable[bytes | memoryview]],
    digest: Callable[[bytes | memoryview], Batch],
    threads: Executor,
) -> AsyncGenerator[Batch, None]:
    """What `digest` makes of everything that `take` gives, until that is empty; in order, one digest at a time.

    While one batch is digested in a thread, the one before it is with the consumer: two batches are held at most.
    """
    loop = asyncio.get_running_loop()
    job: asyncio.Future[Batch] | None = None
    try:
        while data := await take():
            if len(data) <= HASHED_ON_LOOP_BYTES and job is None:
                yield digest(data)
                continue
            done, job = job, None
            ready = await done if done is not None else None
            job = loop.run_in_executor(threads, digest, data)
            if ready is not None:
                yield ready
        if job is not None:
            done, job = job, None
            yield await done
    finally:
        if job is not None:
            await asyncio.wait((job,))  # the digest's state must not be touched after the consumer has left
            if not job.cancelled():
                job.exception()

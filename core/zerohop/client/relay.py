"""Reading a content over RPC, with other workers to fall back on."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Collection
from contextlib import aclosing
from typing import NamedTuple

from zerohop.client.racing import Pieces, Race, Source
from zerohop.client.repeats import delays_s
from zerohop.client.worker_links import WorkerLinks
from zerohop.errors import (
    BlockNotFound,
    ContentLost,
    ContentNotFound,
    Corrupt,
    DeadlineExceeded,
    OutcomeUnknown,
    ProtocolViolation,
    TransportError,
    UnderStoreFailed,
    ZerohopError,
)
from zerohop.model import OriginRef, ReadPolicy, WorkerInfo, block_size_of
from zerohop.rpc.worker_api import ReadContent

__all__ = ["PLAINLY", "HowToRead", "relay"]

_STALL_S = 20.0
"""A worker that sends no byte for so long has failed, as far as this read goes: it may live, and yet be too slow."""

_ORIGIN_STALL_S = 45.0
"""The same for a mounted object: its worker waits for an origin that hangs (`read_timeout`, 30 s by default), and asks
it again then, which the read survives. A worker that hangs itself is found out sooner (`Pace`, `lost_after_s`).
"""

_PATIENCE_S = 5.0
"""How long a read that makes no progress goes on asking, when nobody can be reached: a worker that was restarted is
back within it, and the client of an S3 read had better wait than start over."""

_TRY_NEXT = (
    TransportError,
    BlockNotFound,
    ContentNotFound,  # an unpersisted content, asked of a worker that is no holder
    ContentLost,
    Corrupt,
    UnderStoreFailed,
)


class HowToRead(NamedTuple):
    """What a worker is told besides the range: where a mounted content comes from, what the read leaves in the cache,
    and how many bytes the reader is going to ask for after these. And what it says: `sources` gets where its first
    bytes come from ("MEM", ..., "PEER", "UNDER"), before they do. `piped`: pieces may be `PipedBytes`.
    """

    origin: OriginRef | None = None
    policy: ReadPolicy = ReadPolicy.CACHE
    more_bytes: int = 0
    sources: list[str] | None = None
    piped: bool = False


PLAINLY = HowToRead()


async def relay(
    workers: WorkerLinks,
    content: bytes,
    length: int,
    offset: int,
    size: int,
    holders: Collection[str],
    late: Source | None = None,
    how: HowToRead = PLAINLY,
) -> Pieces:
    """See `BlockSource.read`. `late`: bytes from `offset` on, not necessarily all of them, were asked for some time
    ago from a worker that has not answered: who answers first now, it or the next one, serves them.
    """
    loop = asyncio.get_running_loop()
    position, end = offset, offset + size
    failure: ZerohopError | None = None
    hedged = False
    pauses, progress_at = delays_s(iter(random.random, None)), loop.time()

    def source(worker: WorkerInfo, *, is_last: bool) -> Source:
        return Source(
            worker.worker_id,
            lambda: _stream(workers, worker, content, length, position, end - position, how),
            patient=is_last,
        )

    def hedge() -> Source:
        nonlocal hedged
        hedged = True
        return queue[0]

    while position < end:
        candidates = await _candidates(workers, content, position, holders)
        if late is not None:  # its worker comes last, for the case that it passes no descriptor
            late_id = late.worker_id
            candidates.sort(key=lambda worker: worker.worker_id == late_id)
        queue = deque(source(worker, is_last=worker is candidates[-1]) for worker in candidates)
        if late is not None:
            queue.appendleft(late)
        while queue and position < end:
            first = queue.popleft()
            other = hedge if queue and not hedged else None
            attempt = Race(workers, first, other, is_late=first is late)
            try:
                async with aclosing(attempt.pieces()) as pieces:
                    async for piece in pieces:
                        position += len(piece)
                        yield piece
                        progress_at, failure = loop.time(), None
                break
            except _TRY_NEXT as error:
                failure = _more_telling(failure, error, holders)
        late = None
        if failure is None:  # all is there, or what was late had only the first of it
            continue
        _raise_if_lost(workers, failure, content, holders)
        pause_s = next(pauses)
        if not isinstance(failure, TransportError) or loop.time() + pause_s - progress_at > _PATIENCE_S:
            raise _of_a_read(failure)
        await asyncio.sleep(pause_s)
        if workers.refresh is not None:
            await workers.refresh()


def _of_a_read(failure: ZerohopError) -> ZerohopError:
    """Of a write that got no answer it is not known whether it was done; a read was not, and may be repeated."""
    if isinstance(failure, OutcomeUnknown):
        return DeadlineExceeded(f"no worker gives the bytes: {failure.message}")
    return failure


def _raise_if_lost(
    workers: WorkerLinks, failure: ZerohopError, content: bytes, holders: Collection[str]
) -> None:
    """Nobody has it, and those who held it alone are gone or have it no more: it is lost, and that is what to say."""
    if not holders or not isinstance(failure, ContentNotFound | ContentLost):
        return
    live = {worker.worker_id for worker in workers.all}
    gone = sorted(holder for holder in holders if holder not in live)
    where = (
        f"lost worker{'s' if len(gone) > 1 else ''} {', '.join(gone)}" if gone else "a worker that restarted"
    )
    raise ContentLost(
        f"the bytes were written without waiting for the under-store, and their only copies were on {where}",
        content=content.hex(),
    ) from failure


async def _candidates(
    workers: WorkerLinks, content: bytes, position: int, holders: Collection[str]
) -> list[WorkerInfo]:
    index = position // block_size_of(content)
    return await workers.fresh(lambda: workers.for_read(content, index, holders))


async def _stream(
    workers: WorkerLinks,
    worker: WorkerInfo,
    content: bytes,
    length: int,
    offset: int,
    size: int,
    how: HowToRead,
) -> Pieces:
    """Exactly `size` bytes from one worker, or an error after fewer."""
    request = ReadContent(
        content=content,
        content_length=length,
        offset=offset,
        length=size,
        origin=how.origin,
        cache=how.policy is not ReadPolicy.NO_CACHE,
        promote=how.policy is ReadPolicy.CACHE_PROMOTE,
        more_bytes=how.more_bytes,
    )
    left = size
    client = workers.client(worker.worker_id)
    stall_s = _STALL_S if how.origin is None else _ORIGIN_STALL_S
    async with client.open_stream_out(request, timeout_s=stall_s, piped=how.piped) as source:
        if source.response.length != size:
            raise ProtocolViolation(f"asked for {size} bytes of a content, offered {source.response.length}")
        if how.sources is not None:
            how.sources.append(source.response.source)
        while piece := await source.next_piece():
            left -= len(piece)
            if left < 0:
                raise ProtocolViolation(f"more bytes of a content than the {size} that were asked for")
            yield piece
    if left:
        raise ProtocolViolation(f"{left} of {size} bytes of a content are missing")


def _more_telling(known: ZerohopError | None, new: ZerohopError, holders: Collection[str]) -> ZerohopError:
    """Of the failures of several workers the one that says most about the content.

    That a worker finds nothing is the truth about a persisted content, since all share the under-store; of one that
    only its holders have it says nothing, and their failure counts.
    """

    def weight(error: ZerohopError) -> int:
        if isinstance(error, ContentNotFound | ContentLost):
            return 0 if holders else 3
        return 1 if isinstance(error, TransportError) else 2

    return new if known is None else max((known, new), key=weight)

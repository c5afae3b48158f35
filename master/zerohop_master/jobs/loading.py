"""`load`: has objects cached by the workers that they belong to, before anybody reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Final, NamedTuple

from zerohop.client.layout import HeldPiece, object_pieces
from zerohop.client.placement import block_key, extent_key, rank
from zerohop.errors import (
    NotFound,
    NoWorker,
    OriginChanged,
    TransportError,
    ZerohopError,
)
from zerohop.model import OriginRef, block_count, block_size_of
from zerohop.rpc.cache_api import LoadBlocks
from zerohop.rpc.master_api import LookupObject, ObjectResult
from zerohop.tasks import each
from zerohop_master.jobs.cluster_calls import ClusterCalls
from zerohop_master.jobs.options import Load, load_of
from zerohop_master.jobs.running import OBJECTS_AT_A_TIME, RunningJob
from zerohop_master.jobs.walk import listed_keys, patiently

__all__ = ["Loading", "Span", "spans"]

_CALLS: Final = 16
"""To workers at a time, of one job."""

_TIMEOUT_S: Final = 600.0
"""For 16 blocks from a slow origin."""

_TRIES: Final = 3
"""Of an object that changes at its origin meanwhile."""

_EXTENT_BLOCKS: Final = 16
_SPAN_BYTES: Final = 64 << 20


class Span(NamedTuple):
    """`blocks` blocks of a content from `first` on, and the workers that they belong to, the first one first."""

    content: bytes
    length: int
    first: int
    blocks: int
    origin: OriginRef | None
    workers: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        """Of its blocks together."""
        block_size = block_size_of(self.content)
        return min((self.first + self.blocks) * block_size, self.length) - self.first * block_size


def spans(
    held: HeldPiece, workers: Sequence[str], copies: int, most_bytes: int = _SPAN_BYTES
) -> Iterator[Span]:
    """The spans that a content is loaded by: adjacent blocks of the same first workers, at most 16, and `most_bytes`
    (but one at least). Each has all workers in their order.
    """
    content, length, origin = held.piece.content, held.piece.length, held.origin
    most = max(1, min(_EXTENT_BLOCKS, most_bytes // block_size_of(content)))
    first = 0
    order: tuple[str, ...] = ()
    total = block_count(content, length)
    for index in range(total):
        name = block_key(content, index) if origin is None else extent_key(origin.mount_id, origin.key, index)
        ranked = tuple(rank(name, workers))
        if index > first and (ranked[:copies] != order[:copies] or index - first == most):
            yield Span(content, length, first, index - first, origin, order)
            first = index
        if index == first:
            order = ranked
    if total:
        yield Span(content, length, first, total - first, origin, order)


class _Pace:
    """Bytes a second; 0: as fast as it goes."""

    def __init__(self, bytes_per_second: int) -> None:
        self._rate = bytes_per_second
        self._free_s = monotonic()

    async def take(self, size_bytes: int) -> None:
        """Waits until so many bytes may go."""
        if not self._rate:
            return
        begin_s = max(self._free_s, monotonic())
        self._free_s = begin_s + size_bytes / self._rate
        await asyncio.sleep(begin_s - monotonic())

    def give_back(self, size_bytes: int) -> None:
        """So many were not needed after all."""
        if self._rate:
            self._free_s -= size_bytes / self._rate


class Loading:
    """Fetches each block once, at the worker that it belongs to; further copies come from there."""

    def __init__(self, calls: ClusterCalls) -> None:
        self._calls = calls

    async def run(self, job: RunningJob) -> None:
        """Carries out the job."""
        wanted = load_of(job.row.job.options)
        pace, slots = _Pace(wanted.bytes_per_second), asyncio.Semaphore(_CALLS)

        async def one(key: str) -> None:
            try:
                job.count(await self._load(job, key, wanted, pace, slots))
            except ZerohopError as error:
                job.fail(key, error)

        async for names, cursor in listed_keys(self._calls, job):
            await each(names, one, at_a_time=OBJECTS_AT_A_TIME)
            job.reached(cursor)

    async def _load(
        self, job: RunningJob, key: str, wanted: Load, pace: _Pace, slots: asyncio.Semaphore
    ) -> int:
        """Answers the size of the object; 0 for one that was deleted since it was listed."""
        lookup = LookupObject(caller=job.caller, bucket=job.row.job.bucket, key=key, with_data=False)
        for attempt in range(1, _TRIES + 1):
            try:
                found = await patiently(lambda: self._calls.call(lookup))
                await self._load_found(found, wanted, pace, slots)
                return found.record.size_bytes
            except NotFound:
                if not job.row.recursive:
                    raise
                break
            except OriginChanged:
                if attempt == _TRIES:
                    raise
        return 0

    async def _load_found(
        self, found: ObjectResult, wanted: Load, pace: _Pace, slots: asyncio.Semaphore
    ) -> None:
        if found.record.inline or not found.record.size_bytes:
            return
        pieces = [held async for held in object_pieces(self._calls, found, 0, found.record.size_bytes)]
        live = [worker.worker_id for worker in self._calls.look() if not worker.draining]
        if not live:
            raise NoWorker("no worker is there to load it")

        async def one(span: Span) -> None:
            async with slots:
                await self._load_span(span, wanted.replicas, pace)

        # A span is asked for whole: under a limit it is what a second may take, so that nothing goes far beyond that.
        most_bytes = min(_SPAN_BYTES, wanted.bytes_per_second or _SPAN_BYTES)
        # What workers alone hold is in their caches already, and can be read nowhere else.
        to_load = (
            span
            for held in pieces
            if not held.holders
            for span in spans(held, live, wanted.replicas, most_bytes)
        )
        await each(to_load, one, at_a_time=_CALLS)

    async def _load_span(self, span: Span, replicas: int, pace: _Pace) -> None:
        """On so many workers, or on all. One that cannot be reached is passed over for the next."""
        loaded: list[str] = []
        failure: TransportError | None = None
        for worker_id in span.workers:
            request = LoadBlocks(
                content=span.content,
                content_length=span.length,
                first=span.first,
                count=span.blocks,
                origin=span.origin,
                source=loaded[0] if loaded else "",
            )
            await pace.take(span.size_bytes)
            try:
                answer = await self._calls.workers.client(worker_id).call(request, timeout_s=_TIMEOUT_S)
            except TransportError as error:
                pace.give_back(span.size_bytes)
                failure = error
                continue
            pace.give_back(answer.cached_bytes)
            loaded.append(worker_id)
            if len(loaded) == replicas:
                return
        if not loaded and failure is not None:
            raise failure

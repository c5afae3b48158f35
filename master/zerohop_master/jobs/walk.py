"""Going through objects, page by page, from a cursor on: what a listing shows, or what the rows of the master have."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

from zerohop.client.layout import object_segments
from zerohop.errors import DeadlineExceeded, OutcomeUnknown, ZerohopError
from zerohop.model import BucketRecord, Segment
from zerohop.rpc.master_api import ListObjects, ObjectResult
from zerohop_master import keys
from zerohop_master.jobs.cluster_calls import ClusterCalls
from zerohop_master.jobs.retries import pause_ms
from zerohop_master.jobs.running import RunningJob
from zerohop_master.namespace import Namespace
from zerohop_master.rows import OBJECT

__all__ = ["contents_of", "known_objects", "listed_keys", "patiently"]

T = TypeVar("T")

_PAGE: Final = 250
_TRIES: Final = 8
_LONGEST_PAUSE_MS: Final = 10_000


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """What `ask` gives, asked again with pauses (in all about half a minute) while it may still come."""
    for attempt in range(1, _TRIES):
        try:
            return await ask()
        except ZerohopError as error:
            if not (error.retryable or isinstance(error, OutcomeUnknown | DeadlineExceeded)):
                raise
        await asyncio.sleep(pause_ms(attempt, random.random(), longest_ms=_LONGEST_PAUSE_MS) / 1000)
    return await ask()


async def listed_keys(calls: ClusterCalls, job: RunningJob) -> AsyncIterator[tuple[list[str], str]]:
    """The keys of a job in pages, each with the cursor that stands behind it; of a mount those at its origin, too."""
    row, bucket = job.row, job.row.job.bucket
    if not row.recursive:
        if not job.cursor:
            yield [row.key], row.key
        return
    after = job.cursor
    while True:
        request = ListObjects(caller=job.caller, bucket=bucket, prefix=row.key, after=after, limit=_PAGE)
        page = await patiently(lambda request=request: calls.call(request))  # type: ignore[misc]
        yield [entry.key for entry in page.entries], page.next_name or after
        if not page.next_name:
            return
        after = page.next_name


async def known_objects(
    namespace: Namespace, bucket: BucketRecord, key: str, *, recursive: bool, after: str = ""
) -> AsyncIterator[list[ObjectResult]]:
    """The objects of which the master has a row, in pages: only of those can anything be cached. No origin is asked."""
    base = keys.objects(bucket.bucket_id)
    if not recursive:
        rows = [] if after else [row for row in await namespace.store.get([base + key.encode()]) if row]
        yield [_result(bucket, row.value, row.version) for row in rows]
        return
    start, end = keys.span(base + key.encode())
    if after:
        start = max(start, base + after.encode() + b"\0")
    while rows := await namespace.store.scan(start, end, limit=_PAGE):
        yield [_result(bucket, row.value, row.version) for row in rows]
        start = rows[-1].key + b"\0"


def _result(bucket: BucketRecord, value: bytes, version: int) -> ObjectResult:
    return ObjectResult(
        record=OBJECT.decode(value),
        row_version=version,
        bucket_owner=bucket.owner,
        mount_id=bucket.mount_id,
    )


async def contents_of(calls: ClusterCalls, found: ObjectResult) -> list[Segment]:
    """The contents that hold the bytes of an object; none of one that stands inline or is empty."""
    if found.record.inline or not found.record.size_bytes:
        return []
    return [segment async for segment in object_segments(calls, found)]

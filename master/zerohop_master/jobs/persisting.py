"""`persist`: local objects are queued for their origins, contents that workers alone hold for the under-store."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from zerohop.errors import TransportError
from zerohop.model import BucketRecord
from zerohop.rpc.cache_api import PersistContents
from zerohop.rpc.master_api import JobFailure
from zerohop_master import keys
from zerohop_master.holders import holders_of
from zerohop_master.jobs.cluster_calls import ClusterCalls
from zerohop_master.jobs.persist_queue import PersistQueue
from zerohop_master.jobs.running import RunningJob
from zerohop_master.jobs.walk import contents_of, known_objects
from zerohop_master.kv.interface import Row
from zerohop_master.namespace import Namespace
from zerohop_master.rows import LOCAL_OBJECT
from zerohop_master.transaction import Transaction, commit_internally

__all__ = ["Persisting", "local_rows"]

_PAGE: Final = 250
_LOOK_S: Final = 0.2
_ASK_AGAIN: Final = 50
"""Looks after which the holders of contents are asked anew: one may have come back."""


async def local_rows(
    namespace: Namespace, bucket: BucketRecord, key: str, *, recursive: bool
) -> AsyncIterator[list[Row]]:
    """The rows of local objects, in pages."""
    base = keys.local_objects(bucket.bucket_id)
    if not recursive:
        yield [row for row in await namespace.store.get([base + key.encode()]) if row is not None]
        return
    start, end = keys.span(base + key.encode())
    while rows := await namespace.store.scan(start, end, limit=_PAGE):
        yield rows
        start = rows[-1].key + b"\0"


class Persisting:
    """Waits until what was there at its beginning is persisted."""

    def __init__(self, namespace: Namespace, calls: ClusterCalls, queue: PersistQueue) -> None:
        self._namespace = namespace
        self._calls = calls
        self._queue = queue

    async def run(self, job: RunningJob) -> None:
        """Carries out the job."""
        assert job.bucket is not None
        if not job.bucket.mount_id:
            await self._of_native(job, job.bucket)
            return
        if not job.cursor:
            await self._hurry(job, job.bucket)
            job.reached("queued")
        while True:
            if not await self._left(job, job.bucket):
                return
            await asyncio.sleep(_LOOK_S)

    async def _hurry(self, job: RunningJob, bucket: BucketRecord) -> None:
        pages = local_rows(self._namespace, bucket, job.row.key, recursive=job.row.recursive)
        async for rows in pages:

            async def body(transaction: Transaction, rows: list[Row] = rows) -> None:
                for row in await transaction.get(*(row.key for row in rows)):
                    if row is not None:
                        local = LOCAL_OBJECT.decode(row.value)
                        queued = msgspec.structs.replace(local, queued=True, next_ms=0)
                        transaction.put(row.key, LOCAL_OBJECT.encode(queued))
                transaction.put(keys.mount_generation(bucket.mount_id), b"\x01")

            if rows:
                await commit_internally(self._namespace.store, body)
        self._queue.hurry()

    async def _left(self, job: RunningJob, bucket: BucketRecord) -> bool:
        """Whether something is still local that was so at the beginning. What was written since is not ours."""
        objects = size_bytes = 0
        failures: list[JobFailure] = []
        pages = local_rows(self._namespace, bucket, job.row.key, recursive=job.row.recursive)
        async for rows in pages:
            for row in rows:
                local = LOCAL_OBJECT.decode(row.value)
                if local.since_ms > job.row.job.created_ms or not local.queued:
                    continue
                objects += 1
                size_bytes += local.size_bytes
                if local.error:
                    failures.append(failure_of(row))
        job.total = max(job.total, objects)
        job.done = job.total - objects
        job.message = f"{objects} objects, {size_bytes} bytes wait" if objects else ""
        job.show(failures)
        return bool(objects)

    async def _of_native(self, job: RunningJob, bucket: BucketRecord) -> None:
        looks = 0
        while True:
            holders, objects = await self._unpersisted(job, bucket)
            job.total = max(job.total, objects)
            job.done = job.total - objects
            if not holders:
                return
            if looks % _ASK_AGAIN == 0:
                await self._ask(holders)
            looks += 1
            await asyncio.sleep(_LOOK_S)

    async def _unpersisted(self, job: RunningJob, bucket: BucketRecord) -> tuple[dict[str, list[bytes]], int]:
        """Contents by the worker that holds them, and in how many objects they are, of those from before the job."""
        found: dict[str, list[bytes]] = defaultdict(list)
        objects = 0
        pages = known_objects(self._namespace, bucket, job.row.key, recursive=job.row.recursive)
        async for page in pages:
            for one in page:
                if not one.record.unpersisted or one.record.modified_ms > job.row.job.created_ms:
                    continue
                held = await holders_of(self._namespace, await contents_of(self._calls, one))
                objects += bool(held)
                for content, workers in held.items():
                    for worker_id in workers:
                        found[worker_id].append(content)
        return found, objects

    async def _ask(self, holders: dict[str, list[bytes]]) -> None:
        self._calls.look()
        for worker_id, contents in holders.items():
            for first in range(0, len(contents), 10_000):
                request = PersistContents(contents=tuple(contents[first : first + 10_000]))
                try:
                    await self._calls.workers.client(worker_id).call(request, timeout_s=30.0)
                except TransportError:
                    break  # it is asked again


def failure_of(row: Row) -> JobFailure:
    """Why a local object is not at its origin yet."""
    local = LOCAL_OBJECT.decode(row.value)
    return JobFailure(
        key=keys.key_of_local_object(row.key),
        message=local.error,
        attempts=local.attempts,
        next_ms=local.next_ms,
    )

"""`free`: has the workers let go of what they have cached of objects. What nobody else has, or is pinned, stays."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from zerohop.errors import TransportError
from zerohop.rpc.cache_api import BytesFreed, FreeContents
from zerohop.tasks import each
from zerohop_master.jobs.cluster_calls import ClusterCalls
from zerohop_master.jobs.running import OBJECTS_AT_A_TIME, RunningJob
from zerohop_master.jobs.walk import contents_of, known_objects
from zerohop_master.namespace import Namespace

__all__ = ["Freeing", "free_contents"]

_log = logging.getLogger(__name__)
_CONTENTS: Final = 10_000
"""That one call may name."""

_TIMEOUT_S: Final = 60.0


async def free_contents(
    calls: ClusterCalls, contents: Sequence[bytes], *, older_than_s: float = 0.0
) -> BytesFreed:
    """Asks all live workers. One that does not answer keeps what it has."""
    answers: list[BytesFreed] = []

    async def ask(worker_id: str) -> None:
        for first in range(0, len(contents), _CONTENTS):
            request = FreeContents(
                contents=tuple(contents[first : first + _CONTENTS]), older_than_s=older_than_s
            )
            try:
                client = calls.workers.client(worker_id)
                answers.append(await client.call(request, timeout_s=_TIMEOUT_S, idempotent=True))
            except TransportError as error:
                _log.warning("worker %s does not free its blocks: %s", worker_id, error)
                return

    await each(
        [worker.worker_id for worker in calls.look()] if contents else (), ask, at_a_time=OBJECTS_AT_A_TIME
    )
    return BytesFreed(
        freed_bytes=sum(answer.freed_bytes for answer in answers),
        kept_bytes=sum(answer.kept_bytes for answer in answers),
    )


class Freeing:
    """Counts the bytes that were freed, on all workers together."""

    def __init__(self, namespace: Namespace, calls: ClusterCalls) -> None:
        self._namespace = namespace
        self._calls = calls

    async def run(self, job: RunningJob) -> None:
        """Carries out the job."""
        assert job.bucket is not None
        kept_bytes = 0
        pages = known_objects(
            self._namespace, job.bucket, job.row.key, recursive=job.row.recursive, after=job.cursor
        )
        async for page in pages:
            contents = [
                segment.content for found in page for segment in await contents_of(self._calls, found)
            ]
            freed = await free_contents(self._calls, contents)
            kept_bytes += freed.kept_bytes
            job.count(freed.freed_bytes, objects=len(page))
            if page:
                job.reached(page[-1].record.key)
        if kept_bytes:
            job.message = f"{kept_bytes} bytes stay: they are pinned, or not persisted yet"

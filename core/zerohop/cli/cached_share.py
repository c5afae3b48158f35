"""How much of objects the workers have cached, asked for many objects at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from zerohop.client.layout import object_segments
from zerohop.client.objects import ObjectClient
from zerohop.errors import NotFound, TransportError
from zerohop.model import Segment, WorkerInfo
from zerohop.rpc.master_api import GetMounted, ObjectResult
from zerohop.rpc.worker_api import GetCachedBytes

__all__ = ["cached_by_worker", "cached_bytes"]

_LOOKUPS = 64
"""Records asked for at once."""

_MOUNTED_KEYS = 1000
"""Rows of a mount that one question to the master may name."""

_CONTENTS = 10_000
"""Contents that one question to a worker may name."""


async def cached_bytes(objects: ObjectClient, bucket: str, keys: Sequence[str]) -> dict[str, int]:
    """Cached bytes by key. What stands inline counts as cached; an object that has gone meanwhile has none. No origin
    is asked: of an object of a mount that has no row nothing is cached.
    """
    mount_id = (await objects.bucket(bucket)).mount_id if keys else b""
    found = await (_of_mount(objects, mount_id, keys) if mount_id else _looked_up(objects, bucket, keys))
    contents = [segment for _, segments in found for segment in segments]
    cached = await _over_workers(objects, contents)
    return {
        key: inline + sum(cached[segment.content] for segment in segments)
        for key, (inline, segments) in zip(keys, found, strict=True)
    }


_Layout = tuple[int, list[Segment]]
"""Bytes that stand inline, and the contents of the others."""


async def _of_mount(objects: ObjectClient, mount_id: bytes, keys: Sequence[str]) -> list[_Layout]:
    found: list[_Layout] = []
    for first in range(0, len(keys), _MOUNTED_KEYS):
        some = tuple(keys[first : first + _MOUNTED_KEYS])
        rows = await objects.client.call(GetMounted(mount_id=mount_id, keys=some))
        for record in rows.records:
            known = None if record is None else ObjectResult(record=record, row_version=0, bucket_owner="")
            found.append((0, []) if known is None else await _inline_and_segments(objects, known))
    return found


async def _looked_up(objects: ObjectClient, bucket: str, keys: Sequence[str]) -> list[_Layout]:
    limit = asyncio.Semaphore(_LOOKUPS)

    async def layout_of(key: str) -> _Layout:
        async with limit:
            try:
                result = await objects.lookup(bucket, key)
                return await _inline_and_segments(objects, result)
            except NotFound:
                return 0, []

    return await asyncio.gather(*(layout_of(key) for key in keys))


async def cached_by_worker(objects: ObjectClient, result: ObjectResult) -> dict[str, int]:
    """Bytes of one object that each live worker has cached, by worker id; only those that have some."""
    _, segments = await _inline_and_segments(objects, result)
    workers = objects.client.workers.all
    answers = await asyncio.gather(*(_ask(objects, worker, segments) for worker in workers))
    totals = {worker.worker_id: sum(answer) for worker, answer in zip(workers, answers, strict=True)}
    return {worker_id: total for worker_id, total in totals.items() if total}


async def _inline_and_segments(objects: ObjectClient, result: ObjectResult) -> _Layout:
    if result.record.inline or not result.record.size_bytes:
        return result.record.size_bytes, []
    return 0, [segment async for segment in object_segments(objects.client, result)]


async def _over_workers(objects: ObjectClient, contents: list[Segment]) -> dict[bytes, int]:
    """Cached bytes by content. Workers may hold copies of the same blocks: no content counts for more than it has."""
    workers = objects.client.workers.all if contents else ()
    answers = await asyncio.gather(*(_ask(objects, worker, contents) for worker in workers))
    return {
        segment.content: min(segment.length, sum(answer[number] for answer in answers))
        for number, segment in enumerate(contents)
    }


async def _ask(objects: ObjectClient, worker: WorkerInfo, contents: list[Segment]) -> list[int]:
    """Cached bytes of each content at one worker; none of one that does not answer."""
    cached: list[int] = []
    for first in range(0, len(contents), _CONTENTS):
        some = tuple(contents[first : first + _CONTENTS])
        try:
            answer = await objects.client.workers.client(worker.worker_id).call(GetCachedBytes(contents=some))
        except TransportError:
            return [0] * len(contents)
        cached.extend(answer.cached)
    return cached

"""Writing an object whole: inline when it is small, else as one content, with its ETag worked out on the way."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping

from zerohop.client.cluster import ClusterClient
from zerohop.client.writers import new_content
from zerohop.errors import (
    BodyTooShort,
    Conflict,
    InvalidRequest,
    NotFound,
    NotSupported,
    OperationConflict,
    SessionFenced,
)
from zerohop.model import Caller, ObjectRecord, Segment, WritePolicy
from zerohop.rpc.master_api import ObjectResult, PutObject
from zerohop.rpc.mutation import new_mutation_id
from zerohop.rpc.worker_api import ContentWritten

__all__ = ["Chunks", "write_object"]

Chunks = AsyncIterator[bytes]

_REFUSED = (Conflict, InvalidRequest, NotFound, NotSupported, OperationConflict, SessionFenced)
"""Answers that say for certain that a commit did not happen."""

_COMMIT_TIMEOUT_S = 30.0
_THREAD_FROM_BYTES = 64 << 10
"""MD5 of less takes less time than handing it to a thread."""


async def write_object(
    client: ClusterClient,
    caller: Caller,
    bucket: str,
    key: str,
    chunks: Chunks,
    *,
    size_bytes: int = -1,
    policy: WritePolicy = WritePolicy.CACHE_THROUGH,
    headers: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    expected_version: int | None = None,
) -> ObjectResult:
    """Makes the bytes of `chunks` the object `key`. `size_bytes`: how many they are, -1 when that is not known.

    Atomic: readers see the whole old or the whole new object, and nothing of a write that fails.
    Raises BucketNotFound, Conflict (`expected_version`), BodyTooShort, NoWorker, OutOfSpace, SessionFenced (write
    again), transport errors.
    """
    md5 = hashlib.md5(usedforsecurity=False)
    inline_max_bytes = client.view.settings.inline_max_bytes
    head = await _take(chunks, inline_max_bytes + 1)
    content: ContentWritten | None = None
    if len(head) <= inline_max_bytes:
        md5.update(head)
        size = len(head)
    else:
        content = await _write_content(client, policy, size_bytes, head, chunks, md5)
        size = content.length
    if size_bytes not in (-1, size):
        if content is not None:
            await client.writer.discard(content)
        raise BodyTooShort(f"{size} bytes came, {size_bytes} were announced")
    record = ObjectRecord(
        key=key,
        size_bytes=size,
        etag=md5.hexdigest(),
        modified_ms=0,
        headers=dict(headers or {}),
        metadata=dict(metadata or {}),
        tags=dict(tags or {}),
        segments=() if content is None else (Segment(content.content, content.length),),
        unpersisted=content is not None and not content.persisted,
    )
    request = PutObject(
        caller=caller,
        bucket=bucket,
        record=record,
        data=b"" if content is not None else bytes(head),
        contents=() if content is None else (new_content(content),),
        expected_version=expected_version,
        mutation=new_mutation_id(),
    )
    try:
        return await client.call(request, timeout_s=_COMMIT_TIMEOUT_S)
    except _REFUSED:
        if content is not None:
            await client.writer.discard(content)
        raise


async def _take(chunks: Chunks, wanted_bytes: int) -> bytearray:
    """The first chunks, until they are `wanted_bytes` or more, or all."""
    head = bytearray()
    async for chunk in chunks:
        head += chunk
        if len(head) >= wanted_bytes:
            break
    return head


async def _write_content(
    client: ClusterClient,
    policy: WritePolicy,
    size_bytes: int,
    head: bytearray,
    chunks: Chunks,
    md5: hashlib._Hash,
) -> ContentWritten:
    async with client.writer.open(policy, size_bytes) as sink:
        chunk = bytes(head)
        while True:
            # The digest of a chunk is worked out while it is being sent.
            if len(chunk) >= _THREAD_FROM_BYTES:
                await asyncio.gather(asyncio.to_thread(md5.update, chunk), sink.write(chunk))
            else:
                md5.update(chunk)
                await sink.write(chunk)
            try:
                chunk = await anext(chunks)
            except StopAsyncIteration:
                return await sink.finish()

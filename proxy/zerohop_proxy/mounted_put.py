"""A body that goes through to the origin of a mount: staged at the owner of its key, committed once it is judged."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from zerohop.client.mounts import MountedWrite
from zerohop.model import ObjectRecord, WritePolicy
from zerohop.rpc.master_api import ObjectResult
from zerohop_proxy.body_in import IncomingBody
from zerohop_proxy.conditions import WriteCondition
from zerohop_proxy.digests import ReceivedBody
from zerohop_proxy.hashing import Batch
from zerohop_proxy.object_answer import stored
from zerohop_proxy.request import S3Request

__all__ = ["put_through"]


async def put_through(
    request: S3Request,
    body: IncomingBody,
    mount_id: bytes,
    record: ObjectRecord,
    condition: WriteCondition | None,
    policy: str,
) -> ObjectResult:
    """Streams the body to the origin with bounded memory; it is the object only after every check has passed. `policy`
    is the one of this write.

    Raises S3Error for what the body is not, PreconditionFailed, KeyNotFound, and what the origin is refused for.
    """
    written, received = await _stage(request, body, mount_id, record, policy)
    record = msgspec.structs.replace(
        record,
        size_bytes=written.staged.length,
        etag=received.md5_hex,
        checksums=stored(received.checksums),
        checksum_type="FULL_OBJECT",
    )
    return await request.cluster.mounts.commit(
        request.caller,
        mount_id,
        request.bucket,
        written,
        record,
        only_if_absent=condition is not None and condition.if_none_match_any,
        only_if_etag=(condition.if_match or "") if condition is not None else "",
    )


async def _stage(
    request: S3Request, body: IncomingBody, mount_id: bytes, record: ObjectRecord, policy: str
) -> tuple[MountedWrite, ReceivedBody]:
    expected = -1 if body.expected_bytes is None else body.expected_bytes
    cache = policy != WritePolicy.THROUGH
    mounts = request.cluster.mounts
    async with mounts.write(mount_id, record, cache=cache, expected_bytes=expected) as sink:
        batches: AsyncGenerator[Batch, None] = body.batches()
        async with aclosing(batches):
            async for batch in batches:
                for piece in batch:
                    await sink.write(piece)
        received = (
            body.finish()
        )  # a body that is not what it claims leaves the sink here, and nothing of it stays
        return await sink.finish(), received

"""PutObject."""

from __future__ import annotations

import msgspec

from zerohop.model import ObjectRecord, WritePolicy
from zerohop.rpc.master_api import ObjectResult, PutObject
from zerohop_proxy.answer import Answer
from zerohop_proxy.body_in import IncomingBody
from zerohop_proxy.buckets import find_bucket
from zerohop_proxy.checksums import DEFAULT_ALGORITHM
from zerohop_proxy.conditions import WriteCondition, write_condition
from zerohop_proxy.mounted_put import put_through
from zerohop_proxy.object_answer import checksum_headers, stored, template
from zerohop_proxy.object_headers import parse_object_headers
from zerohop_proxy.request import S3Request
from zerohop_proxy.row_conditions import commit_on, decided_version
from zerohop_proxy.storing import StoredBytes, store_body

__all__ = ["commit_object", "put_object"]

_COMMIT_S = 30.0


async def put_object(request: S3Request) -> Answer:
    """PutObject: the object is there, whole and durable as the write policy says, before the 200."""
    described = parse_object_headers(request.headers)
    condition = write_condition(request.headers)
    request.write_policy()
    body = IncomingBody(request, default_algorithm=DEFAULT_ALGORITHM)
    inline_max_bytes = request.cluster.view.settings.inline_max_bytes
    # Refuse before the body is sent where it matters; a small body that is on its way is checked by its commit alone.
    if body.expected_bytes is None or body.expected_bytes > inline_max_bytes or body.is_awaited:
        found = await find_bucket(request)
        await decided_version(request, condition)
        policy = request.write_policy_asked() or found.write_policy
        if found.bucket.mount_id and _writes_through(policy):
            new = template(request.key, described)
            return _answer(await put_through(request, body, found.bucket.mount_id, new, condition, policy))
    stored_bytes, received = await store_body(request, body, inline_max_bytes=inline_max_bytes)
    record = msgspec.structs.replace(
        template(request.key, described),
        size_bytes=stored_bytes.size_bytes,
        etag=received.md5_hex,
        checksums=stored(received.checksums),
        checksum_type="FULL_OBJECT",
        segments=stored_bytes.segments,
        unpersisted=stored_bytes.is_unpersisted,
    )
    return _answer(await commit_object(request, condition, record, stored_bytes))


def _answer(result: ObjectResult) -> Answer:
    headers = [("ETag", f'"{result.record.etag}"'), *checksum_headers(result.record)]
    if result.record.version_id != "null":
        headers.append(("x-amz-version-id", result.record.version_id))
    return Answer(200, headers)


def _writes_through(policy: str) -> bool:
    return policy in (WritePolicy.THROUGH, WritePolicy.CACHE_THROUGH)


async def commit_object(
    request: S3Request, condition: WriteCondition | None, record: ObjectRecord, stored_bytes: StoredBytes
) -> ObjectResult:
    """Make the record current. One mutation id for all tries: at most one of them happens."""
    mutation = request.new_mutation()

    async def commit(expected: int | None) -> ObjectResult:
        stored_bytes.check_fresh(request)
        return await request.call(
            lambda caller: PutObject(
                caller=caller,
                bucket=request.bucket,
                record=record,
                data=stored_bytes.data,
                contents=stored_bytes.contents,
                expected_version=expected,
                mutation=mutation,
                write_policy=request.write_policy_asked(),
            ),
            timeout_s=_COMMIT_S,
        )

    try:
        return await commit_on(request, condition, commit)
    except Exception as error:
        await stored_bytes.discard_after(request, error)
        raise

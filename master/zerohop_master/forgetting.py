"""Forgetting a worker that will not come back: it is no member any more, and what it alone held is lost.

No metadata of what is lost is touched: a GET names the loss, the owner may delete it, and should the worker return
after all, it registers as a new one and has its bytes still.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from zerohop.errors import AccessDenied, InvalidRequest, NotFound
from zerohop.rpc.master_api import ForgetWorker, LostContent, WorkerForgotten
from zerohop_master import keys
from zerohop_master.membership import Membership
from zerohop_master.namespace import Namespace
from zerohop_master.rows import BUCKET, CONTENT, ContentState
from zerohop_master.transaction import Transaction, commit_internally

__all__ = ["forget_worker"]

_log = logging.getLogger(__name__)
_PAGE: Final = 1000
_MAX_COUNTED: Final = 100_000
_MAX_NAMED: Final = 1000
"""An answer for people, in one message."""
_MAX_NAMES: Final = 10
"""Of one content, which many objects may share."""


async def forget_worker(
    namespace: Namespace, membership: Membership, request: ForgetWorker
) -> WorkerForgotten:
    """See `ForgetWorker`."""
    if not request.caller.admin:
        raise AccessDenied("only an administrator may have a worker forgotten")
    worker_id = request.worker_id

    async def body(transaction: Transaction) -> None:
        row = await transaction.get_one(keys.node(worker_id))
        if row is None:
            raise NotFound(f"no worker {worker_id!r} is known: `zerohop admin report` lists them")
        if membership.is_live(worker_id):
            raise InvalidRequest(
                f"worker {worker_id} is live: stop it first. One that is stopped in an orderly way persists what it "
                "holds and leaves by itself"
            )
        transaction.delete(row.key)

    await commit_internally(namespace.store, body)
    membership.forget(worker_id)
    found = await _lost(namespace, worker_id, membership)
    _log.warning("worker %s is forgotten: %d contents are lost with it", worker_id, found.count)
    return found


async def _lost(namespace: Namespace, worker_id: str, membership: Membership) -> WorkerForgotten:
    """What this worker held and no other worker that is a member does."""
    start, end = keys.span(keys.unpersisted_of(worker_id))
    count = size_bytes = 0
    lost: list[LostContent] = []
    buckets: dict[bytes, str] | None = None
    while count < _MAX_COUNTED:
        rows = await namespace.store.scan(start, end, limit=_PAGE)
        contents = [keys.content_of_unpersisted(row.key) for row in rows]
        for content, state in await _states(namespace, contents):
            if any(membership.is_member(holder) for holder in state.holders):
                continue
            count += 1
            size_bytes += state.length
            if len(lost) < _MAX_NAMED:
                buckets = await _bucket_names(namespace) if buckets is None else buckets
                names = await _names(namespace, content, buckets)
                lost.append(LostContent(content=content, length=state.length, names=tuple(names)))
        if len(rows) < _PAGE:
            break
        start = rows[-1].key + b"\0"
    return WorkerForgotten(count=count, size_bytes=size_bytes, lost=tuple(lost))


async def _states(namespace: Namespace, contents: Sequence[bytes]) -> list[tuple[bytes, ContentState]]:
    """Of those that are live and not persisted."""
    rows = await namespace.store.get([keys.content_state(content) for content in contents])
    states = [
        (content, CONTENT.decode(row.value))
        for content, row in zip(contents, rows, strict=True)
        if row is not None
    ]
    return [(content, state) for content, state in states if state.live and not state.persisted]


async def _names(namespace: Namespace, content: bytes, buckets: dict[bytes, str]) -> list[str]:
    """`bucket/key` of objects that have the content, or the upload that has."""
    names = []
    start, end = keys.span(keys.references(content))
    for row in await namespace.store.scan(start, end, limit=_MAX_NAMES):
        owner = row.key[len(start) :]
        if keys.is_part_owner(owner):
            upload_id, number = keys.upload_of_part_owner(owner)
            names += await _names(namespace, upload_id, buckets) or [f"part {number} of an open upload"]
        else:
            bucket_id, key = keys.object_of_owner(owner)
            names.append(f"{buckets.get(bucket_id, '?')}/{key}")
    return names[:_MAX_NAMES]


async def _bucket_names(namespace: Namespace) -> dict[bytes, str]:
    names: dict[bytes, str] = {}
    start, end = keys.span(keys.BUCKETS)
    while rows := await namespace.store.scan(start, end, limit=_PAGE):
        records = [BUCKET.decode(row.value) for row in rows]
        names |= {record.bucket_id: record.name for record in records}
        start = rows[-1].key + b"\0"
    return names

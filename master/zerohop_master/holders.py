"""Which workers hold what the under-store does not have yet, and what becomes of that."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from zerohop.errors import SessionFenced
from zerohop.model import Segment
from zerohop.rpc.master_api import (
    AddHolders,
    ContentStates,
    Empty,
    GetContentStates,
    ListUnpersisted,
    MarkPersisted,
    UnpersistedPage,
)
from zerohop_master import keys
from zerohop_master.contents import REFERENCE
from zerohop_master.namespace import Namespace
from zerohop_master.rows import CONTENT, NODE
from zerohop_master.transaction import Transaction, commit_internally

__all__ = ["add_holders", "content_states", "holders_of", "list_unpersisted", "mark_persisted"]

_CONTENTS_PER_COMMIT = 500
_MAX_PAGE = 1000


async def holders_of(namespace: Namespace, segments: Iterable[Segment]) -> dict[bytes, tuple[str, ...]]:
    """Worker ids by content, for the live contents that are not persisted yet."""
    contents = list(dict.fromkeys(segment.content for segment in segments if segment.length))
    rows = await namespace.store.get([keys.content_state(content) for content in contents])
    states = (
        (content, CONTENT.decode(row.value)) for content, row in zip(contents, rows, strict=True) if row
    )
    return {content: state.holders for content, state in states if state.live and not state.persisted}


async def mark_persisted(namespace: Namespace, request: MarkPersisted) -> Empty:
    """See `MarkPersisted`."""
    for first in range(0, len(request.contents), _CONTENTS_PER_COMMIT):
        batch = request.contents[first : first + _CONTENTS_PER_COMMIT]

        async def body(transaction: Transaction, batch: tuple[bytes, ...] = batch) -> None:
            await _check_session(transaction, request.worker_id, request.session)
            rows = await transaction.get(*map(keys.content_state, dict.fromkeys(batch)))
            for row in rows:
                if row is not None:
                    _settle(transaction, row.key, row.value)

        await commit_internally(namespace.store, body)
    return Empty()


async def add_holders(namespace: Namespace, request: AddHolders) -> Empty:
    """See `AddHolders`."""

    async def body(transaction: Transaction) -> None:
        await _check_session(transaction, request.worker_id, request.session)
        row = await transaction.get_one(keys.content_state(request.content))
        state = None if row is None else CONTENT.decode(row.value)
        if row is None or state is None or state.persisted or not state.live:
            return
        for worker_id in set(request.holders) - set(state.holders):
            transaction.put(keys.unpersisted(worker_id, request.content), REFERENCE)
        holders = tuple(dict.fromkeys((*state.holders, *request.holders)))
        transaction.put(row.key, CONTENT.encode(msgspec.structs.replace(state, holders=holders)))

    await commit_internally(namespace.store, body)
    return Empty()


def _settle(transaction: Transaction, row_key: bytes, value: bytes) -> None:
    state = CONTENT.decode(value)
    if state.persisted or not state.live:
        return
    for worker_id in state.holders:
        transaction.delete(keys.unpersisted(worker_id, row_key[1:]))
    persisted = msgspec.structs.replace(state, persisted=True, holders=())
    transaction.put(row_key, CONTENT.encode(persisted))


async def _check_session(transaction: Transaction, worker_id: str, session: bytes) -> None:
    row = await transaction.get_one(keys.node(worker_id))
    if row is None or NODE.decode(row.value).session != session:
        raise SessionFenced(f"worker {worker_id!r} has registered anew")


async def content_states(namespace: Namespace, request: GetContentStates) -> ContentStates:
    """See `GetContentStates`."""
    rows = await namespace.store.get([keys.content_state(content) for content in request.contents])
    return ContentStates(
        states=tuple(
            "unknown" if row is None else "live" if CONTENT.decode(row.value).live else "dead" for row in rows
        )
    )


async def list_unpersisted(namespace: Namespace, request: ListUnpersisted) -> UnpersistedPage:
    """See `ListUnpersisted`."""
    start, end = keys.span(keys.unpersisted_of(request.worker_id))
    if request.after:
        start = keys.unpersisted(request.worker_id, request.after) + b"\0"
    limit = max(0, min(request.limit, _MAX_PAGE))
    rows = await namespace.store.scan(start, end, limit=limit + 1)
    contents = [keys.content_of_unpersisted(row.key) for row in rows[:limit]]
    states = await namespace.store.get([keys.content_state(content) for content in contents])
    page = tuple(
        Segment(content, CONTENT.decode(row.value).length)
        for content, row in zip(contents, states, strict=True)
        if row is not None
    )
    more = bool(contents) and len(rows) > limit
    return UnpersistedPage(contents=page, next_after=contents[-1] if more else b"")

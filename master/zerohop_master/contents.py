"""References to contents: who keeps which bytes alive.

A `d` row says that a content (or a manifest, which is kept alive in the same way) is live; a `k` row that an object
version or a part uses it. A content becomes part of the namespace in the commit that writes both. From then on it is
only ever referenced anew by copying from an owner whose own row is a condition of the same commit. So once the last
reference is gone, none can come back, and the one `g` row that the last removal writes is enough to have it collected.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from zerohop.errors import InvalidRequest, SessionFenced
from zerohop.model import ObjectRecord, session_of
from zerohop.rpc.master_api import NewContent
from zerohop_master import keys
from zerohop_master.rows import CONTENT, INLINE_MARK, NODE, ContentState
from zerohop_master.transaction import StaleRead, Transaction

__all__ = ["REFERENCE", "References", "check_contents", "contents_of"]

REFERENCE = b"\x01"
"""Value of every `k` and `q` row: its key says it all."""


class References:
    """Changes of references within one transaction. `settle` must be the last step before the commit."""

    def __init__(self, transaction: Transaction, now_ms: int) -> None:
        self._transaction = transaction
        self._now_ms = now_ms
        self._added: set[bytes] = set()
        self._dropped: dict[bytes, set[bytes]] = {}

    async def adopt(self, contents: Sequence[NewContent], owner: bytes) -> None:
        """Contents that a worker has written become live, and `owner` refers to them.

        Raises SessionFenced when the worker has registered anew since it wrote one of them, or when the sweep was
        faster: the commit depends on the worker's registration, and on no state of the content being known yet.
        """
        for new in contents:
            state_key = keys.content_state(new.content)
            node_row, state = await self._transaction.get(keys.node(new.worker_id), state_key)
            if node_row is None or NODE.decode(node_row.value).session != session_of(new.content):
                raise SessionFenced(
                    f"worker {new.worker_id!r} has registered anew since it wrote this content"
                )
            if state is not None:
                raise SessionFenced("the content is in use already, or was swept as an orphan")
            holders = () if new.persisted else new.holders or (new.worker_id,)
            self._transaction.put(
                state_key,
                CONTENT.encode(
                    ContentState(live=True, length=new.length, persisted=new.persisted, holders=holders)
                ),
            )
            for worker_id in holders:
                self._transaction.put(keys.unpersisted(worker_id, new.content), REFERENCE)
            self._refer(new.content, owner)

    def create_manifest(self, manifest: bytes, length: int, owner: bytes) -> None:
        """A manifest becomes live, and `owner` refers to it. The commit depends on its id being new."""
        self._transaction.require(keys.content_state(manifest), 0)
        self._transaction.put(
            keys.content_state(manifest),
            CONTENT.encode(ContentState(live=True, length=length, manifest=True)),
        )
        self._refer(manifest, owner)

    async def share(self, contents: Iterable[bytes], owner: bytes) -> list[ContentState]:
        """`owner` refers to contents that are live; answers their states. Raises StaleRead when one is not."""
        wanted = list(contents)
        rows = await self._transaction.get(*map(keys.content_state, wanted))
        states = []
        for content, row in zip(wanted, rows, strict=True):
            if row is None or not (state := CONTENT.decode(row.value)).live:
                raise StaleRead
            states.append(state)
            self._refer(content, owner)
        return states

    def drop(self, contents: Iterable[bytes], owner: bytes) -> None:
        """`owner` refers to these contents no more."""
        for content in contents:
            row_key = keys.reference(content, owner)
            if not self._transaction.writes(row_key):
                self._transaction.delete(row_key)
                self._dropped.setdefault(content, set()).add(row_key)

    async def settle(self) -> None:
        """Has contents deleted that lost their last reference.

        What makes it the last is a condition of the commit: either the range is empty, or one reference that was
        seen to be left is still there. So of two owners that let go at once, one sees the other's commit.
        """
        for content, dropped in self._dropped.items():
            start, end = keys.span(keys.references(content))
            if content in self._added:
                continue
            left = await self._transaction.scan(start, end, limit=len(dropped) + 1)
            witness = next((row for row in left if row.key not in dropped), None)
            if witness is not None:
                self._transaction.require(witness.key, witness.version)
            else:
                self._transaction.require_empty(start, end)
                self._transaction.put(keys.deletion(self._now_ms, content), REFERENCE)

    def _refer(self, content: bytes, owner: bytes) -> None:
        self._added.add(content)
        self._transaction.put(keys.reference(content, owner), REFERENCE)

    def release_object(self, bucket_id: bytes, record: ObjectRecord) -> None:
        """An object version goes: its inline data with it, at once, since a lookup reads both in one snapshot."""
        if record.inline:
            self._transaction.delete(keys.inline_data(record.inline))
        self.drop(contents_of(record), keys.object_owner(bucket_id, record.key, record.sequence))

    async def share_object(self, bucket_id: bytes, record: ObjectRecord, inline: bytes) -> list[ContentState]:
        """The object version `record` refers to what its source refers to; `inline` is the source's inline data."""
        if record.inline:
            self._transaction.put(keys.inline_data(record.inline), INLINE_MARK + inline)
        owner = keys.object_owner(bucket_id, record.key, record.sequence)
        return await self.share(contents_of(record), owner)


def contents_of(record: ObjectRecord) -> tuple[bytes, ...]:
    """What a version refers to: its manifest, or else its contents, each once. The contents of a cached record are
    nothing but cache: their bytes are at the origin.
    """
    if record.origin is not None:
        return ()
    if record.manifest:
        return (record.manifest,)
    return tuple(dict.fromkeys(segment.content for segment in record.segments if segment.length))


def check_contents(
    record: ObjectRecord, data: bytes, contents: Sequence[NewContent], inline_max_bytes: int
) -> None:
    """The bytes of a PUT stand either inline or in whole contents, and add up. Raises InvalidRequest."""
    if data and contents:
        raise InvalidRequest("bytes stand inline or in contents, not in both")
    if len(data) > inline_max_bytes:
        raise InvalidRequest(
            f"{len(data)} bytes are too many to stand inline; the limit is {inline_max_bytes}"
        )
    told = [(new.content, new.length) for new in contents]
    if told != [(segment.content, segment.length) for segment in record.segments]:
        raise InvalidRequest("the contents are not those of the record's segments")
    if len(data) + sum(length for _, length in told) != record.size_bytes:
        raise InvalidRequest("the bytes do not add up to the size of the record")

"""Large objects for Azure: blocks that belong to nothing yet, and a list of them that makes them the object, on the
writer's condition. The library's own upload in parts knows no conditions.

https://learn.microsoft.com/rest/api/storageservices/put-block-list
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from zerohop.errors import UnderStoreFailed
from zerohop_worker.files import Buffer
from zerohop_worker.origins.azure_requests import (
    AzureBlob,
    AzureRefusal,
    AzureRequests,
    CannotSign,
    new_block_id,
)
from zerohop_worker.origins.interface import NO_CONDITION, Attributes, OriginObject, WriteCondition
from zerohop_worker.origins.obstore_objects import attributes_for, failed_condition
from zerohop_worker.origins.obstore_staging import ObstoreStaged
from zerohop_worker.origins.parts_in_flight import PartsInFlight

if TYPE_CHECKING:
    from zerohop_worker.origins.obstore_store import ObstoreOrigin

__all__ = ["AzureStaged"]

_HEADERS: Final = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
)


class AzureStaged:
    """See `StagedObject`. Where our requests cannot be signed the library writes, and the condition is looked at
    before.
    """

    def __init__(
        self, origin: ObstoreOrigin, requests: AzureRequests, key: str, attributes: Attributes
    ) -> None:
        attributes_for(attributes, azure=True)
        self._origin = origin
        self._requests = requests
        self._key = key
        self._attributes = attributes
        self._blob: AzureBlob | None = None
        self._library: ObstoreStaged | None = None
        self._parts = PartsInFlight(origin.parts)
        self._blocks: list[str] = []
        self._size_bytes = 0
        self._is_over = False

    async def write_part(self, buffers: Sequence[Buffer]) -> None:
        """See `StagedObject.write_part`."""
        if self._blob is None and self._library is None:
            await self._begin()
        if self._library is not None:
            await self._library.write_part(buffers)
            return
        data = await self._parts.joined(buffers)
        block = new_block_id()
        self._blocks.append(block)
        self._size_bytes += len(data)
        self._parts.send(partial(self._send, block, data), name=f"block {len(self._blocks)} of {self._key}")

    async def _begin(self) -> None:
        full_key = self._origin.full_key(self._key)
        try:
            self._blob = await self._requests.blob(full_key, has_tags=bool(self._attributes.tags))
        except CannotSign:
            self._library = ObstoreStaged(self._origin, self._key, self._attributes)

    async def _send(self, block: str, data: bytes) -> None:
        assert self._blob is not None
        query = {"comp": "block", "blockid": block}
        try:
            async with self._origin.bodies:
                await self._requests.put(self._blob, query, {}, data, repeat_lost=True)
        except AzureRefusal as refusal:
            raise refusal.error(self._what) from None

    @property
    def _what(self) -> str:
        return f"write {self._key} in {self._origin.place}"

    async def commit(self, condition: WriteCondition = NO_CONDITION) -> OriginObject:
        """See `StagedObject.commit`."""
        if self._is_over:
            raise UnderStoreFailed(f"the write of {self._key} was given up")
        if self._library is not None:
            return await self._library.commit(condition)
        if self._blob is None:
            return await self._origin.put(self._key, (), self._attributes, condition)
        await self._parts.all_arrived()
        headers = _condition_headers(condition) | _attribute_headers(self._attributes)
        listed = "".join(f"<Latest>{block}</Latest>" for block in self._blocks)
        body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'.encode()
        try:
            # When the answer to a conditional one is lost, its repetition would meet what it has written itself.
            answer = await self._requests.put(
                self._blob, {"comp": "blocklist"}, headers, body, repeat_lost=condition == NO_CONDITION
            )
        except AzureRefusal as refusal:
            await self._refused(refusal, condition)
            raise refusal.error(self._what) from None
        self._is_over = True
        etag = answer["etag"].strip('"')
        return await self._origin.written(self._key, etag, self._size_bytes, self._attributes)

    async def _refused(self, refusal: AzureRefusal, condition: WriteCondition) -> None:
        """Raises what is not for `AzureRefusal.error` to tell."""
        # For "none" Azure says that there is one; for an ETag of what is gone the emulator says that it is.
        if condition != NO_CONDITION and (refusal.status == 412 or refusal.code in _UNMET):
            raise failed_condition(self._key, condition) from None
        if refusal.code == "InvalidBlockList":
            # Whoever wrote the object meanwhile has made the store forget the blocks that were none of theirs.
            await self._origin.check_condition(self._key, condition)
            told = f"{self._key} was written by another while it was uploaded: its blocks are gone; write it again"
            raise UnderStoreFailed(told) from None

    async def abort(self) -> None:
        """See `StagedObject.abort`. Azure forgets blocks that belong to nothing after a week."""
        if self._library is not None:
            await self._library.abort()
        await self._parts.give_up()
        self._is_over = True


_UNMET: Final = ("BlobAlreadyExists", "BlobNotFound")


def _condition_headers(condition: WriteCondition) -> dict[str, str]:
    if condition.only_if_absent:
        return {"if-none-match": "*"}
    return {"if-match": f'"{condition.only_if_etag}"'} if condition.only_if_etag else {}


def _attribute_headers(attributes: Attributes) -> dict[str, str]:
    told = {f"x-ms-blob-{name}": attributes.headers[name] for name in _HEADERS if name in attributes.headers}
    told |= {f"x-ms-meta-{name}": value for name, value in attributes.metadata.items()}
    return told | ({"x-ms-tags": urlencode(attributes.tags)} if attributes.tags else {})

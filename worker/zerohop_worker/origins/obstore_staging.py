"""Large objects through obstore: one upload in parts, fed while the bytes come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import obstore
from obstore import exceptions

from zerohop.errors import UnderStoreFailed
from zerohop_worker.files import Buffer
from zerohop_worker.origins.interface import NO_CONDITION, Attributes, OriginObject, WriteCondition
from zerohop_worker.origins.obstore_clients import store_error
from zerohop_worker.origins.obstore_objects import attributes_for
from zerohop_worker.origins.options import AzureSettings

if TYPE_CHECKING:
    from zerohop_worker.origins.obstore_store import ObstoreOrigin

__all__ = ["ObstoreStaged"]

_PART_BYTES: Final = 8 << 20
_PARTS_AT_A_TIME: Final = 4
_WAITING: Final = 1


class _Given(Exception):
    """Ends an upload that is given up, so that obstore aborts it."""


class ObstoreStaged:
    """See `StagedObject`."""

    def __init__(self, origin: ObstoreOrigin, key: str, attributes: Attributes) -> None:
        self._origin = origin
        self._key = key
        azure = isinstance(origin.settings, AzureSettings)
        self._told, self._tags = attributes_for(attributes, azure)
        self._attributes = attributes
        self._parts: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING)
        self._upload: asyncio.Task[Any] | None = None
        self._gave_up = False

    async def write_part(self, buffers: Sequence[Buffer]) -> None:
        """See `StagedObject.write_part`."""
        data = await asyncio.to_thread(b"".join, buffers)
        if self._upload is None:
            self._upload = asyncio.create_task(self._send(), name=f"upload of {self._key}")
        await self._hand_over(data)

    async def _hand_over(self, part: bytes | None) -> None:
        """Waits for room, or for the upload to end: it does so early only when it fails."""
        assert self._upload is not None
        putting = asyncio.ensure_future(self._parts.put(part))
        try:
            await asyncio.wait((putting, self._upload), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not putting.done():
                putting.cancel()
        if self._upload.done():
            await self._result()

    async def _send(self) -> Any:
        origin = self._origin
        async with origin.bodies:
            return await obstore.put_async(
                origin.store,
                origin.full_key(self._key),
                self._given(),
                attributes=cast("Any", self._told),
                tags=self._tags,
                chunk_size=_PART_BYTES,
                max_concurrency=_PARTS_AT_A_TIME,
                use_multipart=True,
            )

    async def _given(self) -> AsyncIterator[bytes]:
        while (part := await self._parts.get()) is not None:
            yield part
        if self._gave_up:
            raise _Given

    async def _result(self) -> None:
        assert self._upload is not None
        try:
            await self._upload
        except (exceptions.BaseError, ValueError, OSError, _Given) as error:
            raise store_error(error, f"write {self._key} in {self._origin.place}") from None

    async def commit(self, condition: WriteCondition = NO_CONDITION) -> OriginObject:
        """See `StagedObject.commit`. The condition is looked at before, not in the commit itself."""
        if self._gave_up:
            raise UnderStoreFailed(f"the write of {self._key} was given up")
        if self._upload is None:
            return await self._origin.put(self._key, (), self._attributes, condition)
        await self._origin.check_condition(self._key, condition)
        await self._hand_over(None)
        await self._result()
        return await self._origin.looked_up(self._key)

    async def abort(self) -> None:
        """See `StagedObject.abort`. Azure forgets blocks that belong to nothing after a week."""
        upload = self._upload
        if upload is None or upload.done():
            return
        self._gave_up = True
        while not self._parts.empty():
            self._parts.get_nowait()
        self._parts.put_nowait(None)
        await asyncio.wait((upload,))
        if not upload.cancelled():
            upload.exception()

"""Google Cloud Storage and Azure Blob Storage, through obstore (the Rust crate object_store).

obstore takes keys for paths, so it cannot name all keys: what has an empty part, "." or ".." in it is refused when
it is written, and does not exist when it is read. It lists below folders only; other prefixes are filtered here.
Conditions go with writes in one request, and with the lists of blocks that are our own way to write large objects to
Azure. Google's multipart upload knows none (https://cloud.google.com/storage/docs/multipart-uploads): there a large
object is written after a look.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast

import obstore

from zerohop.errors import (
    InvalidRequest,
    KeyNotFound,
    NeedsBytes,
    NotSupported,
    OriginChanged,
    OriginRefused,
    UnderStoreFailed,
    ZerohopError,
)
from zerohop_worker.files import Buffer
from zerohop_worker.origins.azure_requests import AzureRequests
from zerohop_worker.origins.azure_staging import AzureStaged
from zerohop_worker.origins.interface import (
    NO_CONDITION,
    Attributes,
    OriginObject,
    OriginPage,
    StagedObject,
    Validator,
    WriteCondition,
)
from zerohop_worker.origins.obstore_clients import open_store, store_error
from zerohop_worker.origins.obstore_listing import ObstoreLister
from zerohop_worker.origins.obstore_objects import (
    attributes_for,
    failed_condition,
    is_path,
    listed_object,
    matches,
    object_of,
    refuse_odd,
)
from zerohop_worker.origins.obstore_staging import ObstoreStaged
from zerohop_worker.origins.options import AzureSettings, GcsSettings
from zerohop_worker.origins.parts_in_flight import PARTS_AT_A_TIME

__all__ = ["ObstoreOrigin", "ObstoreRead"]

_DELETES_AT_A_TIME: Final = 16
_PIECE_BYTES: Final = 1 << 20
_LEAST_PIECE_BYTES: Final = 64 << 10


class ObstoreOrigin:
    """See `OriginStore`."""

    min_part_bytes = 1
    max_part_bytes = 1 << 30
    max_parts = 10_000
    checks_conditions = True  # but those of large objects in Google's storage, which it looks at just before

    def __init__(self, settings: GcsSettings | AzureSettings, read_only: bool = False) -> None:
        self.settings = settings
        self.store: Any = open_store(settings)
        self.bodies = asyncio.Semaphore(settings.max_connections)
        self.parts = asyncio.Semaphore(PARTS_AT_A_TIME)  # of all uploads
        kind = "container" if isinstance(settings, AzureSettings) else "bucket"
        self.place = f"{kind} {settings.bucket}"
        self._lister = ObstoreLister(self.store, settings.prefix)
        self._azure = AzureRequests(settings, self.store) if isinstance(settings, AzureSettings) else None
        self._read_only = read_only

    def full_key(self, key: str) -> str:
        """The key at the store."""
        return self.settings.prefix + key

    async def check(self) -> None:
        """See `OriginStore.check`."""
        if isinstance(self.settings, GcsSettings) and self.settings.anonymous and not self._read_only:
            # The library would ask for a token where there is none, at each write anew.
            raise OriginRefused(f"an anonymous mount of {self.place} cannot write: mount it with read_only")
        await self.list("", "", "", 1)

    async def head(self, key: str, unless: Validator | None = None) -> OriginObject | None:
        """See `OriginStore.head`."""
        options: dict[str, Any] = {"head": True}
        # Google's ETag stays when what is stored with an object changes.
        is_bound = isinstance(self.settings, AzureSettings)
        if is_bound and unless is not None and unless.etag:
            options["if_none_match"] = f'"{unless.etag}"'
        try:
            found = object_of(key, await self._get(key, options))
        except obstore.exceptions.NotModifiedError:
            return None
        return None if is_bound and unless is not None and matches(found.validator, unless) else found

    async def _get(self, key: str, options: Mapping[str, Any]) -> Any:
        """Raises KeyNotFound, PreconditionError, NotModifiedError, and what all do."""
        if not is_path(self.full_key(key)):
            raise KeyNotFound(f"the origin has no object {key} that can be read through this library")
        try:
            return await obstore.get_async(self.store, self.full_key(key), options=cast("Any", options))
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error):
                raise store_error(error, f"read in {self.place}") from None
            raise KeyNotFound(f"the origin has no object {key}") from None
        except (obstore.exceptions.PreconditionError, obstore.exceptions.NotModifiedError):
            raise
        except (obstore.exceptions.BaseError, ValueError, OSError) as error:
            raise store_error(error, f"read {self.full_key(key)} in {self.place}") from None

    async def part(self, key: str, number: int, match: Validator) -> None:
        """See `OriginStore.part`: what was written in parts is not told from other objects."""

    async def open(
        self, key: str, offset: int, length: int | None, match: Validator | None = None
    ) -> ObstoreRead:
        """See `OriginStore.open`."""
        if length == 0:
            raise InvalidRequest("a read of no bytes")
        options: dict[str, Any] = {}
        if offset < 0 and isinstance(self.settings, AzureSettings):
            # Azure knows no ranges that count from the end.
            looked = await self.looked_up(key)
            offset = max(0, looked.validator.size_bytes + offset)
            match = match or looked.validator
        if offset < 0:
            options["range"] = {"suffix": -offset}
        elif length is not None:
            options["range"] = (offset, offset + length)
        elif offset:
            options["range"] = {"offset": offset}
        if match is not None and match.etag:
            options["if_match"] = f'"{match.etag}"'
        await self.bodies.acquire()
        try:
            result = await self._opened(key, options, offset)
            found = object_of(key, result)
            if match is not None and not matches(found.validator, match):
                raise OriginChanged(f"{key} is not the object at the origin any more that it was")
            return ObstoreRead(self, found, result)
        except BaseException as error:
            self.bodies.release()
            if isinstance(error, obstore.exceptions.PreconditionError):
                raise OriginChanged(f"{key} is not the object at the origin any more that it was") from None
            raise

    async def _opened(self, key: str, options: dict[str, Any], offset: int) -> Any:
        try:
            return await self._get(key, options)
        except UnderStoreFailed:
            # A range that cannot be satisfied comes as an error like any other.
            if "range" not in options:
                raise
            found = object_of(key, await self._get(key, {"head": True}))
            size_bytes = found.validator.size_bytes
            if offset > 0 and offset >= size_bytes:
                raise InvalidRequest(
                    f"{key} at the origin ends at {size_bytes}, not beyond {offset}"
                ) from None
            if size_bytes:
                raise
            options.pop("range")
            return await self._get(key, options)

    async def list(self, prefix: str, delimiter: str, after: str, limit: int) -> OriginPage:
        """See `OriginStore.list`."""
        try:
            return await self._lister.page(prefix, delimiter, after, limit)
        except (obstore.exceptions.BaseError, ValueError, OSError) as error:
            raise store_error(error, f"list {self.place}") from None

    async def check_write(self, key: str, attributes: Attributes) -> None:
        """See `OriginStore.check_write`."""
        refuse_odd(self.full_key(key))
        attributes_for(attributes, isinstance(self.settings, AzureSettings))

    async def put(
        self,
        key: str,
        body: Sequence[Buffer],
        attributes: Attributes,
        condition: WriteCondition = NO_CONDITION,
    ) -> OriginObject:
        """See `OriginStore.put`."""
        full_key = self.full_key(key)
        refuse_odd(full_key)
        data = await asyncio.to_thread(b"".join, body)
        mode = await self._mode(key, condition)
        told, tags = attributes_for(attributes, isinstance(self.settings, AzureSettings))
        try:
            async with self.bodies:
                made = await obstore.put_async(
                    self.store,
                    full_key,
                    data,
                    attributes=cast("Any", told),
                    tags=tags,
                    mode=mode,
                    use_multipart=False,
                )
        except (obstore.exceptions.AlreadyExistsError, obstore.exceptions.PreconditionError):
            raise failed_condition(key, condition) from None
        except (obstore.exceptions.BaseError, ValueError, OSError) as error:
            if condition.only_if_etag and isinstance(error, FileNotFoundError):
                raise failed_condition(key, condition) from None
            raise store_error(error, f"write {full_key} in {self.place}") from None
        return await self.written(key, str(made["e_tag"] or "").strip('"'), len(data), attributes)

    async def written(self, key: str, etag: str, size_bytes: int, attributes: Attributes) -> OriginObject:
        """The object that a write has made, which the store's answer does not describe. Where another one has come
        in its place since, or nothing can be learned, it is told as it was written: those bytes must not be taken for
        the other's.
        """
        try:
            found = await self.looked_up(key)
        except ZerohopError:  # it stands, whatever keeps us from looking at it
            found = None
        if found is not None and found.validator.etag == etag:
            return found
        meta = {"e_tag": etag, "size": size_bytes, "last_modified": datetime.now(UTC), "version": None}
        return listed_object(key, meta)._replace(attributes=attributes)

    async def _mode(self, key: str, condition: WriteCondition) -> Any:
        """What obstore calls the condition. Azure checks ETags, Google the number of a generation: that of the object
        which has the ETag. Raises PreconditionFailed.
        """
        if condition.only_if_absent:
            return "create"
        if not condition.only_if_etag:
            return "overwrite"
        mode = {"e_tag": f'"{condition.only_if_etag}"'}
        if not isinstance(self.settings, AzureSettings):
            found = await self.check_condition(key, condition)
            assert found is not None, "there is none to fail the condition"
            mode["version"] = found.version_id
        return mode

    async def looked_up(self, key: str) -> OriginObject:
        """The object as it is now. Raises KeyNotFound."""
        found = await self.head(key)
        assert found is not None, "an unconditional look"
        return found

    def stage(self, key: str, attributes: Attributes) -> StagedObject:
        """See `OriginStore.stage`."""
        refuse_odd(self.full_key(key))
        if self._azure is not None:
            return AzureStaged(self, self._azure, key, attributes)
        return ObstoreStaged(self, key, attributes)

    async def delete(self, keys: Sequence[str]) -> dict[str, str]:
        """See `OriginStore.delete`."""
        at_a_time = asyncio.Semaphore(_DELETES_AT_A_TIME)
        told = await asyncio.gather(*(self._delete(key, at_a_time) for key in keys))
        return {key: message for key, message in zip(keys, told, strict=True) if message}

    async def _delete(self, key: str, at_a_time: asyncio.Semaphore) -> str:
        if not is_path(self.full_key(key)):
            return ""
        async with at_a_time:
            try:
                await obstore.delete_async(self.store, [self.full_key(key)])
            except FileNotFoundError:
                return ""
            except (obstore.exceptions.BaseError, ValueError, OSError) as error:
                return store_error(error, f"delete {self.full_key(key)} in {self.place}").message
        return ""

    async def copy(
        self,
        source: str,
        match: Validator,
        key: str,
        attributes: Attributes | None,
        condition: WriteCondition = NO_CONDITION,
    ) -> OriginObject:
        """See `OriginStore.copy`. With attributes of its own a copy has to be written."""
        # The look before is all that binds the copy to the source: obstore sends no condition on it.
        found = await self.head(source)
        if found is None or not matches(found.validator, match):
            raise OriginChanged(f"{source} is not the object at the origin any more that it was")
        if attributes is not None:
            raise NeedsBytes("this library cannot copy with other metadata")
        if source == key:
            return found
        await self.check_condition(key, condition)
        refuse_odd(self.full_key(key))
        try:
            await obstore.copy_async(
                self.store,
                self.full_key(source),
                self.full_key(key),
                overwrite=not condition.only_if_absent,
            )
        except obstore.exceptions.AlreadyExistsError:
            raise failed_condition(key, condition) from None
        except FileNotFoundError:
            raise KeyNotFound(f"the origin has no object {source}") from None
        except (obstore.exceptions.BaseError, ValueError, OSError) as error:
            raise store_error(error, f"copy to {self.full_key(key)} in {self.place}") from None
        return await self.looked_up(key)

    async def check_condition(self, key: str, condition: WriteCondition) -> OriginObject | None:
        """Looks whether it holds now: the object that was looked at, if any. Raises PreconditionFailed."""
        if condition == NO_CONDITION:
            return None
        try:
            found = await self.looked_up(key)
        except KeyNotFound:
            if condition.only_if_etag:
                raise failed_condition(key, condition) from None
            return None
        if condition.only_if_absent or found.validator.etag != condition.only_if_etag:
            raise failed_condition(key, condition)
        return found

    async def tags(self, key: str) -> dict[str, str]:
        """See `OriginStore.tags`: obstore cannot read them, and Google keeps none."""
        told = f"cannot read tags of {key}: they are not read from a {self.place}"
        if isinstance(self.settings, AzureSettings):
            raise NotSupported(told, tags="unread")
        raise NotSupported(told)

    async def set_tags(self, key: str, tags: Mapping[str, str]) -> None:
        """See `OriginStore.set_tags`: obstore gives them only along with a write."""
        raise NotSupported(f"cannot set {len(tags)} tags of {key}: they are not changed in a {self.place}")

    async def close(self) -> None:
        """See `OriginStore.close`. The library's connections go with the store, once nobody uses it any more."""
        self._lister.forget()
        if self._azure is not None:
            await self._azure.close()


class ObstoreRead:
    """See `OpenedRead`. Holds one of the origin's `bodies` until it is closed."""

    def __init__(self, origin: ObstoreOrigin, found: OriginObject, result: Any) -> None:
        self._origin = origin
        self._result = result
        self.found = found
        self.first, end = result.range
        self.length = end - self.first

    def at_hand(self, max_bytes: int) -> bytes:  # noqa: ARG002 - the interface's
        """See `OpenedRead.at_hand`: the library does not tell."""
        return b""

    async def pieces(self) -> AsyncIterator[bytes]:
        """See `OpenedRead.pieces`."""
        left = self.length
        what = f"read {self._origin.full_key(self.found.key)} in {self._origin.place}"
        try:
            async for chunk in self._result.stream(min_chunk_size=_LEAST_PIECE_BYTES):
                data = bytes(chunk)
                for at in range(0, len(data), _PIECE_BYTES):
                    piece = data[at : at + _PIECE_BYTES][:left]
                    left -= len(piece)
                    if piece:
                        yield piece
        except (obstore.exceptions.BaseError, ValueError, OSError) as error:
            raise store_error(error, what) from None
        if left:
            raise UnderStoreFailed(f"cannot {what}: the body ends {left} bytes too early")

    async def close(self) -> None:
        """See `OpenedRead.close`."""
        if self._result is not None:
            self._result = None
            self._origin.bodies.release()

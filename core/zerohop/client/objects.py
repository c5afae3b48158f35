"""The namespace as a library user sees it: buckets and objects, whole."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing

import msgspec

from zerohop.client.cluster import ClusterClient
from zerohop.client.mounts import ALL
from zerohop.client.object_reads import read_object
from zerohop.client.object_writes import Chunks, write_object
from zerohop.errors import Conflict, NeedsBytes, OperationConflict, OriginChanged
from zerohop.model import ADMIN, BucketRecord, Caller, WritePolicy
from zerohop.rpc.master_api import (
    CopyObject,
    CreateBucket,
    DeleteBucket,
    DeleteObjects,
    DeleteOutcome,
    DeleteTarget,
    GetBucket,
    ListBuckets,
    ListObjects,
    LookupObject,
    ObjectPage,
    ObjectResult,
    RenameObject,
)
from zerohop.rpc.mutation import new_mutation_id

__all__ = ["ObjectClient"]

_TRIES = 8
"""Of a decision that a concurrent write overtook."""


class ObjectClient:
    """Buckets and objects on behalf of one caller (the administrator, if nobody else is named).

    All methods raise BucketNotFound, KeyNotFound, AccessDenied and transport errors where they apply.
    """

    def __init__(self, client: ClusterClient, caller: Caller = ADMIN) -> None:
        self.client = client
        self.caller = caller

    # Buckets

    async def buckets(self, prefix: str = "") -> AsyncIterator[BucketRecord]:
        """The caller's buckets by name (an administrator's: all)."""
        after = ""
        while True:
            page = await self.client.call(ListBuckets(caller=self.caller, prefix=prefix, after=after))
            for bucket in page.buckets:
                yield bucket
            if not page.next_after:
                return
            after = page.next_after

    async def bucket(self, name: str) -> BucketRecord:
        """One bucket."""
        return (await self.client.call(GetBucket(caller=self.caller, bucket=name))).bucket

    async def create_bucket(self, name: str, *, owner: str = "") -> BucketRecord:
        """A bucket of the caller, or of the canonical id `owner`. Raises BucketAlreadyOwned, BucketAlreadyExists,
        InvalidRequest for a name that S3 does not allow.
        """
        caller = Caller(owner) if owner else self.caller
        request = CreateBucket(caller=caller, bucket=name, mutation=new_mutation_id())
        return (await self.client.call(request)).bucket

    async def delete_bucket(self, name: str) -> None:
        """Raises BucketNotEmpty."""
        await self.client.call(DeleteBucket(caller=self.caller, bucket=name, mutation=new_mutation_id()))

    # Objects

    async def lookup(
        self, bucket: str, key: str, *, version_id: str = "", with_data: bool = False
    ) -> ObjectResult:
        """The record of an object, with its inline data if that is asked for."""
        return await self.client.call(
            LookupObject(
                caller=self.caller, bucket=bucket, key=key, version_id=version_id, with_data=with_data
            )
        )

    async def pages(
        self,
        bucket: str,
        prefix: str = "",
        delimiter: str = "",
        *,
        after: str = "",
        limit: int = 1000,
        known_only: bool = False,
    ) -> AsyncIterator[ObjectPage]:
        """Objects and common prefixes in key order behind `after`, a page at a time. `known_only`: of a mounted bucket
        what is known of it without its origin.
        """
        while True:
            page = await self.client.call(
                ListObjects(
                    caller=self.caller,
                    bucket=bucket,
                    prefix=prefix,
                    delimiter=delimiter,
                    after=after,
                    limit=limit,
                    known_only=known_only,
                )
            )
            yield page
            if not page.next_name:
                return
            after = page.next_name

    async def read(
        self, bucket: str, key: str, offset: int = 0, size: int | None = None
    ) -> AsyncGenerator[bytes | memoryview, None]:
        """Bytes from `offset` on (negative: the last `-offset`), at most `size`, all of one version. Close it
        (`aclosing`) when left early. Raises OriginChanged where a mounted object changes in the middle.
        """
        with self.client.reading():
            result = await self.lookup(bucket, key, with_data=True)
            begun = False
            try:
                async with aclosing(self._read_span(result, offset, size)) as chunks:
                    async for chunk in chunks:
                        begun = True
                        yield chunk
                return
            except OriginChanged:
                if begun:
                    raise
            # What was believed of it is outdated, and nobody has seen a byte yet.
            result = await self._look_again(bucket, result)
            async with aclosing(self._read_span(result, offset, size)) as chunks:
                async for chunk in chunks:
                    yield chunk

    def _read_span(
        self, result: ObjectResult, offset: int, size: int | None
    ) -> AsyncGenerator[bytes | memoryview, None]:
        first = offset if offset >= 0 else max(0, result.record.size_bytes + offset)
        return read_object(self.client, result, first, None if size is None else first + size)

    async def _look_again(self, bucket: str, found: ObjectResult) -> ObjectResult:
        """What a mounted object is at its origin now."""
        key = found.record.key
        try:
            return await self.client.mounts.resolve(self.caller, found.mount_id, bucket, key, ALL, force=True)
        except Conflict:  # it was written here meanwhile
            return await self.lookup(bucket, key, with_data=True)

    async def write(
        self,
        bucket: str,
        key: str,
        source: bytes | Chunks,
        *,
        size_bytes: int = -1,
        policy: WritePolicy = WritePolicy.CACHE_THROUGH,
        headers: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        expected_version: int | None = None,
    ) -> ObjectResult:
        """Makes the bytes the object; `expected_version` 0 only if there is none. See `write_object`."""
        chunks = _one(source) if isinstance(source, bytes) else source
        return await write_object(
            self.client,
            self.caller,
            bucket,
            key,
            chunks,
            size_bytes=len(source) if isinstance(source, bytes) else size_bytes,
            policy=policy,
            headers=headers,
            metadata=metadata,
            tags=tags,
            expected_version=expected_version,
        )

    async def copy(self, source_bucket: str, source_key: str, bucket: str, key: str) -> ObjectResult:
        """Copies an object with its headers, metadata and tags: by reference where the cluster can, else byte for
        byte.
        """
        for _ in range(_TRIES):
            found = await self.lookup(source_bucket, source_key)
            try:
                return await self._copy_by_reference(found, source_bucket, bucket, key)
            except NeedsBytes:
                return await self._copy_bytes(source_bucket, source_key, bucket, key)
            except (Conflict, OriginChanged):
                continue  # the source was overwritten in between
        raise OperationConflict(f"/{source_bucket}/{source_key} changes too fast to be copied")

    async def _copy_by_reference(
        self, found: ObjectResult, source_bucket: str, bucket: str, key: str
    ) -> ObjectResult:
        source = found.record
        tags = await self._tags(source_bucket, found)
        request = CopyObject(
            caller=self.caller,
            source_bucket=source_bucket,
            source_key=source.key,
            source_version=found.row_version,
            bucket=bucket,
            record=msgspec.structs.replace(source, key=key, tags=dict(tags)),
            mutation=new_mutation_id(),
        )
        return await self.client.call(request, timeout_s=30.0)

    async def _copy_bytes(self, source_bucket: str, source_key: str, bucket: str, key: str) -> ObjectResult:
        with self.client.reading():
            found = await self.lookup(source_bucket, source_key, with_data=True)
            source = found.record
            tags = await self._tags(source_bucket, found)
            async with aclosing(self._read_span(found, 0, None)) as chunks:
                return await self.write(
                    bucket,
                    key,
                    _as_bytes(chunks),
                    size_bytes=source.size_bytes,
                    headers=source.headers,
                    metadata=source.metadata,
                    tags=tags,
                )

    async def _tags(self, bucket: str, found: ObjectResult) -> Mapping[str, str]:
        return await self.client.mounts.tags_of(self.caller, bucket, found)

    async def rename(
        self, source_bucket: str, source_key: str, bucket: str, key: str, *, overwrite: bool = False
    ) -> ObjectResult:
        """Moves one object in one commit. Raises NeedsBytes where it cannot be done by reference, and
        PreconditionFailed where the target exists and is not to be overwritten.
        """
        request = RenameObject(
            caller=self.caller,
            source_bucket=source_bucket,
            source_key=source_key,
            bucket=bucket,
            key=key,
            overwrite=overwrite,
            mutation=new_mutation_id(),
        )
        return await self.client.call(request, timeout_s=30.0)

    async def delete(self, bucket: str, keys: Iterable[str]) -> tuple[DeleteOutcome, ...]:
        """Deletes up to 1,000 objects; says of each what became of it. Missing ones count as deleted."""
        request = DeleteObjects(
            caller=self.caller,
            bucket=bucket,
            targets=tuple(DeleteTarget(key=key) for key in keys),
            mutation=new_mutation_id(),
        )
        return (await self.client.call(request, timeout_s=30.0)).outcomes


async def _one(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _as_bytes(chunks: AsyncIterator[bytes | memoryview]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield bytes(chunk)

"""Calls that the master answers with `OriginNeeded`, carried out by the owners of the keys: the same request, the same
kind of result, so that who calls need not know what a mount is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import msgspec

from zerohop.client.mounts import MountedObjects, WhatIsRead
from zerohop.errors import (
    Conflict,
    NeedsBytes,
    OperationConflict,
    OriginNeeded,
    OutcomeUnknown,
    TransportError,
    VersionNotFound,
    ZerohopError,
)
from zerohop.model import NULL_VERSION, Caller, ObjectRecord, WritePolicy
from zerohop.rpc.master_api import (
    CompleteUpload,
    CopyObject,
    CreateUpload,
    DeleteObjects,
    DeleteOutcome,
    DeleteResult,
    GetMounted,
    ListObjects,
    ListObjectVersions,
    LookupObject,
    ObjectPage,
    ObjectResult,
    PutObject,
    SetTags,
    VersionPage,
)
from zerohop.rpc.message import Request
from zerohop.rpc.origin_api import CopyMounted, ListMounted

__all__ = ["MountedCalls"]

_MAX_TRIES: Final = 8
"""Of a question that local writes overtake."""

_PUT_TIMEOUT_S: Final = 30.0

Ask = Callable[..., Awaitable[Any]]


class MountedCalls:
    """`ask(request, timeout_s=...)` asks the master, and raises its errors."""

    def __init__(self, mounts: MountedObjects, ask: Ask) -> None:
        self._mounts = mounts
        self._ask = ask

    async def carry_out(self, request: Request[Any], needed: OriginNeeded) -> Any:
        """The result of a request that the master has refused with `needed`. Raises as the request does, and what
        the origin is refused for; `needed` itself for a request that nobody can carry out there.
        """
        mount_id = bytes.fromhex(needed.details["mount"])
        match request:
            case LookupObject():
                return await self._lookup(request, mount_id, needed)
            case ListObjects():
                return await self._list(request, mount_id)
            case ListObjectVersions():
                return await self._list_versions(request, mount_id)
            case DeleteObjects():
                return await self._delete(request, mount_id)
            case PutObject() if needed.details.get("unchecked") or request.contents:
                return await self._put_local(request, mount_id, needed)
            case PutObject():
                return await self._put(request, mount_id, needed.details.get("write_policy", ""))
            case CreateUpload():
                await self._mounts.check_write(request.caller, mount_id, request.bucket, request.template)
                checked = msgspec.structs.replace(request, is_checked=True)
                return await self._ask(checked, timeout_s=_PUT_TIMEOUT_S)
            case CompleteUpload():
                # Only its place: what is stored with it was checked when the upload was created.
                place = ObjectRecord(key=request.key, size_bytes=0, etag="", modified_ms=0)
                await self._mounts.check_write(request.caller, mount_id, request.bucket, place)
                checked_again = msgspec.structs.replace(request, is_checked=True)
                return await self._ask(checked_again, timeout_s=_PUT_TIMEOUT_S)
            case CopyObject():
                return await self._copy(request, mount_id)
            case SetTags():
                return await self._set_tags(request, mount_id, needed)
        raise needed

    async def _lookup(self, request: LookupObject, mount_id: bytes, needed: OriginNeeded) -> ObjectResult:
        _check_version(request.key, request.version_id)
        wanted = WhatIsRead(request.read_offset, request.read_bytes)
        for _ in range(_MAX_TRIES):
            try:
                return await self._mounts.resolve(
                    request.caller,
                    mount_id,
                    request.bucket,
                    request.key,
                    wanted,
                    row_version=int(needed.details["row_version"]),
                    generation=int(needed.details.get("generation", "-1")),
                )
            except Conflict:  # a local write came in between: the master knows it
                try:
                    return cast("ObjectResult", await self._ask(request, timeout_s=_PUT_TIMEOUT_S))
                except OriginNeeded as again:
                    needed = again
        raise OperationConflict(f"object {request.key!r} changes all the time")

    async def _list(self, request: ListObjects, mount_id: bytes) -> ObjectPage:
        return await self._mounts.page(
            ListMounted(
                caller=request.caller,
                mount_id=mount_id,
                bucket=request.bucket,
                prefix=request.prefix,
                delimiter=request.delimiter,
                after=request.after,
                inclusive=request.inclusive,
                limit=request.limit,
            )
        )

    async def _list_versions(self, request: ListObjectVersions, mount_id: bytes) -> VersionPage:
        """Of each object there is the current version, with the id `null`."""
        page = await self._mounts.page(
            ListMounted(
                caller=request.caller,
                mount_id=mount_id,
                bucket=request.bucket,
                prefix=request.prefix,
                delimiter=request.delimiter,
                after=request.key_marker,
                limit=request.limit,
            )
        )
        ends_with_key = bool(page.next_name) and page.next_name not in page.prefixes
        return VersionPage(
            entries=page.entries,
            prefixes=page.prefixes,
            next_key=page.next_name,
            next_version_id="null" if ends_with_key else "",
            owner=page.owner,
        )

    async def _delete(self, request: DeleteObjects, mount_id: bytes) -> DeleteResult:
        """A version that is not there is deleted already."""
        targets = [target for target in request.targets if _is_current(target.version_id)]
        etags = [await self._etag(mount_id, target.key, target.expected_version) for target in targets]
        done = DeleteResult(outcomes=())
        if targets:
            done = await self._mounts.delete(
                request.caller, mount_id, request.bucket, targets, etags if any(etags) else ()
            )
        told = iter(done.outcomes)
        return DeleteResult(
            outcomes=tuple(
                next(told)
                if _is_current(target.version_id)
                else DeleteOutcome(key=target.key, version_id=target.version_id)
                for target in request.targets
            )
        )

    async def _etag(self, mount_id: bytes, key: str, expected_version: int | None) -> str:
        """What the object has to have for a change that was decided on a version of its row; "" for any, or none.

        Raises Conflict when the row is another one by now.
        """
        if not expected_version:
            return ""
        rows = await self._ask(GetMounted(mount_id=mount_id, keys=(key,)), timeout_s=_PUT_TIMEOUT_S)
        if rows.versions[0] != expected_version or rows.records[0] is None:
            raise Conflict("the object has changed since it was looked up")
        return cast("str", rows.records[0].etag)

    async def _put_local(self, request: PutObject, mount_id: bytes, needed: OriginNeeded) -> ObjectResult:
        """Once the origin could hold it. A content that is in the cluster already and is to go through becomes a local
        object, too, which is brought to the origin at once.
        """
        await self._mounts.check_write(request.caller, mount_id, request.bucket, request.record)
        is_late = bool(needed.details.get("unchecked"))
        policy = request.write_policy if is_late else WritePolicy.ASYNC_THROUGH.value
        local = msgspec.structs.replace(request, write_policy=policy, is_checked=True)
        put = cast("ObjectResult", await self._ask(local, timeout_s=_PUT_TIMEOUT_S))
        if is_late:
            return put
        return await self.persist(
            request.caller, request.bucket, msgspec.structs.replace(put, mount_id=mount_id)
        )

    async def _put(self, request: PutObject, mount_id: bytes, policy: str) -> ObjectResult:
        """Small bodies are staged from here. `policy` is that of the write."""
        etag = await self._etag(mount_id, request.record.key, request.expected_version)
        writing = self._mounts.write(
            mount_id,
            request.record,
            cache=policy != WritePolicy.THROUGH,
            expected_bytes=len(request.data),
        )
        async with writing as sink:
            if request.data:
                await sink.write(request.data)
            written = await sink.finish()
        return await self._mounts.commit(
            request.caller,
            mount_id,
            request.bucket,
            written,
            request.record,
            only_if_absent=request.expected_version == 0,
            only_if_etag=etag,
        )

    async def _copy(self, request: CopyObject, mount_id: bytes) -> ObjectResult:
        """Within one mount the origin copies. Raises NeedsBytes for other sources."""
        if request.source_bucket != request.bucket:
            raise NeedsBytes("the source is not in the same mount")
        return await self._mounts.copy(
            CopyMounted(
                caller=request.caller,
                mount_id=mount_id,
                bucket=request.bucket,
                source_key=request.source_key,
                source_version=request.source_version,
                record=request.record,
                only_if_absent=request.expected_version == 0,
                only_if_etag=await self._etag(mount_id, request.record.key, request.expected_version),
                mutation=request.mutation,
            )
        )

    async def persist(self, caller: Caller, bucket: str, put: ObjectResult) -> ObjectResult:
        """Brings a local object to the origin that was just written. Raises OutcomeUnknown where that fails: the
        object is there, and stays in the queue for the origin.
        """
        try:
            done = await self._mounts.persist(caller, put.mount_id, bucket, put.record.key, put.row_version)
        except TransportError:
            raise
        except ZerohopError as error:
            # Not the error itself: who gets that takes his bytes back, which an object refers to.
            raise OutcomeUnknown(
                f"the object is stored, and its origin does not have it yet: {error.message}"
            ) from error
        # The caller is told of what it has written, also when somebody has replaced it since; with the origin's time.
        record = put.record
        if done.record.origin is not None and done.record.etag == record.etag:
            record = msgspec.structs.replace(record, modified_ms=done.record.modified_ms)
        return msgspec.structs.replace(put, record=record, row_version=done.row_version, persist_now=False)

    async def _set_tags(self, request: SetTags, mount_id: bytes, needed: OriginNeeded) -> ObjectResult:
        """At the origin, or with the object that it does not have yet."""
        looked_up = LookupObject(
            caller=request.caller, bucket=request.bucket, key=request.key, version_id=request.version_id
        )
        for _ in range(_MAX_TRIES):
            try:
                if needed.details.get("unchecked"):
                    return await self._tag_local(request, mount_id)
                found = await self._lookup(looked_up, mount_id, needed)
                if found.record.origin is None:
                    return cast("ObjectResult", await self._ask(request, timeout_s=_PUT_TIMEOUT_S))
                await self._mounts.set_tags(
                    request.caller, mount_id, request.bucket, request.key, request.tags
                )
            except Conflict:  # a local write came in between
                continue
            except OriginNeeded as again:
                needed = again
            else:
                return found
        raise OperationConflict(f"object {request.key!r} changes all the time")

    async def _tag_local(self, request: SetTags, mount_id: bytes) -> ObjectResult:
        """Once the origin could hold them."""
        found: ObjectResult = await self._ask(
            LookupObject(caller=request.caller, bucket=request.bucket, key=request.key),
            timeout_s=_PUT_TIMEOUT_S,
        )
        tagged = msgspec.structs.replace(found.record, tags=request.tags)
        await self._mounts.check_write(request.caller, mount_id, request.bucket, tagged)
        checked = msgspec.structs.replace(request, is_checked=True)
        return cast("ObjectResult", await self._ask(checked, timeout_s=_PUT_TIMEOUT_S))


def _is_current(version_id: str) -> bool:
    """Whether it names the one version that a mounted object has."""
    return version_id in ("", NULL_VERSION)


def _check_version(key: str, version_id: str) -> None:
    """Raises VersionNotFound."""
    if not _is_current(version_id):
        raise VersionNotFound(f"object {key!r} has no version {version_id!r}", key=key)

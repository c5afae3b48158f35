"""Mounts: adding, changing and removing the buckets that show an existing store."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from zerohop.errors import (
    BucketAlreadyExists,
    BucketAlreadyOwned,
    BucketNotEmpty,
    InvalidRequest,
    MountNotFound,
    NoWorker,
    ZerohopError,
)
from zerohop.model import BucketRecord, Caller, MountInfo, WorkerInfo, WritePolicy
from zerohop.rpc.master_api import (
    AddMount,
    ChangeMount,
    Empty,
    GetMount,
    ListMounts,
    MountPage,
    MountResult,
    MountSecrets,
    RemoveMount,
    SyncMount,
)
from zerohop_master import keys
from zerohop_master.due_work import DROP_OBJECTS, PURGE_BUCKET
from zerohop_master.local_objects import mount_row
from zerohop_master.namespace import Namespace, Reads
from zerohop_master.rows import BUCKET, MOUNT, MountRow
from zerohop_master.secret_box import SecretBox
from zerohop_master.transaction import Transaction

__all__ = ["Mounts", "OriginCalls"]

_log = logging.getLogger(__name__)
_MAX_MOUNTS: Final = 1000
_MAX_SYNCED: Final = 32
"""Prefixes that are remembered as synced: beyond it the whole mount is."""


class OriginCalls(Protocol):
    """The workers, as far as they open and close origins."""

    async def check_origin(self, worker: WorkerInfo, mount: MountInfo, secrets: Mapping[str, str]) -> None:
        """See `CheckOrigin`."""
        ...

    async def drop_mount(self, worker: WorkerInfo, mount_id: bytes, *, blocks: bool) -> None:
        """See `DropMount`."""
        ...

    async def open_mount(self, worker: WorkerInfo, mount_id: bytes) -> None:
        """See `OpenMount`."""
        ...


class Workers(Protocol):
    """Who is live."""

    def live(self) -> Sequence[WorkerInfo]: ...


class Mounts:
    """Answers the calls about mounts."""

    def __init__(self, namespace: Namespace, box: SecretBox, workers: Workers, calls: OriginCalls) -> None:
        self._namespace = namespace
        self._box = box
        self._workers = workers
        self._calls = calls

    async def add(self, request: AddMount) -> MountResult:
        """See `AddMount`."""
        given = request.mount
        _check(given)
        await self._namespace.check_caller(self._namespace.reads, request.caller)
        mount = msgspec.structs.replace(
            given,
            mount_id=os.urandom(4),
            secret_options=tuple(sorted(request.secrets)),
            owner=given.owner if given.owner and request.caller.admin else request.caller.user,
            created_ms=self._namespace.now_ms(),
            synced=(),
        )
        await self._check_origin(mount, request.secrets)
        sealed = {
            name: self._box.seal(value, _bound_to(mount.mount_id, name))
            for name, value in request.secrets.items()
        }

        async def body(transaction: Transaction) -> MountResult:
            await self._namespace.check_caller(transaction, request.caller)
            row, taken = await transaction.get(keys.bucket(mount.bucket), keys.mount(mount.mount_id))
            if row is not None:
                owned = BUCKET.decode(row.value).owner == request.caller.user
                error = BucketAlreadyOwned if owned else BucketAlreadyExists
                raise error(f"bucket {mount.bucket!r} exists", bucket=mount.bucket)
            if taken is not None:
                raise InvalidRequest("the id of the mount is taken: try again")
            bucket = BucketRecord(
                name=mount.bucket,
                bucket_id=os.urandom(8),
                owner=mount.owner,
                created_ms=mount.created_ms,
                mount_id=mount.mount_id,
            )
            transaction.put(keys.bucket(mount.bucket), BUCKET.encode(bucket))
            transaction.put(keys.mount(mount.mount_id), MOUNT.encode(MountRow(mount=mount, sealed=sealed)))
            return MountResult(mount=mount)

        result = await self._namespace.mutate(request, request.mutation, body, "mounts")
        _log.info("%s is mounted as bucket %s", mount.uri, mount.bucket)
        await self._open_at_workers(result.mount.mount_id)
        return result

    async def _check_origin(self, mount: MountInfo, secrets: Mapping[str, str]) -> None:
        """By the first worker that can be reached: its word holds for all. Raises NoWorker."""
        failure: ZerohopError = NoWorker("no worker is there to open the origin: start one")
        for worker in self._workers.live():
            try:
                await self._calls.check_origin(worker, mount, secrets)
            except ZerohopError as error:
                failure = error
                if not error.code.endswith("Unavailable") and error.code != "DeadlineExceeded":
                    raise
            else:
                return
        raise failure

    async def change(self, request: ChangeMount) -> MountResult:
        """See `ChangeMount`."""
        if request.options is not None or request.secrets is not None:
            row, _ = await self._mount(self._namespace.reads, request.caller, request.bucket)
            wanted = self._changed(row, request)
            await self._check_origin(wanted.mount, self._unsealed(wanted))

        async def body(transaction: Transaction) -> MountResult:
            row, _ = await self._mount(transaction, request.caller, request.bucket)
            new = self._changed(row, request)
            transaction.put(keys.mount(row.mount.mount_id), MOUNT.encode(new))
            return MountResult(mount=new.mount)

        result = await self._namespace.mutate(request, request.mutation, body, "mounts")
        await self._tell_workers(result.mount.mount_id, blocks=False)
        await self._open_at_workers(result.mount.mount_id)
        return result

    def _changed(self, row: MountRow, request: ChangeMount) -> MountRow:
        """Raises InvalidRequest."""
        wanted: dict[str, object] = {
            name: value
            for name in ("read_only", "metadata_ttl_s", "quota_bytes")
            if (value := getattr(request, name)) is not None
        }
        if request.write_policy is not None:
            wanted["write_policy"] = _policy(request.write_policy)
        secrets = request.secrets or {}
        sealed = {name: value for name, value in row.sealed.items() if name not in secrets}
        sealed |= {
            name: self._box.seal(value, _bound_to(row.mount.mount_id, name))
            for name, value in secrets.items()
            if value
        }
        options = {**row.mount.options, **(request.options or {})}
        mount = msgspec.structs.replace(
            row.mount,
            options={name: value for name, value in options.items() if value},
            secret_options=tuple(sorted(sealed)),
            **wanted,
        )
        _check(mount)
        return msgspec.structs.replace(row, mount=mount, sealed=sealed)

    def _unsealed(self, row: MountRow) -> dict[str, str]:
        return {
            name: self._box.unseal(sealed, _bound_to(row.mount.mount_id, name))
            for name, sealed in row.sealed.items()
        }

    async def remove(self, request: RemoveMount) -> Empty:
        """See `RemoveMount`."""
        removed: list[bytes] = []

        async def body(transaction: Transaction) -> Empty:
            row, bucket = await self._mount(transaction, request.caller, request.bucket)
            start, end = keys.span(keys.local_objects(bucket.bucket_id))
            if not request.discard_local:
                if await transaction.scan(start, end, limit=1):
                    raise BucketNotEmpty(
                        f"bucket {request.bucket!r} has writes that its origin does not have yet: "
                        "wait for them, persist them, or discard them",
                        bucket=request.bucket,
                    )
                transaction.require_empty(start, end)
            removed[:] = [row.mount.mount_id]
            now_ms = self._namespace.now_ms()
            transaction.delete(keys.bucket(request.bucket))
            transaction.delete(keys.mount(row.mount.mount_id))
            transaction.delete(keys.mount_generation(row.mount.mount_id))
            transaction.put(keys.due_work(now_ms, PURGE_BUCKET, bucket.bucket_id), b"\x01")
            transaction.put(keys.due_work(now_ms, DROP_OBJECTS, bucket.bucket_id), b"\x01")
            return Empty()

        result = await self._namespace.mutate(request, request.mutation, body, "mounts")
        for mount_id in removed:
            await self._tell_workers(mount_id, blocks=True)
        return result

    async def list(self, request: ListMounts) -> MountPage:
        """See `ListMounts`."""
        await self._namespace.check_caller(self._namespace.reads, request.caller)
        found = [row.mount for row in await self._all()]
        caller = request.caller
        shown = (mount for mount in found if caller.admin or mount.owner == caller.user)
        return MountPage(mounts=tuple(sorted(shown, key=lambda mount: mount.bucket)))

    async def secrets(self, request: GetMount) -> MountSecrets:
        """See `GetMount`."""
        row = await mount_row(self._namespace.reads, request.mount_id)
        return MountSecrets(mount=row.mount, secrets=self._unsealed(row))

    async def sync(self, request: SyncMount) -> MountResult:
        """See `SyncMount`."""

        async def body(transaction: Transaction) -> MountResult:
            row, _ = await self._mount(transaction, request.caller, request.bucket)
            now_ms = self._namespace.now_ms()
            kept = [one for one in row.mount.synced if not one[0].startswith(request.prefix)]
            synced = [*kept, (request.prefix, now_ms)]
            if len(synced) > _MAX_SYNCED:
                synced = [("", now_ms)]
            mount = msgspec.structs.replace(row.mount, synced=tuple(synced))
            changed = msgspec.structs.replace(row, mount=mount)
            transaction.put(keys.mount(mount.mount_id), MOUNT.encode(changed))
            transaction.put(keys.mount_generation(mount.mount_id), b"\x01")
            return MountResult(mount=mount)

        return await self._namespace.mutate(request, request.mutation, body, "mounts")

    async def _all(self) -> Sequence[MountRow]:
        start, end = keys.span(keys.MOUNTS)
        rows = await self._namespace.store.scan(start, end, limit=_MAX_MOUNTS)
        return [MOUNT.decode(row.value) for row in rows]

    async def _mount(self, reads: Reads, caller: Caller, name: str) -> tuple[MountRow, BucketRecord]:
        """Raises MountNotFound, BucketNotFound, AccessDenied."""
        bucket = await self._namespace.bucket(reads, caller, name)
        if not bucket.mount_id:
            raise MountNotFound(f"bucket {name!r} is no mount", bucket=name)
        return await mount_row(reads, bucket.mount_id), bucket

    async def _tell_workers(self, mount_id: bytes, *, blocks: bool) -> None:
        """Best effort: who does not hear it finds out from the master, or evicts what nobody reads."""
        for worker in self._workers.live():
            try:
                await self._calls.drop_mount(worker, mount_id, blocks=blocks)
            except ZerohopError as error:
                _log.info("worker %s was not told of a changed mount: %s", worker.worker_id, error)

    async def _open_at_workers(self, mount_id: bytes) -> None:
        """Best effort: who has not opened it does so for the first who asks, who waits for it."""

        async def open_at(worker: WorkerInfo) -> None:
            try:
                await self._calls.open_mount(worker, mount_id)
            except ZerohopError as error:
                _log.info("worker %s has not opened a mount yet: %s", worker.worker_id, error)

        await asyncio.gather(*(open_at(worker) for worker in self._workers.live()))


def _bound_to(mount_id: bytes, name: str) -> str:
    return f"mount {mount_id.hex()} {name}"


def _check(mount: MountInfo) -> None:
    if not mount.bucket or "\0" in mount.bucket:
        raise InvalidRequest(f"{mount.bucket!r} is no name for a bucket")
    if mount.metadata_ttl_s < 0 and mount.metadata_ttl_s != -1:
        raise InvalidRequest("metadata_ttl is 0 or more seconds, or -1 for ever")
    if mount.quota_bytes < 0:
        raise InvalidRequest("a quota is not negative")
    size_bytes = mount.block_size_bytes
    if size_bytes and (size_bytes & (size_bytes - 1) or not 4096 <= size_bytes <= 1 << 30):
        raise InvalidRequest("a block size is a power of two between 4 KiB and 1 GiB")


def _policy(name: str) -> WritePolicy:
    try:
        return WritePolicy(name)
    except ValueError:
        raise InvalidRequest(f"{name!r} is no write policy: one of {', '.join(WritePolicy)}") from None

"""Tags of objects."""

from __future__ import annotations

import msgspec

from zerohop.model import BucketRecord
from zerohop.rpc.master_api import ObjectResult, SetTags
from zerohop_master.kv.interface import Row
from zerohop_master.local_objects import check_writable, origin_needed, refuse_unchecked
from zerohop_master.namespace import Namespace
from zerohop_master.objects import found_object
from zerohop_master.rows import OBJECT
from zerohop_master.transaction import Transaction

__all__ = ["set_tags"]


async def set_tags(namespace: Namespace, request: SetTags) -> ObjectResult:
    """See `SetTags`. Sequence and contents stay, and with them all references: one row is written."""

    async def body(transaction: Transaction) -> ObjectResult:
        bucket, row = await namespace.bucket_and_row(transaction, request.caller, request.bucket, request.key)
        if bucket.mount_id:
            await _check_local(transaction, bucket, row, is_checked=request.is_checked)
        record = found_object(row, request.key, request.version_id)
        assert row is not None
        record = msgspec.structs.replace(record, tags=request.tags)
        transaction.put(row.key, OBJECT.encode(record))
        return ObjectResult(record=record, row_version=0, bucket_owner=bucket.owner)

    return await namespace.mutate(request, request.mutation, body, (request.bucket, request.key))


async def _check_local(
    transaction: Transaction, bucket: BucketRecord, row: Row | None, *, is_checked: bool
) -> None:
    """Raises OriginNeeded unless the row is that of an object that the origin is to get with these tags, and can."""
    mount = await check_writable(transaction, bucket)
    if row is None or (record := OBJECT.decode(row.value)).origin is not None:
        raise origin_needed(bucket, row)
    refuse_unchecked(bucket, mount, record.key, is_checked=is_checked)

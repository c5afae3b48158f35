"""Buckets: create, look up, delete, list."""

from __future__ import annotations

import os
from typing import Final

from zerohop.errors import BucketAlreadyExists, BucketAlreadyOwned, BucketNotEmpty, InvalidRequest
from zerohop.model import BucketRecord
from zerohop.rpc.master_api import (
    BucketPage,
    BucketResult,
    CreateBucket,
    DeleteBucket,
    Empty,
    GetBucket,
    ListBuckets,
)
from zerohop_master import keys
from zerohop_master.due_work import PURGE_BUCKET
from zerohop_master.local_objects import mount_row
from zerohop_master.namespace import Namespace
from zerohop_master.rows import BUCKET
from zerohop_master.transaction import Transaction

__all__ = ["create_bucket", "delete_bucket", "get_bucket", "list_buckets"]

_MAX_PAGE: Final = 10_000
_SCAN_ROWS: Final = 1000
"""Rows read at a time for a listing, which leaves out other users' buckets."""


async def create_bucket(namespace: Namespace, request: CreateBucket) -> BucketResult:
    """See `CreateBucket`."""
    if not request.bucket or "\0" in request.bucket:
        raise InvalidRequest(f"{request.bucket!r} is no name for a bucket")

    async def body(transaction: Transaction) -> BucketResult:
        await namespace.check_caller(transaction, request.caller)
        row = await transaction.get_one(keys.bucket(request.bucket))
        if row is not None:
            owned = BUCKET.decode(row.value).owner == request.caller.user
            error = BucketAlreadyOwned if owned else BucketAlreadyExists
            raise error(f"bucket {request.bucket!r} exists", bucket=request.bucket)
        bucket = BucketRecord(
            name=request.bucket,
            bucket_id=os.urandom(8),
            owner=request.caller.user,
            created_ms=namespace.now_ms(),
            location=request.location,
        )
        transaction.put(keys.bucket(request.bucket), BUCKET.encode(bucket))
        return BucketResult(bucket=bucket)

    return await namespace.mutate(request, request.mutation, body)


async def get_bucket(namespace: Namespace, request: GetBucket) -> BucketResult:
    """See `GetBucket`."""
    bucket = await namespace.bucket(namespace.reads, request.caller, request.bucket)
    if not bucket.mount_id:
        return BucketResult(bucket=bucket)
    mount = (await mount_row(namespace.reads, bucket.mount_id)).mount
    return BucketResult(bucket=bucket, write_policy=mount.write_policy)


async def delete_bucket(namespace: Namespace, request: DeleteBucket) -> Empty:
    """See `DeleteBucket`. Its open uploads become unreachable with it, and are aborted in the background."""

    async def body(transaction: Transaction) -> Empty:
        bucket = await namespace.bucket(transaction, request.caller, request.bucket)
        if bucket.mount_id:
            raise InvalidRequest(
                f"bucket {request.bucket!r} is a mount: unmount it, which leaves its origin alone"
            )
        start, end = keys.span(keys.objects(bucket.bucket_id))
        if await transaction.scan(start, end, limit=1):
            raise BucketNotEmpty(f"bucket {request.bucket!r} still holds objects", bucket=request.bucket)
        transaction.require_empty(start, end)
        transaction.delete(keys.bucket(request.bucket))
        transaction.put(keys.due_work(namespace.now_ms(), PURGE_BUCKET, bucket.bucket_id), b"\x01")
        return Empty()

    return await namespace.mutate(request, request.mutation, body)


async def list_buckets(namespace: Namespace, request: ListBuckets) -> BucketPage:
    """See `ListBuckets`. Costs the names up to the end of the page, other users' included."""
    await namespace.check_caller(namespace.reads, request.caller)
    limit = min(request.limit, _MAX_PAGE)
    if limit <= 0:
        return BucketPage(buckets=(), next_after="")
    start, end = keys.span(keys.bucket(request.prefix))
    if request.after:
        start = max(start, keys.bucket(request.after) + b"\0")
    found: list[BucketRecord] = []
    while start < end and len(found) <= limit:
        rows = await namespace.store.scan(start, end, limit=_SCAN_ROWS)
        if not rows:
            break
        buckets = (BUCKET.decode(row.value) for row in rows)
        found += (b for b in buckets if request.caller.admin or b.owner == request.caller.user)
        start = rows[-1].key + b"\0"
    page = tuple(found[:limit])
    return BucketPage(buckets=page, next_after=page[-1].name if len(found) > limit else "")

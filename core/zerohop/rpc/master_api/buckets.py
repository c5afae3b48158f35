"""Buckets."""

from __future__ import annotations

from zerohop.model import BucketRecord, Caller, Record
from zerohop.rpc.master_api.empty import Empty
from zerohop.rpc.message import Request

__all__ = [
    "BucketPage",
    "BucketResult",
    "CreateBucket",
    "DeleteBucket",
    "GetBucket",
    "ListBuckets",
]


class BucketResult(Record, frozen=True):
    """`write_policy`: of a mounted bucket, what a write does that asks for nothing else."""

    bucket: BucketRecord
    write_policy: str = ""


class BucketPage(Record, frozen=True):
    buckets: tuple[BucketRecord, ...]
    next_after: str  # "" when this was the last page


class CreateBucket(Request[BucketResult], tag="create_bucket", kw_only=True):
    """Raises BucketAlreadyOwned, BucketAlreadyExists. The bucket belongs to `caller.user`."""

    caller: Caller
    bucket: str
    location: str = ""
    mutation: bytes


class GetBucket(Request[BucketResult], tag="get_bucket", kw_only=True):
    """Raises BucketNotFound."""

    caller: Caller
    bucket: str


class DeleteBucket(Request[Empty], tag="delete_bucket", kw_only=True):
    """Raises BucketNotFound, BucketNotEmpty. Open uploads do not keep a bucket: they are aborted with it."""

    caller: Caller
    bucket: str
    mutation: bytes


class ListBuckets(Request[BucketPage], tag="list_buckets", kw_only=True):
    """The caller's buckets (all of them for an administrator), by name."""

    caller: Caller
    prefix: str = ""
    after: str = ""
    limit: int = 1000

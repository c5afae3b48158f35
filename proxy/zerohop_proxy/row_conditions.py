"""Conditional writes: decided on a version of the row, and committed on that version or decided anew."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from zerohop.errors import Conflict, KeyNotFound
from zerohop.rpc.master_api import LookupObject, ObjectResult
from zerohop_proxy.conditions import WriteCondition
from zerohop_proxy.request import S3Request
from zerohop_proxy.s3_errors import S3Error

__all__ = ["check_write", "commit_on", "current", "decided_version"]

R = TypeVar("R")

_ABSENT: Final = 0
_MAX_TRIES: Final = 8
"""Each try that loses means that another writer of the key has won: more than a few in a row is a storm."""


async def current(request: S3Request) -> ObjectResult | None:
    """The current object under the request's key, None when there is none. Raises BucketNotFound."""
    try:
        return await request.call(
            lambda caller: LookupObject(
                caller=caller, bucket=request.bucket, key=request.key, with_data=False
            )
        )
    except KeyNotFound:
        return None


async def decided_version(request: S3Request, condition: WriteCondition | None) -> int | None:
    """The row version that the write is allowed on; None where it is unconditional. Raises S3Error PreconditionFailed,
    NoSuchKey (If-Match of what does not exist).
    """
    if condition is None:
        return None
    found = await current(request)
    check_write(condition, found)
    return found.row_version if found is not None else _ABSENT


def check_write(condition: WriteCondition, found: ObjectResult | None) -> None:
    """Whether the condition holds for what is there. Raises S3Error PreconditionFailed, NoSuchKey."""
    if condition.if_none_match_any and found is not None:
        raise S3Error("PreconditionFailed", Condition="If-None-Match")
    if condition.if_match is not None:
        if found is None:
            raise S3Error("NoSuchKey")
        if condition.if_match not in ("*", found.record.etag):
            raise S3Error("PreconditionFailed", Condition="If-Match")


async def commit_on(
    request: S3Request, condition: WriteCondition | None, commit: Callable[[int | None], Awaitable[R]]
) -> R:
    """Run `commit` with the version decided on, again while others change the row in between.

    Raises S3Error PreconditionFailed, NoSuchKey, ConditionalRequestConflict, and what `commit` raises.
    """
    for _ in range(_MAX_TRIES):
        expected = await decided_version(request, condition)
        try:
            return await commit(expected)
        except Conflict:
            continue
    raise S3Error("ConditionalRequestConflict" if condition is not None else "OperationAborted")

"""Listings of an S3 store, one page for one request.

S3 begins beyond a key, we begin beyond a *name*, which may be a common prefix: so all that is below it is skipped by
starting beyond the last key that it can hold.
"""

from __future__ import annotations

from typing import Any, Final

from zerohop_worker.origins.interface import OriginObject, OriginPage
from zerohop_worker.origins.names import group_of
from zerohop_worker.origins.s3_objects import listed_object
from zerohop_worker.origins.s3_refusals import Refusal, refusal_error
from zerohop_worker.origins.s3_requests import S3Requests

__all__ = ["list_page"]

_LAST: Final = "\U0010ffff"
_KEY_BYTES: Final = 1024
_MOST: Final = 1000


def start_after(prefix: str, delimiter: str, after: str) -> str:
    """The key to start beyond, so that nothing up to the name `after` comes: nothing of a group, where it names one."""
    group = group_of(after, prefix, delimiter)
    if not group or group != after:
        return after
    room = (_KEY_BYTES - len(group.encode())) // len(_LAST.encode())
    return group + _LAST * max(1, room)


async def list_page(
    requests: S3Requests, base: str, prefix: str, delimiter: str, after: str, limit: int
) -> OriginPage:
    """See `OriginStore.list`; `base` is the prefix of the mount."""
    params: dict[str, Any] = {"Prefix": base + prefix, "MaxKeys": min(limit, _MOST)}
    if delimiter:
        params["Delimiter"] = delimiter
    if after or (base and not prefix):
        # A marker of the mount's own folder would be an object without a name: the page begins beyond it.
        params["StartAfter"] = base + start_after(prefix, delimiter, after)
    what = f"list {requests.place}"
    try:
        # botocore asks for encoded keys and decodes them: XML cannot hold them all.
        answer = await requests.call("list_objects_v2", params, what)
    except Refusal as refusal:
        raise refusal_error(refusal, what) from None
    objects = tuple(_objects(answer, base))
    prefixes = tuple(entry["Prefix"][len(base) :] for entry in answer.get("CommonPrefixes", ()))
    last = max((name for name in (*(one.key for one in objects), *prefixes)), default="")
    more = bool(answer.get("IsTruncated")) and bool(last)
    return OriginPage(objects, prefixes, last if more else "")


def _objects(answer: dict[str, Any], base: str) -> list[OriginObject]:
    return [listed_object(entry["Key"][len(base) :], entry) for entry in answer.get("Contents", ())]

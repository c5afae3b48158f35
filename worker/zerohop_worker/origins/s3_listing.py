"""Listings of an S3 store, one page for one request.

S3 begins beyond a key, we begin beyond a *name*, which may be a common prefix: so all that is below it is skipped by
starting beyond the last key that it can hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from zerohop.errors import UnderStoreFailed
from zerohop_worker.origins.interface import OriginObject, OriginPage
from zerohop_worker.origins.names import group_of
from zerohop_worker.origins.s3_objects import listed_object
from zerohop_worker.origins.s3_refusals import Refusal, refusal_error
from zerohop_worker.origins.s3_requests import S3Requests

__all__ = ["list_objects", "list_page"]

_LAST: Final = "\U0010ffff"
_KEY_BYTES: Final = 1024
_MOST: Final = 1000
_MAX_EMPTY_PAGES: Final = 100
"""In a row: S3 may pass over so many deleted keys that a page has none, and say that more follows."""


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
    begin = params.get("StartAfter", "")
    group = group_of(after, prefix, delimiter)
    middle = (
        base + group if group != after else ""
    )  # of this one more may follow, though its name lies before
    for _ in range(_MAX_EMPTY_PAGES):
        answer = await list_objects(requests, params)
        objects = tuple(_objects(answer, base))
        prefixes = tuple(entry["Prefix"][len(base) :] for entry in answer.get("CommonPrefixes", ()))
        names = [*(one.key for one in objects), *prefixes]
        more = bool(answer["IsTruncated"])
        if names or not more:
            _check_names(requests, answer, base + prefix, begin, middle)
            return OriginPage(objects, prefixes, max(names) if more else "")
        if not answer.get("NextContinuationToken"):
            break
        params["ContinuationToken"] = answer["NextContinuationToken"]
    raise UnderStoreFailed(f"cannot list {requests.place}: it says that more keys follow, and gives none")


async def list_objects(requests: S3Requests, params: Mapping[str, Any]) -> dict[str, Any]:
    """One answer. Raises OriginRefused, UnderStoreFailed."""
    what = f"list {requests.place}"
    try:
        # botocore asks for encoded keys and decodes them: XML cannot hold them all.
        answer = await requests.call("list_objects_v2", params, what)
        if "IsTruncated" not in answer:
            # Any XML, such as the page of a web server or of a portal on the way, would pass for an empty bucket.
            raise Refusal("NotS3", 200, "")
    except Refusal as refusal:
        raise refusal_error(refusal, what) from None
    return answer


def _check_names(
    requests: S3Requests, answer: Mapping[str, Any], prefix: str, begin: str, middle: str
) -> None:
    """A store that ignores where the page was to begin would have us list the same page for ever; one that ignores the
    prefix, keys of others by wrong names. `middle` is the group in which the page begins. Raises UnderStoreFailed.
    """
    names = [entry["Key"] for entry in answer.get("Contents", ())]
    names += [entry["Prefix"] for entry in answer.get("CommonPrefixes", ())]
    for name in names:
        is_before = bool(begin) and name.encode() <= begin.encode() and name != middle
        if not name.startswith(prefix) or is_before:
            raise UnderStoreFailed(
                f"cannot list {requests.place}: asked for keys of {prefix!r} beyond {begin!r}, it gives {name!r}"
            )


def _objects(answer: dict[str, Any], base: str) -> list[OriginObject]:
    return [listed_object(entry["Key"][len(base) :], entry) for entry in answer.get("Contents", ())]

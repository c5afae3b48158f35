"""Deletes at an S3 store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from zerohop_worker.origins.s3_refusals import Refusal, refusal_error
from zerohop_worker.origins.s3_requests import S3Requests

__all__ = ["delete_objects"]

_BATCH: Final = 1000
_AT_A_TIME: Final = 16


async def delete_objects(requests: S3Requests, base: str, keys: Sequence[str]) -> dict[str, str]:
    """See `OriginStore.delete`; `base` is the prefix of the mount."""
    batch = [key for key in keys if _fits_xml(key)]
    single = [key for key in keys if not _fits_xml(key)]
    if len(batch) == 1:
        batch, single = [], [*single, *batch]
    failed: dict[str, str] = {}
    for first in range(0, len(batch), _BATCH):
        some = batch[first : first + _BATCH]
        try:
            failed.update(await _delete_batch(requests, base, some))
        except Refusal as refusal:
            if refusal.status not in (400, 405, 501):
                raise refusal_error(refusal, f"delete in {requests.place}") from None
            single += some  # Google's S3, and others, do not have it
    at_a_time = asyncio.Semaphore(_AT_A_TIME)
    told = await asyncio.gather(*(_delete_one(requests, base, key, at_a_time) for key in single))
    failed.update({key: message for key, message in zip(single, told, strict=True) if message})
    return failed


def _fits_xml(key: str) -> bool:
    """XML 1.0 cannot hold most control characters, and its parsers change the others."""
    return all(char >= " " and char not in "\ufffe\uffff" for char in key)


async def _delete_batch(requests: S3Requests, base: str, keys: Sequence[str]) -> dict[str, str]:
    wanted = {"Objects": [{"Key": base + key} for key in keys], "Quiet": True}
    answer = await requests.call("delete_objects", {"Delete": wanted}, f"delete in {requests.place}")
    return {
        error["Key"][len(base) :]: f"{error.get('Code', '')}: {error.get('Message', '')}"
        for error in answer.get("Errors", ())
        if error.get("Code") != "NoSuchKey"
    }


async def _delete_one(requests: S3Requests, base: str, key: str, at_a_time: asyncio.Semaphore) -> str:
    """The message of a failure, "" for none. Raises what concerns all keys alike."""
    what = f"delete {base}{key} in {requests.place}"
    async with at_a_time:
        try:
            await requests.call("delete_object", {"Key": base + key}, what)
        except Refusal as refusal:
            if refusal.code in ("NoSuchKey", "404"):
                return ""
            return str(refusal_error(refusal, what))
    return ""

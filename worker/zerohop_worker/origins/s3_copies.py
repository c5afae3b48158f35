"""Copies that an S3 store makes by itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from zerohop.errors import KeyNotFound, NeedsBytes, OriginChanged, UnderStoreFailed, ZerohopError
from zerohop_worker.origins.interface import (
    NO_CONDITION,
    Attributes,
    OriginObject,
    Validator,
    WriteCondition,
)
from zerohop_worker.origins.s3_objects import (
    attribute_headers,
    attribute_params,
    condition_params,
    matches,
    written_object,
)
from zerohop_worker.origins.s3_refusals import Refusal
from zerohop_worker.origins.s3_requests import Repeat
from zerohop_worker.origins.s3_times import as_stored

if TYPE_CHECKING:
    from zerohop_worker.origins.s3 import S3Origin

__all__ = ["copy_object"]

_MOST_IN_ONE: Final = 5 << 30
"""Bytes that CopyObject copies at most."""

_PART_BYTES: Final = 1 << 30
_PARTS_AT_A_TIME: Final = 8


async def copy_object(
    origin: S3Origin,
    source: str,
    match: Validator,
    key: str,
    attributes: Attributes | None,
    condition: WriteCondition,
) -> OriginObject:
    """See `OriginStore.copy`."""
    found = await origin.head(source)
    if not matches(found.validator, match):
        raise OriginChanged(f"{source} is not the object at the origin any more that it was")
    if source == key and attributes is None:
        return found  # S3 refuses a copy that changes nothing
    if match.size_bytes > _MOST_IN_ONE:
        return await _LongCopy(origin, found, key, attributes, condition).run()
    params: dict[str, Any] = {
        "Key": origin.full_key(key),
        "MetadataDirective": "COPY" if attributes is None else "REPLACE",
        **_source(origin, found),
        **condition_params(condition),
    }
    if attributes is not None:
        params |= attribute_params(attributes) | {"TaggingDirective": "REPLACE"}
    try:
        answer = await origin.requests.call(
            "copy_object",
            params,
            origin.what("copy to", key),
            repeat=Repeat.ALWAYS if condition == NO_CONDITION else Repeat.NOT_DONE,
            headers=attribute_headers(attributes) if attributes is not None else {},
        )
    except Refusal as refusal:
        raise await _failed(origin, refusal, found, key, condition) from None
    return written_object(key, answer, found.validator.size_bytes, attributes or found.attributes)


def _source(origin: S3Origin, found: OriginObject) -> dict[str, Any]:
    params: dict[str, Any] = {
        "CopySource": {"Bucket": origin.requests.settings.bucket, "Key": origin.full_key(found.key)}
    }
    if found.validator.etag:
        params["CopySourceIfMatch"] = f'"{found.validator.etag}"'
    return params


async def _failed(
    origin: S3Origin, refusal: Refusal, found: OriginObject, key: str, condition: WriteCondition
) -> ZerohopError:
    """A copy has two conditions, and one answer for both."""
    if refusal.status == 412:
        try:
            now = await origin.head(found.key)
        except KeyNotFound as error:
            return error
        if condition == NO_CONDITION or not matches(now.validator, found.validator):
            return OriginChanged(f"{found.key} is not the object at the origin any more that it was")
    if refusal.code == "NoSuchKey" and not condition.only_if_etag:
        return KeyNotFound(f"the origin has no object {found.key}")
    if refusal.status in (405, 501):
        return NeedsBytes(f"the origin makes no copies by itself [{refusal.code}]")
    return origin.write_failed(refusal, key, condition)


class _LongCopy:
    """A copy in parts."""

    def __init__(
        self,
        origin: S3Origin,
        found: OriginObject,
        key: str,
        attributes: Attributes | None,
        condition: WriteCondition,
    ) -> None:
        self._origin, self._found, self._key = origin, found, key
        self._attributes = attributes
        self._condition = condition

    async def run(self) -> OriginObject:
        """Copies all parts, and leaves no upload behind when that fails."""
        origin, call = self._origin, self._origin.requests.call
        attributes = self._attributes
        if attributes is None:
            tags = await origin.tags(self._found.key) if self._found.tag_count else {}
            attributes = self._found.attributes._replace(tags=tags)
        named = {"Key": origin.full_key(self._key)}
        what = origin.what("copy to", self._key)
        params = {**named, **attribute_params(attributes)}
        try:
            begun = await call("create_multipart_upload", params, what, headers=attribute_headers(attributes))
            named["UploadId"] = str(begun["UploadId"])
            try:
                answer = await self._complete(named, what)
            except BaseException:
                await call("abort_multipart_upload", named, what)
                raise
        except Refusal as refusal:
            raise await _failed(origin, refusal, self._found, self._key, self._condition) from None
        written = written_object(self._key, answer, self._found.validator.size_bytes, attributes)
        return await as_stored(origin, written)

    async def _complete(self, named: dict[str, str], what: str) -> dict[str, Any]:
        size_bytes = self._found.validator.size_bytes
        slots = asyncio.Semaphore(_PARTS_AT_A_TIME)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._copy_part(named, number, first, slots, what))
                    for number, first in enumerate(range(0, size_bytes, _PART_BYTES), 1)
                ]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        parts = [{"PartNumber": number, "ETag": task.result()} for number, task in enumerate(tasks, 1)]
        return await self._origin.requests.call(
            "complete_multipart_upload",
            {**named, "MultipartUpload": {"Parts": parts}, **condition_params(self._condition)},
            what,
            repeat=Repeat.NOT_DONE,
        )

    async def _copy_part(
        self, named: dict[str, str], number: int, first: int, slots: asyncio.Semaphore, what: str
    ) -> str:
        last = min(first + _PART_BYTES, self._found.validator.size_bytes) - 1
        params = {
            **named,
            **_source(self._origin, self._found),
            "PartNumber": number,
            "CopySourceRange": f"bytes={first}-{last}",
        }
        async with slots:
            answer = await self._origin.requests.call("upload_part_copy", params, what)
        etag = answer.get("CopyPartResult", {}).get("ETag")
        if not etag:
            raise UnderStoreFailed(f"cannot {what}: part {number} has no ETag")
        return str(etag)

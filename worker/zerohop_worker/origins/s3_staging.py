"""Large objects for an S3 store: a multipart upload, some parts of which are on their way at any time."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from zerohop.errors import UnderStoreFailed, ZerohopError
from zerohop_worker.files import Buffer
from zerohop_worker.origins.interface import NO_CONDITION, Attributes, OriginObject, WriteCondition
from zerohop_worker.origins.parts_in_flight import PartsInFlight
from zerohop_worker.origins.s3_objects import (
    attribute_headers,
    attribute_params,
    bare_etag,
    condition_params,
    content_md5,
    written_object,
)
from zerohop_worker.origins.s3_refusals import Refusal
from zerohop_worker.origins.s3_requests import Repeat
from zerohop_worker.origins.s3_times import as_stored

if TYPE_CHECKING:
    from zerohop_worker.origins.s3 import S3Origin

__all__ = ["S3Staged", "combined_etag"]

_log = logging.getLogger(__name__)


def combined_etag(etags: Sequence[str]) -> str:
    """The ETag of a multipart object, by those of its parts; "" where they are no MD5s (some encryptions)."""
    try:
        digests = b"".join(bytes.fromhex(etag) for etag in etags)
    except ValueError:
        return ""
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(etags)}"


class S3Staged:
    """See `StagedObject`."""

    def __init__(self, origin: S3Origin, key: str, attributes: Attributes) -> None:
        self._origin = origin
        self._key = key
        self._attributes = attributes
        self._upload = ""
        self._creating: asyncio.Task[None] | None = None
        self._sending = PartsInFlight(origin.requests.parts)
        self._etags: dict[int, str] = {}
        self._parts = 0
        self._size_bytes = 0

    async def write_part(self, buffers: Sequence[Buffer]) -> None:
        """See `StagedObject.write_part`."""
        if self._creating is None:
            self._creating = asyncio.create_task(self._create(), name=f"begin to write {self._key}")
        # A writer who leaves meanwhile does not end it: else the upload might be there, and nobody know its id.
        await asyncio.shield(self._creating)
        data = await self._sending.joined(buffers)
        self._parts += 1
        self._size_bytes += len(data)
        self._sending.send(partial(self._send, self._parts, data), name=f"part {self._parts} of {self._key}")

    async def _create(self) -> None:
        origin = self._origin
        params = {"Key": origin.full_key(self._key), **attribute_params(self._attributes)}
        try:
            answer = await origin.requests.call(
                "create_multipart_upload",
                params,
                origin.what("begin to write", self._key),
                headers=attribute_headers(self._attributes),
            )
        except Refusal as refusal:
            raise origin.write_failed(refusal, self._key, NO_CONDITION) from None
        self._upload = str(answer["UploadId"])

    async def _send(self, number: int, data: bytes) -> None:
        origin = self._origin
        params = {
            **self._named(),
            "PartNumber": number,
            "Body": data,
            "ContentMD5": await asyncio.to_thread(content_md5, data),
        }
        try:
            async with origin.requests.bodies:
                answer = await origin.requests.call(
                    "upload_part", params, origin.what(f"write part {number} of", self._key), has_body=True
                )
        except Refusal as refusal:
            raise origin.write_failed(refusal, self._key, NO_CONDITION) from None
        self._etags[number] = str(answer["ETag"])

    def _named(self) -> dict[str, Any]:
        return {"Key": self._origin.full_key(self._key), "UploadId": self._upload}

    async def commit(self, condition: WriteCondition = NO_CONDITION) -> OriginObject:
        """See `StagedObject.commit`."""
        await self._sending.all_arrived()
        if not self._upload:
            return await self._origin.put(self._key, (), self._attributes, condition)
        found = await self._complete(condition)
        self._upload = ""
        return found

    async def _complete(self, condition: WriteCondition) -> OriginObject:
        origin = self._origin
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(self._etags.items())]
        params = {
            **self._named(),
            "MultipartUpload": {"Parts": parts},
            **condition_params(condition),
        }
        repeat = Repeat.ALWAYS if condition == NO_CONDITION else Repeat.NOT_DONE
        what = origin.what("complete", self._key)
        try:
            answer = await origin.requests.call("complete_multipart_upload", params, what, repeat=repeat)
        except Refusal as refusal:
            if refusal.code != "NoSuchUpload":
                raise origin.write_failed(refusal, self._key, condition) from None
            return await self._completed_before([part["ETag"] for part in parts])
        # Amazon gives it the time at which the upload began.
        return await as_stored(origin, written_object(self._key, answer, self._size_bytes, self._attributes))

    async def _completed_before(self, etags: Sequence[object]) -> OriginObject:
        """The upload is gone: an earlier try, whose answer was lost, may have completed it."""
        expected = combined_etag([bare_etag(str(etag)) for etag in etags])
        found = await self._origin.head(self._key)
        if not expected or found.validator.etag != expected:
            raise UnderStoreFailed(f"the multipart upload of {self._key} is gone at the origin")
        return found

    async def abort(self) -> None:
        """See `StagedObject.abort`."""
        if self._creating is not None:
            await asyncio.wait((self._creating,))
            self._creating.exception()  # its writer has heard of it, or has left
        await self._sending.give_up()
        upload, self._upload = self._upload, ""
        if not upload:
            return
        params = {"Key": self._origin.full_key(self._key), "UploadId": upload}
        try:
            await self._origin.requests.call(
                "abort_multipart_upload", params, self._origin.what("abort the upload of", self._key)
            )
        except (Refusal, ZerohopError) as error:
            if not (isinstance(error, Refusal) and error.code == "NoSuchUpload"):
                _log.warning("an upload of %s stays behind at the origin: %s", self._key, error)

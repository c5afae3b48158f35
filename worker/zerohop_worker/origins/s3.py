"""S3 and what speaks it: Amazon, Ceph, MinIO, SeaweedFS, R2 and others, with any key that S3 allows, exactly.

Writes carry Content-MD5, so that what arrives damaged is refused; reads carry If-Match, and what comes is compared
with what was expected once more, since not every proxy on the way keeps conditions.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from zerohop.errors import (
    InvalidRequest,
    KeyNotFound,
    KeyTooLong,
    NotSupported,
    OriginChanged,
    PreconditionFailed,
    ZerohopError,
)
from zerohop_worker.files import Buffer
from zerohop_worker.origins.interface import (
    NO_CONDITION,
    Attributes,
    OriginObject,
    OriginPage,
    PartSpan,
    Validator,
    WriteCondition,
)
from zerohop_worker.origins.options import S3Settings
from zerohop_worker.origins.s3_bodies import S3Read, length_of, range_header, range_of
from zerohop_worker.origins.s3_copies import copy_object
from zerohop_worker.origins.s3_deletes import delete_objects
from zerohop_worker.origins.s3_listing import list_objects, list_page
from zerohop_worker.origins.s3_objects import (
    attribute_headers,
    attribute_params,
    checksum_headers,
    condition_params,
    content_md5,
    matches,
    read_object,
    written_object,
)
from zerohop_worker.origins.s3_parts import part_span
from zerohop_worker.origins.s3_reads import ObjectAnswer
from zerohop_worker.origins.s3_refusals import Refusal, is_passing, refusal_error
from zerohop_worker.origins.s3_requests import Repeat, S3Requests
from zerohop_worker.origins.s3_staging import S3Staged
from zerohop_worker.origins.s3_times import dated

__all__ = ["S3Origin"]

_MAX_KEY_BYTES = 1024
_OTHER_BYTES = ("BadDigest", "XAmzContentChecksumMismatch")
_NO_KEY = ("NoSuchKey", "404", "NoSuchVersion")


class S3Origin:
    """See `OriginStore`."""

    min_part_bytes = 5 << 20
    max_part_bytes = 5 << 30
    max_parts = 10_000
    checks_conditions = True

    def __init__(self, settings: S3Settings, read_only: bool = False) -> None:
        self.requests = S3Requests(settings)
        self._prefix = settings.prefix
        self._read_only = read_only
        self._unknown_checksums: set[str] = set()  # headers that it refuses, and takes the same bytes without

    def full_key(self, key: str) -> str:
        """The key at the store."""
        return self._prefix + key

    def failed(self, refusal: Refusal, verb: str, key: str) -> ZerohopError:
        """The domain error for an answer about one object."""
        if refusal.code in _NO_KEY or self._is_too_long(key):
            return KeyNotFound(f"the origin has no object {key}")
        return refusal_error(refusal, self.what(verb, key))

    def _is_too_long(self, key: str) -> bool:
        return len(self.full_key(key).encode()) > _MAX_KEY_BYTES

    def _check_key(self, key: str) -> None:
        if self._is_too_long(key):
            raise KeyTooLong(f"with the mount's prefix the key has more than {_MAX_KEY_BYTES} bytes", key=key)

    def what(self, verb: str, key: str) -> str:
        """Completes "cannot ..."."""
        return f"{verb} {self.full_key(key)} in {self.requests.place}"

    async def check(self) -> None:
        """See `OriginStore.check`."""
        await list_objects(self.requests, {"Prefix": self._prefix, "MaxKeys": 1})

    async def head(self, key: str, unless: Validator | None = None) -> OriginObject:
        """See `OriginStore.head`. Never conditional: an ETag stays when metadata, storage class or tags change, a 304
        tells nothing of them, and a HEAD has no body that could be saved.
        """
        del unless
        try:
            answer = await self.requests.read_object(
                "HEAD", self.full_key(key), {}, self.what("look at", key)
            )
        except Refusal as refusal:
            if refusal.code == "405":  # a delete marker
                raise KeyNotFound(f"the origin has no object {key}") from None
            raise self.failed(refusal, "look at", key) from None
        return read_object(key, answer.headers, length_of(answer), whole=True)

    async def part(self, key: str, number: int, match: Validator) -> PartSpan | None:
        """See `OriginStore.part`."""
        return await part_span(self, key, number, match)

    async def open(self, key: str, offset: int, length: int | None, match: Validator | None = None) -> S3Read:
        """See `OriginStore.open`."""
        await self.requests.bodies.acquire()
        try:
            return await self._opened(key, offset, length, match)
        except BaseException:
            self.requests.bodies.release()
            raise

    async def _opened(self, key: str, offset: int, length: int | None, match: Validator | None) -> S3Read:
        if length == 0:
            raise InvalidRequest("a read of no bytes")
        headers = {}
        wanted = range_header(offset, length)
        if wanted:
            headers["range"] = wanted
        if match is not None and match.etag:
            headers["if-match"] = f'"{match.etag}"'
        answer = await self._get(key, headers, offset)
        try:
            first, got, size_bytes = range_of(answer)
            found = read_object(key, answer.headers, size_bytes, whole=got == size_bytes)
            read = S3Read(self.requests, found, first, got, answer.response, self.what("read", key))
            if match is not None and not matches(found.validator, match):
                raise OriginChanged(f"{key} is not the object at the origin any more that it was")
            read.narrow(offset, length)
        except ZerohopError:
            answer.response.close()
            raise
        return read

    async def _get(self, key: str, headers: dict[str, str], offset: int) -> ObjectAnswer:
        full_key, what = self.full_key(key), self.what("read", key)
        try:
            try:
                return await self.requests.read_object("GET", full_key, headers, what)
            except Refusal as refusal:
                if refusal.status != 416 or offset > 0:
                    raise
                # Only of an empty object no range can be satisfied that begins at 0.
                headers.pop("range")
                return await self.requests.read_object("GET", full_key, headers, what)
        except Refusal as refusal:
            if refusal.status in (304, 412):
                raise OriginChanged(f"{key} is not the object at the origin any more that it was") from None
            if refusal.status == 416:
                raise InvalidRequest(f"{key} at the origin ends at or before {offset}") from None
            raise self.failed(refusal, "read", key) from None

    async def list(self, prefix: str, delimiter: str, after: str, limit: int) -> OriginPage:
        """See `OriginStore.list`."""
        return await list_page(self.requests, self._prefix, prefix, delimiter, after, limit)

    async def check_write(self, key: str, attributes: Attributes) -> None:
        """See `OriginStore.check_write`: what S3 takes here it takes there, but for the prefix before it."""
        del attributes
        self._check_key(key)

    async def put(
        self,
        key: str,
        body: Sequence[Buffer],
        attributes: Attributes,
        condition: WriteCondition = NO_CONDITION,
    ) -> OriginObject:
        """See `OriginStore.put`."""
        self._check_key(key)
        data = await asyncio.to_thread(b"".join, body)
        digest = await asyncio.to_thread(content_md5, data)
        params = {
            "Key": self.full_key(key),
            "Body": data,
            "ContentMD5": digest,
            **attribute_params(attributes),
            **condition_params(condition),
        }
        repeat = Repeat.ALWAYS if condition == NO_CONDITION else Repeat.NOT_DONE
        began_s = time.time()
        try:
            async with self.requests.bodies:
                answer = await self._put(params, attributes, self.what("write", key), repeat)
        except Refusal as refusal:
            raise self.write_failed(refusal, key, condition) from None
        return await dated(self, written_object(key, answer, len(data), attributes), began_s)

    async def _put(
        self, params: Mapping[str, Any], attributes: Attributes, what: str, repeat: Repeat
    ) -> dict[str, Any]:
        """With the writer's checksum, unless the store does not know such a thing, or not that one."""
        headers = attribute_headers(attributes)
        checksums = checksum_headers(attributes)
        if checksums and self._unknown_checksums.isdisjoint(checksums):
            try:
                return await self._sent(params, headers | checksums, what, repeat)
            except Refusal as refusal:
                if refusal.status not in (400, 501) or refusal.code in _OTHER_BYTES or is_passing(refusal):
                    raise
            answer = await self._sent(params, headers, what, repeat)
            self._unknown_checksums |= checksums.keys()
            return answer
        return await self._sent(params, headers, what, repeat)

    async def _sent(
        self, params: Mapping[str, Any], headers: Mapping[str, str], what: str, repeat: Repeat
    ) -> dict[str, Any]:
        return await self.requests.call("put_object", params, what, repeat, headers, has_body=True)

    def write_failed(self, refusal: Refusal, key: str, condition: WriteCondition) -> ZerohopError:
        """The domain error for the answer to a write."""
        conditional = condition != NO_CONDITION
        if conditional and (
            refusal.status == 412 or (condition.only_if_etag and refusal.code == "NoSuchKey")
        ):
            name = "If-None-Match" if condition.only_if_absent else "If-Match"
            return PreconditionFailed(f"{key} at the origin is not as {name} wants it", condition=name)
        if conditional and refusal.status == 501:
            return NotSupported(f"the origin knows no conditional writes [{refusal.code}]")
        return refusal_error(refusal, self.what("write", key))

    def stage(self, key: str, attributes: Attributes) -> S3Staged:
        """See `OriginStore.stage`."""
        self._check_key(key)
        return S3Staged(self, key, attributes)

    async def delete(self, keys: Sequence[str]) -> dict[str, str]:
        """See `OriginStore.delete`."""
        possible = [key for key in keys if not self._is_too_long(key)]
        return await delete_objects(self.requests, self._prefix, possible)

    async def copy(
        self,
        source: str,
        match: Validator,
        key: str,
        attributes: Attributes | None,
        condition: WriteCondition = NO_CONDITION,
    ) -> OriginObject:
        """See `OriginStore.copy`."""
        self._check_key(key)
        return await copy_object(self, source, match, key, attributes, condition)

    async def tags(self, key: str) -> dict[str, str]:
        """See `OriginStore.tags`."""
        answer = await self._about_tags("get_object_tagging", key, {})
        return {tag["Key"]: tag["Value"] for tag in answer.get("TagSet", ())}

    async def set_tags(self, key: str, tags: Mapping[str, str]) -> None:
        """See `OriginStore.set_tags`."""
        if not tags:
            await self._about_tags("delete_object_tagging", key, {})
            return
        tag_set = [{"Key": name, "Value": value} for name, value in tags.items()]
        await self._about_tags("put_object_tagging", key, {"Tagging": {"TagSet": tag_set}})

    async def _about_tags(self, operation: str, key: str, params: Mapping[str, Any]) -> dict[str, Any]:
        what = self.what("read or set tags of", key)
        try:
            return await self.requests.call(operation, {"Key": self.full_key(key), **params}, what)
        except Refusal as refusal:
            if refusal.status in (405, 501):
                raise NotSupported("the origin has no tags") from None
            raise self.failed(refusal, "read or set tags of", key) from None

    async def close(self) -> None:
        """See `OriginStore.close`."""
        await self.requests.close()

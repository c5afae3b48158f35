"""From a body to bytes that a commit can name: inline data, or a content on a worker.

Nothing is visible before the commit, and the commit happens only after every check of the body has passed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from zerohop.client.writers import new_content
from zerohop.errors import Internal, SessionFenced, TransportError, ZerohopError
from zerohop.model import Segment
from zerohop.rpc.master_api import NewContent
from zerohop.rpc.worker_api import ContentWritten
from zerohop_proxy.body_in import IncomingBody
from zerohop_proxy.digests import ReceivedBody
from zerohop_proxy.hashing import HASHED_ON_LOOP_BYTES, Batch
from zerohop_proxy.request import S3Request
from zerohop_proxy.s3_errors import S3Error

__all__ = ["StoredBytes", "store_body", "store_stream"]

_UNKNOWN: Final = -1


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """Where the bytes are: in `data`, or (`written`) in a content of a worker; neither for an empty body."""

    size_bytes: int
    data: bytes = b""
    written: ContentWritten | None = None
    finished_s: float = 0.0

    @property
    def contents(self) -> tuple[NewContent, ...]:
        return (new_content(self.written),) if self.written is not None else ()

    @property
    def segments(self) -> tuple[Segment, ...]:
        return (Segment(self.written.content, self.written.length),) if self.written is not None else ()

    @property
    def is_unpersisted(self) -> bool:
        return self.written is not None and not self.written.persisted

    def check_fresh(self, request: S3Request) -> None:
        """Raises SessionFenced for a content so old that the sweep may soon take it for an orphan."""
        limit_s = request.cluster.view.settings.orphan_after_s / 2
        if self.written is not None and request.services.clock.monotonic_s() - self.finished_s > limit_s:
            raise SessionFenced("the content waited too long for its commit")

    async def discard_after(self, request: S3Request, error: BaseException) -> None:
        """The commit raised `error`: give the content back, if it is certain that no commit names it."""
        is_certain = isinstance(error, S3Error) or (
            isinstance(error, ZerohopError) and not isinstance(error, TransportError | Internal)
        )
        if self.written is not None and is_certain:
            await request.cluster.writer.discard(self.written)


async def store_body(
    request: S3Request, body: IncomingBody, *, inline_max_bytes: int
) -> tuple[StoredBytes, ReceivedBody]:
    """Take the body in and check it. Raises S3Error for what it is not, errors of the worker, ConnectionError."""
    expected = body.expected_bytes
    if expected is not None and expected <= min(inline_max_bytes, HASHED_ON_LOOP_BYTES):
        data = await body.read_small(expected)
        return StoredBytes(len(data), data), body.finish()
    received: list[ReceivedBody] = []

    async def checked() -> AsyncGenerator[Batch, None]:
        async with aclosing(body.batches()) as batches:
            async for batch in batches:
                yield batch
        received.append(body.finish())

    stored = await store_stream(
        request,
        checked(),
        expected_bytes=_UNKNOWN if expected is None else expected,
        inline_max_bytes=inline_max_bytes,
    )
    return stored, received[0]


async def store_stream(
    request: S3Request, batches: AsyncGenerator[Batch, None], *, expected_bytes: int, inline_max_bytes: int
) -> StoredBytes:
    """Store what `batches` gives: as inline data up to `inline_max_bytes`, else on a worker. If `batches` raises,
    nothing stays. `expected_bytes` is -1 when not known.
    """
    async with aclosing(batches):
        head: list[bytes | memoryview] = []
        size_bytes = 0
        async for batch in batches:
            head.extend(batch)
            size_bytes += sum(len(piece) for piece in batch)
            if size_bytes > inline_max_bytes:
                return await _store_content(request, head, batches, expected_bytes)
        return StoredBytes(size_bytes, b"".join(head))


async def _store_content(
    request: S3Request, head: list[bytes | memoryview], rest: AsyncIterator[Batch], expected_bytes: int
) -> StoredBytes:
    async with request.cluster.writer.open(request.write_policy(), expected_bytes) as sink:
        for piece in head:
            await sink.write(piece)
        head.clear()
        async for batch in rest:
            for piece in batch:
                await sink.write(piece)
        written = await sink.finish()
    finished_s = request.services.clock.monotonic_s()
    return StoredBytes(written.length, written=written, finished_s=finished_s)

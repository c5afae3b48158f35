"""Receiving a body: off the wire, out of its aws-chunked framing, hashed, and only then believed.

One batch is at most what aiohttp buffers for a connection (512 KiB), or as much read past it (`direct_body`). While a
batch is decoded and hashed in a thread, the one before it goes to its destination: so a request holds three batches at
most, whatever its size, and the slowest of client, hashing and worker sets the pace.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, TypeVar

from aiohttp import web

from zerohop_proxy.aws_chunked import AwsChunkedDecoder
from zerohop_proxy.digests import BodyDigester, ReceivedBody
from zerohop_proxy.direct_body import DIRECT_BYTES, DirectBody
from zerohop_proxy.hashing import Batch, digested
from zerohop_proxy.object_headers import body_length
from zerohop_proxy.operation import Operation
from zerohop_proxy.request import S3Request
from zerohop_proxy.s3_errors import S3Error

__all__ = ["MAX_PUT_BYTES", "IncomingBody", "parsed", "read_document"]

T = TypeVar("T")

MAX_PUT_BYTES: Final = 5 * 1024**3
"""Source: S3 user guide, "Uploading objects": a single PUT or part holds up to 5 GiB."""
_MAX_DOCUMENT_BYTES: Final = 4 * 1024 * 1024
"""A Complete of 10,000 parts with checksums, or a Delete of 1,000 keys of 1 KiB, escaped, stays below."""

_PARSED_ON_LOOP_BYTES: Final = 16 * 1024
"""About 150 parts, which take 1 ms; 10,000 with their checksums, 1.5 MB, took 300."""

_HELD_BYTES: Final = 3 * 512 * 1024
"""What a body of any length holds at most: the buffer that it is received in, and two batches."""

_STORING: Final = frozenset({Operation.PUT_OBJECT, Operation.UPLOAD_PART})
"""S3 wants the length of what it stores; the documents of other operations may be left out altogether."""


class IncomingBody:
    """The body of one request. Read it once, by one of the three ways; then `finish` tells what it was."""

    def __init__(
        self,
        request: S3Request,
        *,
        default_algorithm: str = "",
        extra_algorithm: str = "",
        with_checksum: bool = True,
    ) -> None:
        """Checks the headers that announce the body, before any of it is asked for. Raises S3Error."""
        payload = request.identity.payload
        self._request = request
        self._out = request.out
        self._content = request.out.http.content
        stored = request.route.operation in _STORING
        self._wire_bytes = body_length(
            request.headers, length_required=stored and not request.route.in_dialect
        )
        self._digester = BodyDigester(
            payload,
            request.headers,
            default_algorithm=default_algorithm,
            extra_algorithm=extra_algorithm,
            with_checksum=with_checksum,
        )
        self._decoder = AwsChunkedDecoder(payload) if payload.mode.is_chunked else None
        self.expected_bytes: int | None = (
            payload.decoded_length_bytes if self._decoder is not None else self._wire_bytes
        )
        """Size of the payload, None when it is not known before its end."""
        if self.expected_bytes is not None and self.expected_bytes > MAX_PUT_BYTES:
            raise S3Error(
                "EntityTooLarge", ProposedSize=str(self.expected_bytes), MaxSizeAllowed=str(MAX_PUT_BYTES)
            )

        # Before a byte of it is asked for: a client that is told to slow down now has lost nothing.
        expected = _HELD_BYTES if self.expected_bytes is None else min(self.expected_bytes, _HELD_BYTES)
        self._out.reserve(expected)

    @property
    def is_awaited(self) -> bool:
        """Whether the client waits for a `100 Continue` before it sends the body."""
        return self._out.is_continue_wanted

    @property
    def declared_algorithm(self) -> str:
        return self._digester.declared_algorithm

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """The payload in pieces, none of which is to be believed before `finish`. Close it (`aclosing`) if left early.

        Raises S3Error for broken framing, ConnectionError when the client is gone or stalls.
        """
        self._out.ask_for_body()
        connection, threads = self._out.http.connection, self._request.services.hashing
        length_bytes = self._wire_bytes
        if length_bytes is not None and length_bytes >= DIRECT_BYTES and DirectBody.is_possible(connection):
            direct = DirectBody(connection, self._content, length_bytes, self._out.progress)
            received = direct.batches(self._digest, threads)
        else:
            received = digested(self._receive, self._digest, threads)
        async with aclosing(received) as batches:
            async for batch in batches:
                yield batch

    async def read_small(self, limit_bytes: int) -> bytes:
        """All of a body that announced at most `limit_bytes`, which are few enough to be hashed on the loop.

        Without the generators of `batches` the proxy's share of a 4 KiB PUT fell from 192 to 177 us.
        """
        self._out.ask_for_body()
        pieces: list[bytes | memoryview] = []
        while data := await self._receive():
            pieces.extend(self._digest(data))
            if self._digester.size_bytes > limit_bytes:
                raise S3Error("IncompleteBody")
        return bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)

    async def read_whole(self, limit_bytes: int) -> bytes:
        """All of it in one piece; raises S3Error MaxMessageLengthExceeded beyond `limit_bytes`."""
        pieces: list[bytes | memoryview] = []
        size_bytes = 0
        self._out.reserve(
            limit_bytes if self.expected_bytes is None else min(self.expected_bytes, limit_bytes)
        )
        async with aclosing(self.batches()) as batches:
            async for batch in batches:
                pieces.extend(batch)
                size_bytes += sum(len(piece) for piece in batch)
                if size_bytes > limit_bytes:
                    raise S3Error("MaxMessageLengthExceeded", MaxMessageLengthBytes=str(limit_bytes))
        return b"".join(pieces)

    def finish(self) -> ReceivedBody:
        """After the last piece: check length, signatures, digests and trailers. Raises S3Error; then nothing counts."""
        trailers = self._decoder.finish() if self._decoder is not None else {}
        received = self._digester.finish(trailers)
        if self.expected_bytes is not None and received.size_bytes != self.expected_bytes:
            raise S3Error("IncompleteBody")
        return received

    def _digest(self, data: bytes | memoryview) -> Batch:
        batch: Batch = self._decoder.feed(data) if self._decoder is not None else (data,)
        self._digester.update(batch)
        if self._digester.size_bytes > MAX_PUT_BYTES:
            raise S3Error("EntityTooLarge", MaxSizeAllowed=str(MAX_PUT_BYTES))
        return batch

    async def _receive(self) -> bytes:
        """What has arrived, b"" at the end."""
        content = self._content
        try:
            data = content.read_nowait()
            if data or content.at_eof():
                self._out.progress.moved(len(data))
                return data
            data = await self._out.progress.during(content.readany())
            self._out.progress.moved(len(data))
            return data
        except web.RequestPayloadError:
            raise S3Error("IncompleteBody") from None


async def parsed(request: S3Request, parse: Callable[[bytes], T], document: bytes) -> T:
    """What `parse` makes of a document: of a long one in a thread, so that other requests go on meanwhile."""
    if len(document) <= _PARSED_ON_LOOP_BYTES:
        return parse(document)
    return await asyncio.get_running_loop().run_in_executor(request.services.hashing, parse, document)


async def read_document(request: S3Request, *, with_checksum: bool = True) -> tuple[bytes, IncomingBody]:
    """The small body of a POST or PUT that carries XML, checked; at most 4 MiB."""
    body = IncomingBody(request, with_checksum=with_checksum)
    if body.expected_bytes is not None and body.expected_bytes > _MAX_DOCUMENT_BYTES:
        raise S3Error("MaxMessageLengthExceeded", MaxMessageLengthBytes=str(_MAX_DOCUMENT_BYTES))
    document = await body.read_whole(_MAX_DOCUMENT_BYTES)
    body.finish()
    return document, body

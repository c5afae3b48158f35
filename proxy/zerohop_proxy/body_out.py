"""Sending the bytes of an object: the zero-copy ladder, with its one decision point in `send_object`.

1. Inline data, and small bodies from a block's descriptor: one read, one write together with the head.
2. Large bodies: `sendfile` block by block from descriptors that the worker of this host passed.
3. Blocks without a descriptor (the worker is on another host): relayed piece by piece, by `splice` from socket to
   socket.
4. TLS: the same steps through the transport's buffer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from functools import lru_cache
from typing import Final

from zerohop.client.cluster import ClusterClient
from zerohop.client.open_block import OpenBlock
from zerohop.rpc.body import HIGH_WATER_BYTES
from zerohop.rpc.master_api import ObjectResult
from zerohop_proxy.answer import header_lines
from zerohop_proxy.block_reads import IN_MEMORY, OpenSpan, open_spans, read_now, read_span, relay_piped
from zerohop_proxy.request import S3Request
from zerohop_proxy.sendfile import SocketSender, TransportSender

__all__ = ["INLINE", "MAX_ONE_WRITE_BYTES", "SOURCE_HEADER", "body_at_hand", "send_object", "source_line"]

SOURCE_HEADER: Final = "x-zerohop-source"
"""Where the first bytes of an answer came from: `INLINE`, `MEM`, `SSD`, `HDD`, `UNDER` or `REMOTE`."""

INLINE: Final = "INLINE"
_REMOTE: Final = "REMOTE"
_UNDER: Final = "UNDER"
MAX_ONE_WRITE_BYTES: Final = 128 * 1024
"""Up to here one copy costs less than duplicating the socket and waiting for it.

Measured before blocks were sent without `_stream`: with 256 KiB both cost about the same, with 1 MiB the copy 1.5 to
1.7 times as much.
"""

_Head = Callable[[str], bytes]


async def send_object(request: S3Request, found: ObjectResult, start: int, stop: int, head: _Head) -> None:
    """Write the head and bytes [start, stop) of the object.

    `head` is called once, with where they come from, when the first bytes are at hand: an error before that can still
    be answered. One after it leaves the response short, and the caller cuts the connection.
    """
    size_bytes = stop - start
    came = b""
    if found.fetched and size_bytes:
        request.out.came_from(_UNDER)  # although they may stand in a tier by now
        if found.came_at == start:
            came = found.came[:size_bytes]
    if found.record.inline or size_bytes == 0:
        request.out.came_from(INLINE)
        await request.out.write(head(INLINE) + found.data[start:stop])
    elif len(came) == size_bytes:
        await request.out.write(head(_UNDER) + came)
    elif size_bytes <= MAX_ONE_WRITE_BYTES and not found.fetched:
        at_hand = body_at_hand(request.cluster, found, start, stop)
        if at_hand is None:
            body = await _gathered_body(request, found, start, stop)
        else:
            source, body = at_hand
            request.out.came_from(source)
        await request.out.write(head(_first_source(request)) + body)
    else:
        secure = request.out.transport.get_extra_info("sslcontext") is not None
        sender_class = TransportSender if secure else SocketSender
        cached = _cached_block(request.cluster, found, start, stop)
        if cached is not None:
            await _send_block(request, *cached, size_bytes, head, sender_class)
        else:
            await _stream(request, found, start, stop, head, sender_class, came)
    request.out.sent_bytes = size_bytes


def _cached_block(
    cluster: ClusterClient, found: ObjectResult, start: int, stop: int
) -> tuple[OpenBlock, int] | None:
    """The block that holds all of these bytes, if there is one whose descriptor is at hand, and where in it they begin.

    The caller holds a reference.
    """
    segments = found.record.segments
    if len(segments) != 1:
        return None
    content = segments[0].content
    index = start >> content[15]
    if (stop - 1) >> content[15] != index:
        return None
    block = cluster.blocks.cached(content, index)
    return None if block is None else (block, start - (index << content[15]))


def body_at_hand(
    cluster: ClusterClient, found: ObjectResult, start: int, stop: int
) -> tuple[str, bytes] | None:
    """Bytes [start, stop) and where they come from, if no disk and no other process need be waited for."""
    cached = _cached_block(cluster, found, start, stop)
    if cached is None:
        return None
    block, offset = cached
    with block:
        body = read_now(block, offset, stop - start)
        return None if body is None or len(body) != stop - start else (block.source, body)


@lru_cache(maxsize=64)
def source_line(source: str) -> bytes:
    """The header that tells where the first bytes came from."""
    return header_lines([(SOURCE_HEADER, source)])


async def _send_block(
    request: S3Request,
    block: OpenBlock,
    offset: int,
    size_bytes: int,
    head: _Head,
    sender_class: type[SocketSender | TransportSender],
) -> None:
    """The fast path of a larger one: `_stream` has generators and a task for what it opens ahead: 40 us of 217."""
    with block:
        if sender_class.HELD_BYTES:
            request.out.reserve(min(sender_class.HELD_BYTES, size_bytes))
        async with sender_class(request.out, request.services.disk) as sender:
            request.out.came_from(block.source)
            await sender.send(head(_first_source(request)), more=True)
            await sender.send_file(block.fd, offset, size_bytes, in_memory=block.source == IN_MEMORY)
            sender.complete()


async def _gathered_body(request: S3Request, found: ObjectResult, start: int, stop: int) -> bytes:
    bodies: list[bytes] = []
    policy = request.read_policy()
    async with aclosing(open_spans(request.cluster, found, start, stop, policy)) as spans:
        async for opened in spans:
            sources: list[str] = []
            bodies.append(await read_span(request.cluster, opened, request.services.disk, policy, sources))
            request.out.came_from(_source(opened, sources))
    return b"".join(bodies)


async def _stream(
    request: S3Request,
    found: ObjectResult,
    start: int,
    stop: int,
    head: _Head,
    sender_class: type[SocketSender | TransportSender],
    came: bytes,
) -> None:
    """`came`: the first of these bytes, which are at hand."""
    policy = request.read_policy()
    async with aclosing(open_spans(request.cluster, found, start + len(came), stop, policy)) as spans:
        first = await anext(spans)
        held_bytes = sender_class.HELD_BYTES + (HIGH_WATER_BYTES if first.block is None else 0)
        if held_bytes:
            request.out.reserve(min(held_bytes, stop - start))
        async with sender_class(request.out, request.services.disk) as sender:
            if came:
                await sender.send(head(_UNDER) + came)
                request.out.sent_bytes += len(came)
            await _send_span(request, sender, first, None if came else head)
            async for opened in spans:
                await _send_span(request, sender, opened)
                await asyncio.sleep(0)  # a fast client must not keep the loop to itself
            sender.complete()


async def _send_span(
    request: S3Request, sender: SocketSender | TransportSender, opened: OpenSpan, head: _Head | None = None
) -> None:
    block, span = opened.block, opened.span
    if block is not None:
        request.out.came_from(block.source)
        if head is not None:
            await sender.send(head(_first_source(request)), more=True)
        await sender.send_file(block.fd, span.offset, span.size, in_memory=block.source == IN_MEMORY)
        request.out.sent_bytes += span.size
        return
    sources: list[str] = []
    policy = request.read_policy()
    relayed = relay_piped(request.cluster, opened.held, span, policy, sources, piped=sender.TAKES_PIPED)
    async with aclosing(relayed) as stream:
        async for data in stream:
            if head is not None:
                request.out.came_from(_source(opened, sources))
                await sender.send(head(_first_source(request)), more=True)
                head = None
            size_bytes = len(data)
            await sender.send(data)
            request.out.sent_bytes += size_bytes
    request.out.came_from(_source(opened, sources))


def _first_source(request: S3Request) -> str:
    return request.out.source.partition("+")[0]


def _source(opened: OpenSpan, sources: list[str]) -> str:
    """Where the bytes of a span came from; `sources` is what the workers said that relayed it."""
    if opened.block is not None:
        return opened.block.source
    return _UNDER if _UNDER in sources else _REMOTE

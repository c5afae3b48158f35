"""The body of a long request, read from the socket past the HTTP parser.

The transport, the parser and the parser's reader each copy what comes (a MiB of a PUT cost the loop 1.0 ms, half of it
in the interpreter), and none of that has a meaning for a body whose length is known. So the transport is paused, and
one call in a thread receives a piece from a duplicate of the socket into memory that is used again, takes it out of
its framing and hashes it. At the end the parser is told that its body is complete, by way of a new parser: the old one
still waits for bytes that it was never given.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from typing import Final

from aiohttp import web
from aiohttp.http import HttpRequestParser
from aiohttp.streams import StreamReader

from zerohop.rpc.receive_buffers import ReceiveBuffers
from zerohop_proxy.connection import Connection
from zerohop_proxy.hashing import Batch
from zerohop_proxy.progress import Progress

__all__ = ["DIRECT_BYTES", "DirectBody"]

DIRECT_BYTES: Final = 1 << 20
"""Bodies from this length on are worth it."""

_PIECE_BYTES: Final = 512 << 10
"""Received and hashed by one call in a thread, at most."""

_WORTH_A_THREAD_BYTES: Final = 64 << 10
"""And at least: less is gathered on the loop."""


class DirectBody:
    """One body of `length_bytes` on the wire, of which `content` has what the parser was given already."""

    def __init__(
        self, connection: Connection, content: StreamReader, length_bytes: int, progress: Progress
    ) -> None:
        self._connection = connection
        self._content = content
        self._left_bytes = self._to_come_bytes = length_bytes  # the latter is what the pace was told
        self._progress = progress
        self._buffers = ReceiveBuffers(_WORTH_A_THREAD_BYTES, _PIECE_BYTES)
        self._held_bytes = 0  # received and not digested; counted in `_left_bytes`

    @staticmethod
    def is_possible(connection: Connection) -> bool:
        """Whether bytes on the socket are those of the body: not so under TLS."""
        transport = connection.transport
        return (
            transport is not None
            and transport.get_extra_info("sslcontext") is None
            and transport.get_extra_info("socket") is not None
            and not connection._upgraded
        )

    async def batches(
        self, digest: Callable[[bytes | memoryview], Batch], threads: Executor
    ) -> AsyncGenerator[Batch, None]:
        """What `digest` makes of the body, in order; a piece is digested while the one before is with the consumer.

        Raises ConnectionError when the client is gone or stalls, and what `digest` raises.
        """
        transport = self._connection.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        loop = asyncio.get_running_loop()
        job: asyncio.Future[Batch] | None = None
        with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as sock:
            sock.settimeout(0)
            try:
                job = loop.run_in_executor(threads, self._receive, sock, digest, self._take_parsed())
                while job is not None:
                    batch = await _result(job)
                    job = None
                    self._note_progress()
                    if self._left_bytes:
                        if not batch:
                            await self._gather(loop, sock)
                        job = loop.run_in_executor(threads, self._receive, sock, digest)
                    if batch:
                        yield batch
                self._complete()
            finally:
                try:
                    if job is not None:
                        await _result(job, wanted=False)
                finally:
                    self._connection._resume_transport_reading()

    def _take_parsed(self) -> bytes:
        """What the parser has of the body. From now on it is given no more."""
        had: list[bytes] = []
        while data := self._content.read_nowait():  # with room again, the parser goes on with what it holds
            had.append(data)
        self._connection._pause_transport_reading()
        return b"".join(had)

    async def _gather(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        """Waits for the client, until what has come is worth a thread: single packets of a slow one are not."""
        while self._held_bytes < min(_WORTH_A_THREAD_BYTES, self._left_bytes):
            await self._progress.during(_readable(loop, sock))
            self._fill(sock, _WORTH_A_THREAD_BYTES)
            self._note_progress()

    def _note_progress(self) -> None:
        to_come_bytes = self._left_bytes - self._held_bytes
        self._progress.moved(self._to_come_bytes - to_come_bytes)
        self._to_come_bytes = to_come_bytes

    def _receive(
        self, sock: socket.socket, digest: Callable[[bytes | memoryview], Batch], parsed: bytes = b""
    ) -> Batch:
        """In a thread, without waiting: what was parsed or has come, digested; nothing if that is too little."""
        if parsed:
            self._left_bytes -= len(parsed)
            return digest(parsed)
        self._fill(sock, _PIECE_BYTES)
        size_bytes = self._held_bytes
        if size_bytes < min(_WORTH_A_THREAD_BYTES, self._left_bytes):
            return ()
        self._held_bytes = 0
        self._left_bytes -= size_bytes
        return digest(self._buffers.received(size_bytes))

    def _fill(self, sock: socket.socket, limit_bytes: int) -> None:
        """Receives until nothing more is there, the buffer holds `limit_bytes`, or the body is complete."""
        view = self._buffers.next()[: min(self._left_bytes, limit_bytes)]
        while self._held_bytes < len(view):
            try:
                count = sock.recv_into(view[self._held_bytes :])
            except BlockingIOError:
                return
            if not count:
                raise ConnectionResetError("the client has left before the end of the body")
            self._held_bytes += count

    def _complete(self) -> None:
        """The next bytes on the connection are a new request."""
        connection = self._connection
        if connection.transport is None or self._content.is_eof():
            return  # all of it was parsed already, or nobody will send more
        connection._parser = HttpRequestParser(
            connection,
            connection._loop,
            connection._read_bufsize,
            max_line_size=connection.max_line_size,
            max_field_size=connection.max_field_size,
            max_headers=connection.max_headers,
            payload_exception=web.RequestPayloadError,
            auto_decompress=False,
            max_msg_queue_size=connection._max_msg_queue_size,
        )
        self._content.feed_eof()


async def _result(job: asyncio.Future[Batch], *, wanted: bool = True) -> Batch:
    """What the job gives, or nothing if that is not `wanted`. A thread cannot be stopped, and this one uses the socket
    and the digests: a cancellation waits for its end, which comes soon, as it waits for nobody.
    """
    cancelled: asyncio.CancelledError | None = None
    while not job.done():
        try:
            await asyncio.wait((job,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        job.exception()
        raise cancelled
    if not wanted:
        job.exception()
        return ()
    return job.result()


async def _readable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    arrived = loop.create_future()
    loop.add_reader(sock, _wake, arrived)
    try:
        await arrived
    finally:
        loop.remove_reader(sock)


def _wake(arrived: asyncio.Future[None]) -> None:
    if not arrived.done():
        arrived.set_result(None)

"""Sending large bodies without copying them: `sendfile(2)` on a duplicate of the connection's socket.

uvloop has no `loop.sendfile`, and a transport's own buffer would be one more copy. So one object owns the sending
of one body: it duplicates the socket while the transport is open, writes the head and the body to the duplicate,
waits for room by `add_writer`, gives up on a client that takes nothing for the stall time-out, and closes the
duplicate on any way out. When it leaves short, it shuts the socket down: with a duplicate open, closing the
transport would send no FIN, and the client would wait for the rest for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from concurrent.futures import Executor
from types import TracebackType
from typing import Final, Self

from zerohop_proxy.progress import ClientStalled
from zerohop_proxy.responder import Responder

__all__ = ["SocketSender", "TransportSender"]

_CHUNK_BYTES: Final = 1024 * 1024
"""Most that one sendfile call may move: from memory it takes about 0.2 ms, in which the loop does nothing else."""
_BUFFERED_BYTES: Final = 256 * 1024


class SocketSender:
    """Sends on a duplicate of the client's socket. `async with` it; `complete()` says that all has been sent."""

    HELD_BYTES: Final = 0
    """What it holds in this process of bytes that are on their way."""

    def __init__(self, out: Responder, disk: Executor) -> None:
        self._out = out
        self._disk = disk
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._complete = False

    async def __aenter__(self) -> Self:
        transport = self._out.transport
        if transport.get_write_buffer_size():  # the end of the response before, to a pipelining client
            transport.set_write_buffer_limits(0)
            try:
                await self._out.drain()
            finally:
                transport.set_write_buffer_limits()
            transport = self._out.transport
        duplicate = os.dup(transport.get_extra_info("socket").fileno())
        self._socket = socket.socket(fileno=duplicate)
        self._socket.setblocking(False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._socket is not None
        # Before the head, nothing is short yet: the failure is going to be answered on this socket.
        if not self._complete and self._out.started:
            with contextlib.suppress(OSError):  # the client may have reset it already
                self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def complete(self) -> None:
        """All bytes are in the socket: leave it open."""
        self._complete = True

    async def send(self, data: bytes | memoryview, *, more: bool = False) -> None:
        """Send bytes from memory; `more` follows at once (so that the head shares a segment with the body)."""
        assert self._socket is not None
        view = memoryview(data)
        while view:
            try:
                sent = self._socket.send(view, socket.MSG_MORE if more else 0)
            except BlockingIOError:
                await self._wait_writable()
                continue
            self._out.progress.moved(sent)
            view = view[sent:]

    async def send_file(self, fd: int, offset: int, size_bytes: int, *, in_memory: bool) -> None:
        """Send bytes [offset, offset + size_bytes) of a file. Raises ConnectionError, EOFError for a file too short.

        From memory on the loop; from a disk in a thread, since reading it may block.
        """
        assert self._socket is not None
        target = self._socket.fileno()
        end = offset + size_bytes
        while offset < end:
            count = min(end - offset, _CHUNK_BYTES)
            try:
                if in_memory:
                    sent = os.sendfile(target, fd, offset, count)
                else:
                    sent = await _uninterrupted(
                        self._loop.run_in_executor(self._disk, os.sendfile, target, fd, offset, count)
                    )
            except BlockingIOError:
                await self._wait_writable()
                continue
            if sent == 0:
                raise EOFError("a block's file is shorter than the block")
            self._out.progress.moved(sent)
            offset += sent

    async def _wait_writable(self) -> None:
        assert self._socket is not None
        writable = self._loop.create_future()
        progress = self._out.progress
        started_s = self._loop.time()
        timer = self._loop.call_later(progress.patience_s, _expire, writable)
        self._loop.add_writer(self._socket, _wake, writable)
        try:
            await writable
        finally:
            timer.cancel()
            self._loop.remove_writer(self._socket)
        progress.waited(self._loop.time() - started_s)


class TransportSender:
    """The same for a connection whose bytes must pass through the transport, as under TLS: buffered."""

    HELD_BYTES: Final = _BUFFERED_BYTES + 512 * 1024
    """A piece that has been read, and asyncio's limit for what is to be encrypted."""

    def __init__(self, out: Responder, disk: Executor) -> None:
        self._out = out
        self._disk = disk
        self._loop = asyncio.get_running_loop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """What is short is cut by the funnel."""

    def complete(self) -> None:
        """All has been written; the transport owns it now."""

    async def send(self, data: bytes | memoryview, *, more: bool = False) -> None:  # noqa: ARG002 - as above
        await self._out.write(data)

    async def send_file(self, fd: int, offset: int, size_bytes: int, *, in_memory: bool) -> None:
        end = offset + size_bytes
        while offset < end:
            count = min(end - offset, _BUFFERED_BYTES)
            if in_memory:
                data = os.pread(fd, count, offset)
            else:
                data = await self._loop.run_in_executor(self._disk, os.pread, fd, count, offset)
            if not data:
                raise EOFError("a block's file is shorter than the block")
            await self._out.write(data)
            offset += len(data)


async def _uninterrupted(job: asyncio.Future[int]) -> int:
    """The result of a thread's job. A cancelled caller leaves only after the job: it uses the caller's descriptors."""
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        await asyncio.wait((job,))
        raise


def _wake(writable: asyncio.Future[None]) -> None:
    if not writable.done():
        writable.set_result(None)


def _expire(writable: asyncio.Future[None]) -> None:
    if not writable.done():
        writable.set_exception(ClientStalled("the client takes too few bytes"))

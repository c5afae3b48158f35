"""Sending large bodies without copying them: past the transport, on a duplicate of the connection's socket.

The head goes the same way, so that it shares a packet with the first bytes. When a sender leaves short, it shuts the
socket down, or the client would wait for the rest for ever.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor
from types import TracebackType
from typing import Final, Self

from zerohop.rpc.socket_out import SocketOut
from zerohop.rpc.splicing import PipedBytes
from zerohop_proxy.responder import Responder

__all__ = ["SocketSender", "TransportSender"]

_BUFFERED_BYTES: Final = 256 * 1024


class SocketSender:
    """Sends on a duplicate of the client's socket. `async with` it; `complete()` says that all has been sent."""

    HELD_BYTES: Final = 0
    """What it holds in this process of bytes that are on their way."""

    TAKES_PIPED: Final = True

    def __init__(self, out: Responder, disk: Executor) -> None:
        self._out = out
        self._disk = disk
        self._loop = asyncio.get_running_loop()
        self._socket: SocketOut | None = None
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
        self._socket = SocketOut(transport, self._out.progress)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._socket is not None
        # Before the head, nothing is short yet: the failure is going to be answered on this socket.
        self._socket.close(cut=not self._complete and self._out.started)

    def complete(self) -> None:
        """All bytes are in the socket: leave it open."""
        self._complete = True

    async def send(self, data: bytes | memoryview | PipedBytes, *, more: bool = False) -> None:
        """Send bytes; `more` follows at once (so that the head shares a segment with the body)."""
        assert self._socket is not None
        if isinstance(data, PipedBytes):
            await self._socket.send_piped(data)
        else:
            await self._socket.send(data, more=more)

    async def send_file(self, fd: int, offset: int, size_bytes: int, *, in_memory: bool) -> None:
        """Send bytes [offset, offset + size_bytes) of a file. Raises ConnectionError, EOFError for a file too short.

        From memory on the loop; from a disk in a thread, since reading it may block.
        """
        assert self._socket is not None
        await self._socket.send_file(fd, offset, size_bytes, None if in_memory else self._in_thread)

    async def _in_thread(
        self, call: Callable[[int, int, int, int], int], target: int, fd: int, offset: int, count: int
    ) -> int:
        return await _uninterrupted(self._loop.run_in_executor(self._disk, call, target, fd, offset, count))


class TransportSender:
    """The same for a connection whose bytes must pass through the transport, as under TLS: buffered."""

    HELD_BYTES: Final = _BUFFERED_BYTES + 512 * 1024
    """A piece that has been read, and asyncio's limit for what is to be encrypted."""

    TAKES_PIPED: Final = False

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

    async def send(
        self,
        data: bytes | memoryview | PipedBytes,
        *,
        more: bool = False,  # noqa: ARG002 - as above
    ) -> None:
        await self._out.write(bytes(data) if isinstance(data, PipedBytes) else data)

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

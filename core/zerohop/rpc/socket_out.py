"""Bytes straight into a connection's socket, past its transport: `sendfile(2)`, `splice(2)`, or from memory.

uvloop has no `loop.sendfile`, and a transport's own buffer would be one more copy. So one object owns the sending: it
duplicates the socket while the transport is open, writes to the duplicate, waits for room by `add_writer`, gives up on
a peer that takes nothing for too long, and closes the duplicate on any way out. The transport's buffer has to be
empty, and nobody may write through it meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from zerohop.rpc.splicing import PipedBytes

__all__ = ["Patience", "RunInThread", "SocketOut"]

_CHUNK_BYTES: Final = 1024 * 1024
"""Most that one sendfile call may move: from memory it takes about 0.2 ms, in which the loop does nothing else."""

RunInThread = Callable[[Callable[[int, int, int, int], int], int, int, int, int], Awaitable[int]]
"""Carries a call out in a thread. When it is cancelled it first waits for the call, which uses our descriptors."""


class Patience(Protocol):
    """How long the peer may take nothing."""

    @property
    def patience_s(self) -> float:
        """How long may be waited until something moves."""

    def moved(self, size_bytes: int) -> None:
        """So many bytes were taken."""

    def waited(self, elapsed_s: float) -> None:
        """So much time went by waiting. May raise what `stalled` gives."""

    def stalled(self) -> Exception:
        """What to raise when the time is over."""


class SocketOut:
    """A duplicate of the socket of an open `transport`. `close` it."""

    def __init__(self, transport: asyncio.BaseTransport, patience: Patience) -> None:
        self._loop = asyncio.get_running_loop()
        self._patience = patience
        self._socket = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        self._socket.setblocking(False)

    def close(self, *, cut: bool) -> None:
        """`cut`: what was sent is short. With a duplicate open, closing the transport would send no FIN, and the peer
        would wait for the rest for ever.
        """
        if cut:
            with contextlib.suppress(OSError):  # the peer may have reset it already
                self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    async def send(self, data: bytes | memoryview, *, more: bool = False) -> None:
        """Send bytes from memory; `more` follows at once, and shares a packet with them."""
        view = memoryview(data)
        while view:
            try:
                sent = self._socket.send(view, socket.MSG_MORE if more else 0)
            except BlockingIOError:
                await self._wait_writable()
                continue
            self._patience.moved(sent)
            view = view[sent:]

    async def send_file(self, fd: int, offset: int, size_bytes: int, run: RunInThread | None) -> None:
        """Send bytes [offset, offset + size_bytes) of a file. Raises OSError, EOFError for a file too short.

        On the loop where `run` is None: only from memory. Else in threads, since reading a disk may block.
        """
        target = self._socket.fileno()
        end = offset + size_bytes
        while offset < end:
            count = min(end - offset, _CHUNK_BYTES)
            try:
                if run is None:
                    sent = os.sendfile(target, fd, offset, count)
                else:
                    sent = await run(os.sendfile, target, fd, offset, count)
            except BlockingIOError:
                await self._wait_writable()
                continue
            if sent == 0:
                raise EOFError("a block's file is shorter than the block")
            self._patience.moved(sent)
            offset += sent

    async def send_piped(self, piece: PipedBytes) -> None:
        """Send what stands in a pipe: it is empty then. Raises OSError."""
        target = self._socket.fileno()
        while piece:
            try:
                sent = piece.splice_to(target)
            except BlockingIOError:
                await self._wait_writable()
                continue
            self._patience.moved(sent)

    async def _wait_writable(self) -> None:
        writable = self._loop.create_future()
        patience = self._patience
        started_s = self._loop.time()
        timer = self._loop.call_later(patience.patience_s, _expire, writable, patience)
        self._loop.add_writer(self._socket, _wake, writable)
        try:
            await writable
        finally:
            timer.cancel()
            self._loop.remove_writer(self._socket)
        patience.waited(self._loop.time() - started_s)


def _wake(writable: asyncio.Future[None]) -> None:
    if not writable.done():
        writable.set_result(None)


def _expire(writable: asyncio.Future[None], patience: Patience) -> None:
    if not writable.done():
        writable.set_exception(patience.stalled())

"""What both ends of an RPC connection share: transport, frame decoder, gathered writes, back-pressure."""

from __future__ import annotations

import asyncio
import struct
from typing import cast

from zerohop.errors import DeadlineExceeded, OutcomeUnknown, ProtocolViolation, ZerohopError
from zerohop.rpc.frames import FrameDecoder, FrameKind, frame, frame_header
from zerohop.rpc.handshake import MAX_HANDSHAKE_PAYLOAD_BYTES
from zerohop.rpc.listener import keep_alive
from zerohop.rpc.receive_buffers import ReceiveBuffers
from zerohop.rpc.socket_out import RunInThread, SocketOut

__all__ = ["HANDSHAKE_TIMEOUT_S", "WRITE_STALL_S", "Wire"]

WRITE_HIGH_WATER_BYTES = 1 << 20
WRITE_LOW_WATER_BYTES = 256 << 10
"""Of the transport's buffer: beyond the mark writers wait, and a server stops reading from that peer."""

WRITE_STALL_S = 60.0
"""A peer that takes nothing for this long, with the buffer above its mark, is dropped."""

HANDSHAKE_TIMEOUT_S = 10.0

WRITE_PIECE_BYTES = 256 << 10
"""Bulk bytes go to the transport in pieces of this size, so that the marks bound what it holds."""

_GATHER_BYTES = 64 << 10
"""Frames that are gathered for one write; beyond it they are handed over at once."""

_total = struct.Struct(">Q")


class Wire(asyncio.BufferedProtocol):
    """One connection. Subclasses say what a frame means (`_frame`) and what is lost with it (`_lost`)."""

    waits_for_reader = False
    """Whether frames wait while the peer does not take ours. True for servers only: one end must always read."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._decoder = FrameDecoder(MAX_HANDSHAKE_PAYLOAD_BYTES)
        self._received = ReceiveBuffers()
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._flush_planned = False  # or not needed: frames are being taken, and a flush comes after them
        self._draining: list[asyncio.Future[None]] = []
        self._stall_timer: asyncio.TimerHandle | None = None
        self.write_paused = False
        self._sending_file = False  # past the transport, which must not be written to meanwhile
        self.closed = False
        self._gone = loop.create_future()
        # Set by connection_made, before anything else can happen.
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)

    # What subclasses fill in.

    def _frame(self, kind: int, call_id: int, payload: bytes | memoryview) -> None:
        """A frame, or a piece of DATA, has come."""
        raise NotImplementedError

    def _lost(self) -> None:
        """The connection is gone."""
        raise NotImplementedError

    def _bad_peer(self, error: ZerohopError) -> None:
        """The peer broke the protocol; the connection is about to be closed."""

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=WRITE_HIGH_WATER_BYTES, low=WRITE_LOW_WATER_BYTES)
        if (sock := transport.get_extra_info("socket")) is not None:
            keep_alive(sock)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the loop's signature
        """Called by the loop."""
        return self._received.next()

    def buffer_updated(self, nbytes: int) -> None:
        """Called by the loop."""
        self._decoder.feed(self._received.received(nbytes))
        self._take_frames()

    def pause_writing(self) -> None:
        """Called by the loop: the peer reads slower than we write."""
        self.write_paused = True
        self._watch_stall()

    def resume_writing(self) -> None:
        """Called by the loop."""
        self.write_paused = False
        self._stop_stall_timer()
        self._wake_draining()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's signature
        """Called by the loop."""
        self.closed = True
        self._out.clear()
        self._stop_stall_timer()
        self._wake_draining()
        self._lost()
        if not self._gone.done():
            self._gone.set_result(None)

    # Reading

    def _take_frames(self) -> None:
        planned, self._flush_planned = self._flush_planned, True
        try:
            for kind, call_id, payload in self._decoder.frames():
                self._frame(kind, call_id, payload)
                if self.write_paused and self.waits_for_reader:
                    break  # the rest stays in the decoder until the peer has taken its answers
        except ZerohopError as error:
            self._bad_peer(error)
            self.flush()
            self.transport.close()
        self._flush_planned = planned
        self.flush()

    # Writing

    def send(self, data: bytes) -> None:
        """Sends with whatever else is sent in this turn of the loop, in one write."""
        self._out.append(data)
        self._out_bytes += len(data)
        if self._out_bytes >= _GATHER_BYTES:
            self.flush()
        elif not self._flush_planned:
            self._flush_planned = True
            self._loop.call_soon(self._planned_flush)

    def _planned_flush(self) -> None:
        self._flush_planned = False
        self.flush()

    def flush(self) -> None:
        out = self._out
        if out and not self.closed and not self._sending_file:
            data = out[0] if len(out) == 1 else b"".join(out)
            out.clear()
            self._out_bytes = 0
            self.transport.write(data)

    async def drain(self, timeout_s: float) -> None:
        """Returns once the peer has taken enough of what was written. Raises `DeadlineExceeded`, or that it is gone."""
        while self.write_paused and not self.closed:
            left_bytes = self.transport.get_write_buffer_size()
            if not await self._writable(timeout_s) and self.transport.get_write_buffer_size() == left_bytes:
                raise DeadlineExceeded(f"the peer took no byte for {timeout_s:g} s")
        if self.closed:
            raise OutcomeUnknown("the connection was lost while writing", reason="connection lost")

    async def _writable(self, timeout_s: float) -> bool:
        waiter = self._loop.create_future()
        self._draining.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except TimeoutError:
            return False
        finally:
            if waiter in self._draining:
                self._draining.remove(waiter)
        return True

    async def send_data(
        self, call_id: int, data: bytes | bytearray | memoryview, progress_timeout_s: float
    ) -> int:
        """Sends bulk bytes and waits while the peer is slower; returns how many they were.

        Read-only buffers are not copied, and must stay as they are; writable ones are copied as far as the socket
        does not take them at once, so that the caller may use his buffer again.
        """
        view = memoryview(data).cast("B")
        for start in range(0, len(view), WRITE_PIECE_BYTES):
            if self.write_paused or self.closed:
                await self.drain(progress_timeout_s)
            piece = view[start : start + WRITE_PIECE_BYTES]
            self.flush()
            header = frame_header(FrameKind.DATA, call_id, len(piece))
            # One system call, and no packet of its own for nine bytes.
            self.transport.writelines((header, piece if piece.readonly else bytes(piece)))
        if self.write_paused or self.closed:
            await self.drain(progress_timeout_s)
        return len(view)

    @property
    def takes_files(self) -> bool:
        """Whether `send_file` can be used: under TLS the kernel knows no key."""
        return self.transport.get_extra_info("sslcontext") is None

    async def send_file(
        self,
        call_id: int,
        fd: int,
        offset: int,
        size_bytes: int,
        run: RunInThread | None,
        progress_timeout_s: float,
    ) -> None:
        """Sends bytes [offset, offset + size_bytes) of a file as one DATA frame, by `SocketOut.send_file`.

        Raises as `send_data`, and OSError or EOFError of the file. The connection is cut then, as the frame is.
        """
        await self._drain_all(progress_timeout_s)
        out = SocketOut(self.transport, _Patience(progress_timeout_s))
        head = b"".join((*self._out, frame_header(FrameKind.DATA, call_id, size_bytes)))
        self._out.clear()
        self._out_bytes = 0
        self._sending_file = self.write_paused = True
        self.transport.pause_reading()  # answers to what came could only pile up
        complete = False
        try:
            await out.send(head, more=True)
            await out.send_file(fd, offset, size_bytes, run)
            complete = True
        except ConnectionError as error:
            raise OutcomeUnknown("the connection was lost while writing", reason="connection lost") from error
        finally:
            out.close(cut=not complete)
            if complete:
                self._sending_file = False
                if not self.closed:
                    self.resume_writing()
            else:
                self.abort()

    async def _drain_all(self, progress_timeout_s: float) -> None:
        """Returns when the transport holds nothing, and no other file is on its way."""
        while self._sending_file or self.closed or self.transport.get_write_buffer_size():
            if self._sending_file or self.closed:
                await self.drain(progress_timeout_s)
                continue
            self.transport.set_write_buffer_limits(0)
            try:
                await self.drain(progress_timeout_s)
            finally:
                self.transport.set_write_buffer_limits(high=WRITE_HIGH_WATER_BYTES, low=WRITE_LOW_WATER_BYTES)

    def send_end(self, call_id: int, total_bytes: int) -> None:
        """Ends a stream; the total tells the reader that nothing is missing."""
        self.send(frame(FrameKind.END, call_id, _total.pack(total_bytes)))

    def close(self) -> None:
        """Closes once what was sent is on its way."""
        if not self.closed and self.transport is not None:
            self.flush()
            self.transport.close()

    def abort(self) -> None:
        """Drops the connection without sending what is buffered."""
        if not self.closed and self.transport is not None:
            self.transport.abort()

    async def gone(self, timeout_s: float) -> None:
        """Returns when the connection is closed; drops it if that takes longer than `timeout_s`."""
        await asyncio.wait([self._gone], timeout=timeout_s)
        self.abort()
        await self._gone

    def _wake_draining(self) -> None:
        for waiter in self._draining:
            if not waiter.done():
                waiter.set_result(None)
        self._draining.clear()

    def _watch_stall(self, before_bytes: int = -1) -> None:
        left_bytes = self.transport.get_write_buffer_size()
        if left_bytes == before_bytes:
            self.abort()
        else:
            self._stall_timer = self._loop.call_later(WRITE_STALL_S, self._watch_stall, left_bytes)

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None


class _Patience:
    """Of a peer that a file is sent to: it must take something within the time-out."""

    def __init__(self, timeout_s: float) -> None:
        self.patience_s = timeout_s

    def moved(self, size_bytes: int) -> None:
        """Any progress will do: each wait has the whole time."""

    def waited(self, elapsed_s: float) -> None:
        """See `moved`."""

    def stalled(self) -> DeadlineExceeded:
        """What to raise."""
        return DeadlineExceeded(f"the peer took no byte for {self.patience_s:g} s")


def total_of(payload: bytes | memoryview) -> int:
    """The total that an END frame carries. Raises `ProtocolViolation`."""
    if len(payload) != _total.size:
        raise ProtocolViolation("an END frame without a total")
    total: int = _total.unpack(payload)[0]
    return total

"""Packets with file descriptors over a Unix socket of type SOCK_SEQPACKET.

A packet is a frame without its length, which the socket keeps; so descriptors stay with the packet that they were
sent with. Event loops drop ancillary data (and uvloop's own socket calls refuse this type), hence `recvmsg` and
`sendmsg` under `add_reader` and `add_writer`.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import errno
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from zerohop.errors import Overloaded, ProtocolViolation, TooLarge, ZerohopError

__all__ = ["MAX_DESCRIPTORS", "MAX_PACKET_BYTES", "PacketSocket", "close_descriptors", "packet"]

MAX_DESCRIPTORS = 250
"""Of one packet; the kernel's limit (SCM_MAX_FD) is 253."""

MAX_PACKET_BYTES = 64 << 10
"""Well below the default send buffer, which bounds a packet of this socket type."""

MAX_QUEUED_PACKETS = 256
"""Packets for a peer who does not read; he is not read from while there are that many."""

_PACKETS_PER_TURN = 64
"""Taken from one socket before others of the loop get their turn."""

_head = struct.Struct(">BI")
_ANCILLARY_BYTES = socket.CMSG_SPACE((MAX_DESCRIPTORS + 3) * array.array("i").itemsize)
# Kernel's answer for too many descriptors in flight, and for a process that has no number left for a new one.
_NO_DESCRIPTORS = frozenset({errno.ETOOMANYREFS, errno.EMFILE, errno.ENFILE})


def packet(kind: int, call_id: int, payload: bytes = b"") -> bytes:
    """A packet. Raises `TooLarge`."""
    if len(payload) + _head.size > MAX_PACKET_BYTES:
        raise TooLarge(f"a message of {len(payload)} bytes is too large for a descriptor socket")
    return _head.pack(kind, call_id) + payload


def close_descriptors(descriptors: Iterable[int]) -> None:
    """Closes all of them; one that is closed already does not stop the rest."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


class PacketSocket:
    """A connected socket on the loop. It owns the socket, and the queued descriptors that it may close.

    `on_packet(kind, call_id, payload, descriptors)` owns the received descriptors; errors of the protocol that it
    raises close the socket. `on_lost(error)` is called once, when the socket is closed for whatever reason.
    One of the two ends must have `reads_always`, or both could wait for the other to read.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        on_packet: Callable[[int, int, bytes, list[int]], None],
        on_lost: Callable[[ZerohopError | None], None],
        *,
        reads_always: bool = False,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._on_packet = on_packet
        self._on_lost = on_lost
        # Packet, its descriptors, and whether they are closed once it is sent.
        self._queue: deque[tuple[bytes, Sequence[int], bool]] = deque()
        self._reads_always = reads_always
        self._reading = False
        self.closed = False

    def start(self) -> None:
        """Begins to receive."""
        if not self.closed:
            self._read(on=True)

    def send(self, data: bytes, descriptors: Sequence[int] = (), *, close: bool = False) -> None:
        """Sends a packet, or queues it. With `close` the descriptors are closed after it was sent, or cannot be.

        Raises `Overloaded`: the queue is full, or there are too many descriptors in flight; nothing was sent then.
        """
        if self.closed:
            self._done_with(descriptors, close=close)
        elif self._queue:
            if len(self._queue) >= 2 * MAX_QUEUED_PACKETS:
                self._done_with(descriptors, close=close)
                raise Overloaded("the peer does not take its packets")
            self._queue.append((data, descriptors, close))
            self._read(on=self._reads_always or len(self._queue) < MAX_QUEUED_PACKETS)
        elif not self._send_now(data, descriptors, close=close):
            self._queue.append((data, descriptors, close))
            self._loop.add_writer(self._sock, self._writable)

    def _send_now(self, data: bytes, descriptors: Sequence[int], *, close: bool) -> bool:
        """False when the socket is full."""
        rights = (
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        )
        try:
            self._sock.sendmsg([data], rights, socket.MSG_NOSIGNAL)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self._done_with(descriptors, close=close)
            if error.errno in _NO_DESCRIPTORS:
                raise Overloaded("too many descriptors are on their way") from error
            if error.errno == errno.EBADF and descriptors and self._sock.fileno() >= 0:
                raise  # a defect of the caller, who gave a closed descriptor
            self.close()
            return True
        self._done_with(descriptors, close=close)
        return True

    def _writable(self) -> None:
        while self._queue and not self.closed:
            first = self._queue.popleft()  # before it is sent: its descriptors are closed once only
            data, descriptors, close = first
            try:
                if not self._send_now(data, descriptors, close=close):
                    self._queue.appendleft(first)
                    return
            except Overloaded as error:
                # Its answer cannot be sent any more: the end of the connection tells the peer.
                self.close(error)
                return
        if not self.closed:
            self._loop.remove_writer(self._sock)
            self._read(on=True)

    def _readable(self) -> None:
        for _ in range(_PACKETS_PER_TURN):
            if not self._reading:
                return
            try:
                data, ancillary, flags, _ = self._sock.recvmsg(
                    MAX_PACKET_BYTES, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT
                )
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self.close()
                return
            descriptors = _descriptors_of(ancillary)
            try:
                self._take(data, descriptors, flags)
            except ZerohopError as error:
                self.close(error)
                return

    def _take(self, data: bytes, descriptors: list[int], flags: int) -> None:
        if flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC):
            close_descriptors(descriptors)
            raise ProtocolViolation("a packet arrived without all of its descriptors or bytes")
        if not data and not descriptors:
            self.close()
        elif len(data) < _head.size:
            close_descriptors(descriptors)
            raise ProtocolViolation("not a packet")
        else:
            kind, call_id = _head.unpack_from(data)
            self._on_packet(kind, call_id, data[_head.size :], descriptors)

    def _read(self, *, on: bool) -> None:
        if on and not self._reading:
            self._loop.add_reader(self._sock, self._readable)
        elif not on and self._reading:
            self._loop.remove_reader(self._sock)
        self._reading = on

    def _done_with(self, descriptors: Sequence[int], *, close: bool) -> None:
        if close:
            close_descriptors(descriptors)

    def close(self, error: ZerohopError | None = None) -> None:
        """Closes the socket, and drops what was not sent."""
        if self.closed:
            return
        self.closed = True
        self._read(on=False)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        queue, self._queue = self._queue, deque()
        for _, descriptors, close in queue:
            self._done_with(descriptors, close=close)
        self._on_lost(error)


def _descriptors_of(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return found.tolist()

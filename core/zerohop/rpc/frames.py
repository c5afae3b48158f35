"""The frame codec of the internal RPC: bytes in, frames out, no I/O.

A frame is `u32 length | u8 kind | u32 call id | payload`, big-endian; `length` counts everything after itself.

Control frames are handed out whole, so their size is bounded (`max_payload_bytes`): a peer can make us buffer one
control frame and no more. The payload of a DATA frame is handed out in the pieces in which it arrives, as views of
the received bytes: bulk bytes are neither collected nor copied here, and how a sender cuts them has no meaning.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum

from zerohop.errors import ProtocolViolation

__all__ = [
    "HEADER_BYTES",
    "MAX_DATA_BYTES",
    "MAX_PAYLOAD_BYTES",
    "Frame",
    "FrameDecoder",
    "FrameKind",
    "frame",
    "frame_header",
]

_HEADER = struct.Struct(">IBI")
_unpack_header = _HEADER.unpack_from
_pack_header = _HEADER.pack
HEADER_BYTES = _HEADER.size
_COUNTED = 5
"""What `length` counts besides the payload: kind and call id."""

MAX_PAYLOAD_BYTES = 16 << 20
"""Of a control frame. The largest honest ones are manifests of 10,000 parts and listing pages, a few MiB."""

MAX_DATA_BYTES = 1 << 30
"""Of a DATA frame: costs no memory, the bound only catches a header that is really something else."""


class FrameKind(IntEnum):
    """What a frame is. Numbers are part of the protocol and are never reused."""

    HELLO = 1
    CHALLENGE = 2
    PROOF = 3
    REQUEST = 4
    RESPONSE = 5
    ERROR = 6
    CANCEL = 7
    DATA = 8
    END = 9
    NOTICE = 10
    """One-way message; only on descriptor sockets."""


Frame = tuple[int, int, bytes | memoryview]
"""(kind, call id, payload): a plain tuple, since one is made for every message. Only DATA carries a memoryview."""

_DATA = int(FrameKind.DATA)
_KNOWN = frozenset(int(kind) for kind in FrameKind)


def frame_header(kind: int, call_id: int, payload_bytes: int) -> bytes:
    """The header of a frame whose payload, of `payload_bytes`, is written right after it."""
    return _pack_header(payload_bytes + _COUNTED, kind, call_id)


def frame(kind: int, call_id: int, payload: bytes = b"") -> bytes:
    """A whole control frame."""
    return _pack_header(len(payload) + _COUNTED, kind, call_id) + payload


class FrameDecoder:
    """Cuts a byte stream into frames. `feed` takes bytes, `frames` gives what is complete.

    The caller may leave the iteration early (a peer that does not read its answers gets no more of them); the rest
    is then given by the next call of `frames`.
    """

    def __init__(self, max_payload_bytes: int = MAX_PAYLOAD_BYTES) -> None:
        self.max_payload_bytes = max_payload_bytes
        # Unread input from `_pos` on. A bytearray only while one control frame is being collected: pieces of DATA are
        # views, and a bytearray with views on it cannot grow.
        self._buffer: bytes | bytearray | memoryview = b""
        self._pos = 0
        self._data_left = 0
        self._data_call = 0

    @property
    def buffered_bytes(self) -> int:
        """Bytes fed and not handed out yet."""
        return len(self._buffer) - self._pos

    @property
    def wanted_bytes(self) -> int:
        """How many bytes complete the header, the control frame or the DATA that has begun, once `frames` has given
        what there is. Who reads no more than these leaves what follows in the socket.
        """
        rest = len(self._buffer) - self._pos
        if self._data_left:
            return self._data_left
        if rest < HEADER_BYTES:
            return HEADER_BYTES - rest
        length: int = _unpack_header(self._buffer, self._pos)[0]
        return length + 4 - rest

    def take_data(self) -> tuple[int, int]:
        """Call id and size of the DATA payload that comes next, of which nothing was fed; size 0 if none does.

        Whoever takes it reads it from the socket, and feeds what comes after it.
        """
        left, self._data_left = self._data_left, 0
        return self._data_call, left

    def feed(self, data: bytes | memoryview) -> None:
        """Adds received bytes; of a view, pieces of DATA are views too. It must stay as it is."""
        rest = len(self._buffer) - self._pos
        if rest == 0:
            self._buffer, self._pos = data, 0
        elif isinstance(self._buffer, bytearray):
            self._buffer += data
        elif rest < HEADER_BYTES:
            self._buffer, self._pos = b"".join((self._buffer[self._pos :], data)), 0
        else:
            self._buffer, self._pos = bytearray(memoryview(self._buffer)[self._pos :]), 0
            self._buffer += data

    def frames(self) -> Iterator[Frame]:
        """Frames that are complete, and pieces of DATA. Raises `ProtocolViolation` on what cannot be a frame."""
        while True:
            buffer, pos = self._buffer, self._pos
            size = len(buffer)
            if pos == size:
                self._buffer, self._pos = b"", 0  # lets go of the memory that it was received in
                return
            if self._data_left:
                yield self._data_piece(pos, size)
                continue
            if size - pos < HEADER_BYTES:
                return
            length, kind, call_id = _unpack_header(buffer, pos)
            if kind == _DATA:
                self._begin_data(length, call_id, pos)
                continue
            if kind not in _KNOWN or not _COUNTED <= length <= self.max_payload_bytes + _COUNTED:
                raise ProtocolViolation(f"not a frame: kind {kind}, length {length}")
            end = pos + 4 + length
            if end > size:
                return
            if isinstance(buffer, bytearray):
                buffer = self._buffer = bytes(buffer)
            self._pos = end
            yield kind, call_id, bytes(buffer[pos + HEADER_BYTES : end])

    def _begin_data(self, length: int, call_id: int, pos: int) -> None:
        if not _COUNTED <= length <= MAX_DATA_BYTES + _COUNTED:
            raise ProtocolViolation(f"not a DATA frame: length {length}")
        if type(self._buffer) is bytearray:
            self._buffer = bytes(self._buffer)
        self._data_left, self._data_call = length - _COUNTED, call_id
        self._pos = pos + HEADER_BYTES

    def _data_piece(self, pos: int, size: int) -> Frame:
        end = min(size, pos + self._data_left)
        self._data_left -= end - pos
        self._pos = end
        return _DATA, self._data_call, memoryview(self._buffer)[pos:end]

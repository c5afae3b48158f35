"""Bytes between workers, in pieces that carry their checksum: `length u32, xxh3_64 u64` (big-endian), then the bytes.

What another worker sent is kept for long and handed out often, so it is not left to the 16 bits of TCP. The checksum is
seeded with the number of bytes before it, which finds pieces that are lost or come twice as well.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence

import xxhash

from zerohop.errors import Corrupt
from zerohop_worker.files import Buffer
from zerohop_worker.receiving import ByteStream

__all__ = ["MAX_PIECE_BYTES", "CheckedStream", "PieceHeads"]

MAX_PIECE_BYTES = 1 << 20
"""Held back by the receiver until it is verified. No sender has larger ones in hand."""

_HEAD = struct.Struct(">IQ")


class PieceHeads:
    """The sender's side: what goes before each piece of one stream."""

    def __init__(self) -> None:
        self._sent_bytes = 0

    def head(self, piece: Sequence[Buffer]) -> bytes:
        """For a piece that is these buffers, one after the other: not empty, and at most `MAX_PIECE_BYTES`."""
        digest, size_bytes = xxhash.xxh3_64(seed=self._sent_bytes), 0
        for buffer in piece:
            digest.update(buffer)
            size_bytes += len(buffer)
        assert 0 < size_bytes <= MAX_PIECE_BYTES, size_bytes
        self._sent_bytes += size_bytes
        return _HEAD.pack(size_bytes, digest.intdigest())


class CheckedStream:
    """The receiver's side: gives the bytes of the pieces, each only after it was verified. Copies nothing."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._verified: deque[memoryview] = deque()
        self._verified_bytes = 0  # of all pieces so far

    async def read(self, max_bytes: int = MAX_PIECE_BYTES) -> memoryview:
        """The next bytes; empty at the end. Raises Corrupt, and what the stream raises."""
        if not self._verified:
            await self._next_piece()
        if not self._verified:
            return memoryview(b"")
        chunk = self._verified.popleft()
        if len(chunk) > max_bytes:
            self._verified.appendleft(chunk[max_bytes:])
            chunk = chunk[:max_bytes]
        return chunk

    async def _next_piece(self) -> None:
        head = b"".join(await self._exactly(_HEAD.size))
        if not head:
            return
        if len(head) < _HEAD.size:
            raise Corrupt("a stream between workers ends within the head of a piece")
        size_bytes, checksum = _HEAD.unpack(head)
        if not 0 < size_bytes <= MAX_PIECE_BYTES:
            raise Corrupt(f"a piece of {size_bytes} bytes in a stream between workers")
        chunks = await self._exactly(size_bytes)
        digest = xxhash.xxh3_64(seed=self._verified_bytes)
        for chunk in chunks:
            digest.update(chunk)
        if sum(map(len, chunks)) != size_bytes or digest.intdigest() != checksum:
            raise Corrupt(
                f"a piece of {size_bytes} bytes at byte {self._verified_bytes} of a stream between workers does not "
                "match its checksum"
            )
        self._verified.extend(chunks)
        self._verified_bytes += size_bytes

    async def _exactly(self, size_bytes: int) -> list[memoryview]:
        """So many bytes, fewer at the end of the stream."""
        chunks = []
        while size_bytes and (chunk := await self._stream.read(size_bytes)):
            chunks.append(chunk)
            size_bytes -= len(chunk)
        return chunks

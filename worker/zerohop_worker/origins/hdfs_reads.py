"""Reads from HDFS. What a file consists of is asked between two looks at it, so that the bytes are those of the file
that was found; blocks of a file that is replaced meanwhile are other blocks, and are not read in its stead.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

from hdfs_native import FileReader

from zerohop.errors import InvalidRequest, KeyNotFound, OriginChanged, UnderStoreFailed
from zerohop_worker.origins.hdfs_files import file_object, folder_object, validator_of
from zerohop_worker.origins.interface import OriginObject

if TYPE_CHECKING:
    from zerohop_worker.origins.hdfs import HdfsOrigin

__all__ = ["HdfsRead"]

_PIECE_BYTES: Final = 1 << 20
_PACKETS: Final = 16
"""Of 64 KiB, as data nodes send them; the first one goes alone."""
_LOOKS: Final = 3
"""At a file that changes while we look; one that is written to all the time never rests."""


class HdfsRead:
    """See `OpenedRead`. Holds one of the origin's `bodies` until it is closed."""

    found: OriginObject

    def __init__(self, origin: HdfsOrigin, key: str) -> None:
        self._origin = origin
        self._key = key
        self._reader: FileReader | None = None
        self._holds = False
        self.first = 0
        self.length = 0

    async def look(self) -> None:
        """Finds the object, without its bytes. Raises KeyNotFound."""
        await self._found(self._look)

    async def open(self) -> None:
        """Finds the object and its blocks. Raises KeyNotFound."""
        await self._origin.bodies.acquire()
        self._holds = True
        await self._found(self._open)

    async def _found(self, call: Callable[[str], None]) -> None:
        try:
            path = self._origin.paths.of(self._key)
            await self._origin.calls.run(f"open {self._key}", call, path)
        except (FileNotFoundError, InvalidRequest):
            raise KeyNotFound(f"the origin has no object {self._key}") from None

    def _look(self, path: str) -> None:
        client = self._origin.calls.client
        status = client.get_file_info(path)
        if status.isdir != self._key.endswith("/"):
            raise FileNotFoundError
        if status.isdir:
            if next(iter(client.list_status(path)), None) is not None:
                raise FileNotFoundError
            self.found = folder_object(self._key, status)
        else:
            self.found = file_object(self._key, status)

    def _open(self, path: str) -> None:
        self._look(path)
        for _ in range(_LOOKS):
            before = self.found
            if not before.validator.size_bytes:
                return
            reader = self._origin.calls.client.read(path)
            self._look(path)
            if self.found == before and len(reader) == before.validator.size_bytes:
                self._reader = reader
                return
        raise UnderStoreFailed(f"{self._key} at the origin is being written")

    def narrow(self, offset: int, length: int | None) -> None:
        """Says which bytes are wanted. Raises InvalidRequest."""
        size_bytes = self.found.validator.size_bytes
        self.first = max(0, size_bytes + offset) if offset < 0 else offset
        if self.first and self.first >= size_bytes:
            raise InvalidRequest(f"{self._key} at the origin ends at {size_bytes}, not beyond {self.first}")
        most = size_bytes - self.first
        self.length = most if length is None or offset < 0 else min(length, most)

    def at_hand(self, max_bytes: int) -> bytes:  # noqa: ARG002 - the interface's
        """See `OpenedRead.at_hand`: nothing comes before it is read."""
        return b""

    async def pieces(self) -> AsyncIterator[bytes]:
        """See `OpenedRead.pieces`. The last one comes only after a look has shown that the file is still the same."""
        if not self.length or self._reader is None:
            return
        stream = self._reader.read_range_stream(self.first, self.length)
        left, packets = self.length, 1
        while left:
            data = await self._next(stream, packets)
            left -= len(data)
            packets = _PACKETS
            if not data or left < 0:
                raise UnderStoreFailed(
                    f"{self._key} ends {abs(left)} bytes too {'late' if left < 0 else 'early'}"
                )
            if not left:
                await self._verify()
            for at in range(0, len(data), _PIECE_BYTES):
                yield data[at : at + _PIECE_BYTES]

    async def _next(self, stream: Iterator[bytes], packets: int) -> bytes:
        try:
            return await self._origin.calls.run(f"read {self._key}", _joined, stream, packets)
        except (UnderStoreFailed, FileNotFoundError) as error:
            # The blocks of a file that was deleted or replaced go soon after it.
            await self._verify()
            raise UnderStoreFailed(f"cannot read {self._key}: {error}") from error

    async def _verify(self) -> None:
        changed = OriginChanged(f"{self._key} was changed at the origin while it was read")
        path = self._origin.paths.of(self._key)
        try:
            status = await self._origin.calls.run(
                f"look at {self._key}", self._origin.calls.client.get_file_info, path
            )
        except FileNotFoundError:
            raise changed from None
        if status.isdir or validator_of(status) != self.found.validator:
            raise changed

    async def close(self) -> None:
        """See `OpenedRead.close`."""
        self._reader = None
        if self._holds:
            self._holds = False
            self._origin.bodies.release()


def _joined(stream: Iterator[bytes], packets: int) -> bytes:
    return b"".join(islice(stream, packets))

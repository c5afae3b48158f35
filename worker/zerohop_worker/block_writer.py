"""One block on its way into the cache: staged, summed, sealed, and moved to the next tier when one fails."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import xxhash

from zerohop.errors import OutOfSpace
from zerohop_worker.cache_copy import BlockId, Copy, Incoming
from zerohop_worker.files import Buffer, is_full

if TYPE_CHECKING:
    from zerohop_worker.block_store import BlockStore
    from zerohop_worker.tier_folder import TierFolder

__all__ = ["BlockWriter"]

_log = logging.getLogger(__name__)
_COPY_BYTES = 1 << 20
_IN_PLACE_BYTES = 256 << 10
"""Up to this much is written to memory on the loop, as it comes from a socket in one read: it takes 20-100 us, and a
thread 100 to reach.
"""


class _Staged:
    """The unfinished file of a block in one tier; it is created with the first write."""

    def __init__(self, folder: TierFolder, incoming: Incoming) -> None:
        self.folder = folder
        self.incoming = incoming
        self.path: Path | None = None
        self.fd = -1

    def create(self) -> bool:
        """Makes the file, if there is none; whether it did."""
        if self.path is not None:
            return False
        self.path, self.fd = self.folder.stage()
        return True

    def close(self) -> None:
        """Closes the writable descriptor."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)

    def remove(self) -> None:
        """Closes and unlinks it."""
        self.close()
        if self.path is not None:
            try:
                self.folder.files.unlink(self.path)
            except OSError as error:  # the next start empties the staging folder
                _log.warning("cannot remove %s: %s", self.path, error)


class BlockWriter:
    """Calls follow one another, from one task; `finish` or `abort` is the last. Got from `BlockStore.writer`.

    `durable`: the block is on disk, name and all, when `finish` returns, and only tiers on disk are used.
    """

    def __init__(
        self, store: BlockStore, incoming: Incoming, size_bytes: int, *, durable: bool, readable: bool
    ) -> None:
        self._store = store
        self._staged: _Staged | None = _Staged(store.folders[incoming.tier], incoming)
        self.block: BlockId = incoming.block
        self._size_limit = size_bytes
        self._durable, self._readable = durable, readable
        self._digest = xxhash.xxh3_64()
        self.size_bytes = 0  # what was written
        # With `readable`: descriptors of the staged files, the current one last. Their user closes them.
        self.read_fds: list[int] = []

    def in_place(self, size_bytes: int) -> bool:
        """Whether so many bytes are written at once, without waiting for a thread."""
        return self._staged is not None and self._staged.folder.volatile and size_bytes <= _IN_PLACE_BYTES

    async def write(self, buffers: Sequence[Buffer]) -> None:
        """Appends. Raises OutOfSpace when no tier can take the block: then `abort`."""
        while True:
            assert self._staged is not None
            try:
                size_bytes = sum(len(buffer) for buffer in buffers)
                if self.in_place(size_bytes):
                    self._write(self._staged, buffers)
                else:
                    await self._store.pool.run(self._write, self._staged, buffers)
                break
            except OSError as error:
                await self._relocate(error)
        self.size_bytes += size_bytes
        assert self.size_bytes <= self._size_limit

    def _write(self, staged: _Staged, buffers: Sequence[Buffer]) -> None:
        self._create(staged)
        staged.folder.files.write(staged.fd, buffers)
        for buffer in buffers:
            self._digest.update(buffer)

    def _create(self, staged: _Staged) -> None:
        if staged.create():
            self._let_read(staged)

    def _let_read(self, staged: _Staged) -> None:
        if self._readable:
            assert staged.path is not None
            self.read_fds.append(staged.folder.files.open(staged.path))

    async def _relocate(self, error: OSError) -> None:
        """The tier failed: goes on in the next one, with what was written so far.

        Raises OutOfSpace when none is left; `staged_bytes` can still be read then. Ends: each turn pauses a tier.
        """
        old = self._staged
        assert old is not None
        failed = old.incoming.tier
        while True:
            _log.warning("tier %s cannot take a block: %s", failed, error)
            self._store.index.tier_failed(failed, self._store.now(), is_full=is_full(error))
            incoming = self._store.place(
                self.block, self._size_limit, durable=self._durable, unpersisted=old.incoming.unpersisted
            )
            if incoming is None:
                raise OutOfSpace("no tier of the cache can take the block") from error
            new = _Staged(self._store.folders[incoming.tier], incoming)
            try:
                await self._store.pool.run(self._copy_prefix, old, new)
            except BaseException as again:
                new.remove()
                self._store.index.abort(incoming)
                if not isinstance(again, OSError):
                    raise
                error, failed = again, incoming.tier
                continue
            self._staged = new
            old.remove()
            self._store.index.abort(old.incoming)
            return

    def _copy_prefix(self, old: _Staged, new: _Staged) -> None:
        new.create()
        for data in self._read_staged(old):
            new.folder.files.write(new.fd, [data])
        self._let_read(new)  # not before: readers go on where they are

    def _read_staged(self, staged: _Staged) -> Iterator[bytes]:
        """What was written so far. Raises OSError when it is not, which the last piece is held back for."""
        if staged.path is None or not self.size_bytes:
            return
        fd = staged.folder.files.open(staged.path)
        try:
            offset, digest = 0, xxhash.xxh3_64()
            while offset < self.size_bytes:
                data = staged.folder.files.read(fd, min(_COPY_BYTES, self.size_bytes - offset), offset)
                if not data:
                    raise OSError("a staged block has become shorter")
                offset += len(data)
                digest.update(data)
                # After a write or a sync that failed the system may have dropped the pages, and read others.
                if offset == self.size_bytes and digest.intdigest() != self._digest.intdigest():
                    raise OSError("a staged block reads as other bytes than were written")
                yield data
        finally:
            os.close(fd)

    async def staged_bytes(self) -> list[bytes]:
        """What was written so far: at most a block. Raises OSError."""
        assert self._staged is not None
        staged = self._staged
        return await self._store.pool.run(lambda: list(self._read_staged(staged)))

    async def finish(self) -> Copy | None:
        """Seals the block. None when its content was deleted meanwhile. Raises OutOfSpace: then `abort`."""
        checksum = self._digest.intdigest()
        while True:
            assert self._staged is not None
            await self._store.unlinked(self._staged.incoming.tier, self.block)
            try:
                if self._staged.folder.volatile:
                    self._seal(self._staged, checksum)
                else:
                    await self._store.pool.run(self._seal, self._staged, checksum)
                break
            except OSError as error:
                await self._relocate(error)
        staged, self._staged = self._staged, None
        copy = self._store.index.commit(staged.incoming, self.size_bytes, checksum, self._store.now())
        if copy is None:
            staged.folder.unlink_block(self.block, checksum)
        self._store.settle()
        return copy

    def _seal(self, staged: _Staged, checksum: int) -> None:
        self._create(staged)
        assert staged.path is not None
        if self._durable and staged.fd >= 0:
            staged.folder.files.sync(staged.fd)
        staged.close()
        staged.folder.seal(staged.path, self.block, checksum, durable=self._durable)

    async def abort(self) -> None:
        """Leaves nothing. Does nothing after `finish`."""
        if self._staged is not None:
            staged, self._staged = self._staged, None
            staged.remove()
            self._store.index.abort(staged.incoming)

"""The cache: the index's decisions carried out on the folders of the tiers.

Concurrency: everything here runs on the event loop, and the index changes between awaits only, so a copy found by
`lookup` is in the index until the next await. Files are read and written in the pool's threads; opening, and
unlinking on tmpfs, is done in place (2 us, and 60 us for 4 MiB, measured; a thread costs as much to reach).
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections import Counter
from collections.abc import AsyncGenerator, Hashable, Mapping

import xxhash

from zerohop.clock import Clock
from zerohop.errors import ContentLost, Overloaded, UnderStoreFailed
from zerohop_worker.block_writer import BlockWriter
from zerohop_worker.cache_copy import BlockId, Copy, Incoming, Move
from zerohop_worker.cache_index import CacheIndex
from zerohop_worker.files import is_full
from zerohop_worker.pool import ThreadPool
from zerohop_worker.tier_folder import TierFolder

__all__ = ["BlockStore"]

_log = logging.getLogger(__name__)
_COPY_BYTES = 1 << 20
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Of the process or the machine: they say nothing about the file."""
_MAX_MOVES = 2
"""Moves between tiers at a time: they must not starve the readers of threads and disk."""


class BlockStore:
    """`folders` by tier name, for each tier of the index."""

    def __init__(
        self, index: CacheIndex, folders: Mapping[str, TierFolder], pool: ThreadPool, clock: Clock
    ) -> None:
        self.index = index
        self.folders = folders
        self.pool = pool
        self._clock = clock
        self._disk_tiers = [name for name in index.tiers if not folders[name].volatile]
        self._checks: dict[Copy, asyncio.Task[bool]] = {}  # verifications under way
        self._unlinks: dict[tuple[str, BlockId], asyncio.Task[None]] = {}  # under way, by tier and block
        self._moves: set[asyncio.Task[None]] = set()
        self.hits: Counter[str] = Counter()  # uses by where the bytes came from
        self.corrupt_blocks = 0

    def now(self) -> float:
        """Seconds on the clock that the index is told."""
        return self._clock.monotonic_s()

    # ------------------------------------------------------------------------------------------- reading

    def lookup(self, block: BlockId) -> Copy | None:
        """The fastest copy that may be used as it is: one that has been verified since it was written or found."""
        copy = self.index.find(block)
        return copy if copy is not None and copy.verified else None

    async def ready(self, block: BlockId) -> Copy | None:
        """As `lookup`, but verifies a copy that was not read yet since the start; drops those that are damaged.

        Raises as `unreadable`.
        """
        while (copy := self.index.find(block)) is not None and not copy.verified:
            await self.verify(copy)
        return copy

    async def verify(self, copy: Copy) -> bool:
        """Reads the file against its checksum; drops and counts it if it is damaged. One check for all who ask.

        Raises as `unreadable`.
        """
        task = self._checks.get(copy)
        if task is None:
            task = self._checks[copy] = asyncio.create_task(self._verify(copy))
            task.add_done_callback(_seen)
        return await asyncio.shield(task)

    async def _verify(self, copy: Copy) -> bool:
        try:
            intact = await self.pool.run(self.folders[copy.tier].is_intact, copy)
        except OSError as error:
            self.unreadable(copy, error)
            return False
        finally:
            del self._checks[copy]
        copy.verified = intact
        if not intact:
            self.damaged(copy)
        return intact

    def open(self, copy: Copy) -> int | None:
        """A read-only descriptor; None when the file is damaged, and then it is no longer in the cache.

        Raises as `unreadable`.
        """
        try:
            return self.folders[copy.tier].open(copy)
        except OSError as error:
            self.unreadable(copy, error)
            return None

    async def block_bytes(self, block: BlockId) -> AsyncGenerator[bytes, None]:
        """All bytes of a cached block, in pieces. Raises ContentLost when there is no sound copy.

        Raises as `unreadable`, too.
        """
        copy = await self.ready(block)
        fd = self.open(copy) if copy is not None else None
        if copy is None or fd is None:
            raise ContentLost(f"block {block[1]} of content {block[0].hex()} is gone")
        try:
            offset = 0
            while offset < copy.size_bytes:
                try:
                    data = await self.pool.run(os.pread, fd, _COPY_BYTES, offset)
                except OSError as error:
                    self.unreadable(copy, error)
                    data = b""
                if not data:
                    raise ContentLost(f"block {block[1]} of content {block[0].hex()} is short")
                offset += len(data)
                yield data
        finally:
            os.close(fd)

    def unreadable(self, copy: Copy, error: OSError) -> None:
        """The copy cannot be read: drops it, unless it may be read another time and that matters.

        Raises Overloaded for want of descriptors or memory, and UnderStoreFailed for a copy that may be the only one
        there is: its file stays, whatever the disk says today. One that is gone or of another size is damaged.
        """
        _log.warning("a block in tier %s cannot be read: %s", copy.tier, error)
        if error.errno in _SHORTAGES:
            raise Overloaded(f"a block cannot be opened now: {error.strerror}") from error
        if copy.unpersisted and error.errno not in (None, errno.ENOENT):
            raise UnderStoreFailed(f"an unpersisted block cannot be read now: {error}") from error
        self.damaged(copy)

    def damaged(self, copy: Copy) -> None:
        """Its bytes are not what they should be: drops and counts it."""
        if not copy.gone:
            self.corrupt_blocks += 1
            _log.warning(
                "block %d of %s in tier %s is damaged: dropped", copy.block[1], copy.block[0].hex(), copy.tier
            )
            self.index.drop(copy)
            self.settle()

    def used(self, copy: Copy) -> None:
        """Counts a use of the block."""
        self.hits[copy.tier] += 1
        self.index.touch(copy, self.now())
        self._start_moves()

    def promote(self, block: BlockId) -> None:
        """A copy of the block in the fastest tier is wanted, if it has one in another."""
        copy = self.lookup(block)
        if copy is not None:
            self.index.promote(copy)
            self._start_moves()

    def reported(self, holder: Hashable, block: BlockId) -> None:
        """A holder of a descriptor reports that it has read from it."""
        copy = self.index.holds.used(holder, block)
        if copy is not None:
            self.used(copy)

    # ------------------------------------------------------------------------------------------- writing

    def place(self, block: BlockId, size_bytes: int, *, durable: bool, unpersisted: bool) -> Incoming | None:
        """Room for a block; the files that had to go for it are on their way out."""
        incoming = self.index.place(
            block,
            size_bytes,
            now=self.now(),
            tiers=self._disk_tiers if durable else None,
            unpersisted=unpersisted,
        )
        self.settle()
        return incoming

    def writer(
        self,
        block: BlockId,
        size_bytes: int,
        *,
        durable: bool = False,
        unpersisted: bool = False,
        readable: bool = False,
    ) -> BlockWriter | None:
        """To write a block of at most `size_bytes`; None when no tier has room. `readable`: before it is sealed."""
        incoming = self.place(block, size_bytes, durable=durable, unpersisted=unpersisted)
        if incoming is None:
            return None
        return BlockWriter(self, incoming, size_bytes, durable=durable, readable=readable)

    def share_out(self, quotas: Mapping[bytes, int], workers: int) -> None:
        """Mounts may take so many bytes of all caches of the cluster, which has so many workers."""
        shares = {mount_id: quota // max(1, workers) for mount_id, quota in quotas.items()}
        if shares != self.index.shares.shares:
            copies = [copy for tier in self.index.tiers.values() for copy in tier.copies.values()]
            self.index.shares.set(shares, copies)

    # ------------------------------------------------------------------------------- carrying out instructions

    def settle(self) -> None:
        """Unlinks what the index has let go, and starts the moves that it asks for."""
        for copy in self.index.take_drops():
            folder = self.folders[copy.tier]
            if folder.volatile:
                self._unlink(folder, copy)
            else:
                key = (copy.tier, copy.block)
                self._unlinks[key] = asyncio.create_task(self._unlink_later(copy, self._unlinks.get(key)))
        self._start_moves()

    def _unlink(self, folder: TierFolder, copy: Copy) -> None:
        try:
            folder.unlink(copy)
        except OSError as error:
            _log.warning("cannot unlink a block in tier %s: %s", copy.tier, error)

    async def _unlink_later(self, copy: Copy, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None:
            await asyncio.wait((earlier,))
        await self.pool.run(self._unlink, self.folders[copy.tier], copy)
        key = (copy.tier, copy.block)
        if self._unlinks.get(key) is asyncio.current_task():
            del self._unlinks[key]

    async def unlinked(self, tier: str, block: BlockId) -> None:
        """Returns when no unlink of that block is under way: a new file would have the same name."""
        while (task := self._unlinks.get((tier, block))) is not None:
            await asyncio.shield(task)

    def _start_moves(self) -> None:
        while len(self._moves) < _MAX_MOVES and (move := self.index.take_move(self.now())) is not None:
            task = asyncio.create_task(self._carry_out(move))
            self._moves.add(task)
            task.add_done_callback(self._moves.discard)
        if self.index.has_drops:
            self.settle()

    async def _carry_out(self, move: Move) -> None:
        copy, source, target = move.copy, self.folders[move.copy.tier], self.folders[move.target.tier]
        done = False
        try:
            await self.unlinked(target.name, copy.block)
            done = await self.pool.run(_copy_block, source, target, copy)
        except OSError as error:
            _log.warning("cannot move a block from tier %s to %s: %s", source.name, target.name, error)
            self.index.tier_failed(target.name, self.now(), is_full=is_full(error))
        else:
            if not done:
                self.damaged(copy)
        finally:
            new = self.index.moved(move, done=done, now=self.now())
        if done and new is None:
            target.unlink_block(copy.block, copy.checksum)
        asyncio.get_running_loop().call_soon(self.settle)

    async def quiet(self) -> None:
        """Returns when no move, check or unlink is under way."""
        while tasks := [*self._moves, *self._checks.values(), *self._unlinks.values()]:
            await asyncio.wait(tasks)
            await asyncio.sleep(0)


def _seen(check: asyncio.Task[bool]) -> None:
    """Whoever waits has what a check raised; with nobody left it is of no interest."""
    if not check.cancelled():
        check.exception()


def _copy_block(source: TierFolder, target: TierFolder, copy: Copy) -> bool:
    """Copies a block's file between tiers, verifying it on the way. False: the bytes read are not the block's."""
    staged, written = target.stage()
    sealed = False
    try:
        read_fd = source.open(copy)
        try:
            digest = xxhash.xxh3_64()
            offset = 0
            while data := source.files.read(read_fd, _COPY_BYTES, offset):
                target.files.write(written, [data])
                digest.update(data)
                offset += len(data)
        finally:
            os.close(read_fd)
        if offset != copy.size_bytes or digest.intdigest() != copy.checksum:
            return False
        fd, written = written, -1
        os.close(fd)
        target.seal(staged, copy.block, copy.checksum, durable=False)
        sealed = True
        return True
    finally:
        if written >= 0:
            os.close(written)
        if not sealed:
            target.files.unlink(staged)

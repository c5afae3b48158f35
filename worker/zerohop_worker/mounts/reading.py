"""Reading a range of a mounted object: from the tiers, from runs on their way in, or straight from the origin."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from zerohop.errors import OutOfSpace
from zerohop_worker.block_store import BlockStore
from zerohop_worker.cached_bytes import FilePart, cached_bytes
from zerohop_worker.mounts.read_ahead import ReadAhead
from zerohop_worker.mounts.runs import MAX_RUN_BLOCKS, Run, Runs, Target

__all__ = ["MountedReading"]

_MAX_AHEAD_RUNS = 16
"""Runs ahead of readers at a time, over all objects: the slots are for those who wait."""

_NEXT_RUN_AFTER_BLOCKS = 4
"""So far into a run the next one begins: its first byte is a round trip away, and two connections to a far origin
bring more than one. A reader who leaves at once costs no second request.
"""


class MountedReading:
    """The ladder of sources, with one decision for each block: cached, on its way or to be fetched, direct."""

    def __init__(self, store: BlockStore, runs: Runs) -> None:
        self._store = store
        self._runs = runs
        self._read_ahead = ReadAhead()
        self._ahead: set[Run] = set()

    async def read(
        self,
        target: Target,
        offset: int,
        length: int,
        *,
        cache: bool,
        for_worker: bool = False,
        more_bytes: int = 0,
        as_files: bool = False,
    ) -> AsyncGenerator[tuple[str, bytes | memoryview | FilePart], None]:
        """Exactly the bytes [offset, offset + length), in pieces with their source ("MEM", ..., "PEER", "UNDER").

        Without `cache`, what has to be fetched leaves nothing behind. `for_worker`: another worker misses them, so no
        worker is asked for what is missing here. `more_bytes`: the reader will ask for so many after these. `as_files`:
        as in `Reading.read`. Raises as `MountedSources.read`; never ends short.
        """
        end = offset + length
        wanted = min(end + more_bytes, target.size_bytes)
        joined: set[Run] = set()
        try:
            if cache and not for_worker:
                self._fetch_ahead(target, offset, wanted)
            while offset < end:
                index = offset // target.block_size
                stop = min(end, (index + 1) * target.block_size)
                if cache and not for_worker:
                    self._begin_next_run(target, index, wanted, joined)
                block = self._block(
                    target,
                    offset,
                    stop,
                    wanted,
                    joined,
                    cache=cache,
                    for_worker=for_worker,
                    as_file=as_files,
                )
                async with aclosing(block) as pieces:
                    async for source, data in pieces:
                        offset += len(data)
                        yield source, data
        finally:
            for run in joined:
                run.left_by_reader(self._store.now())

    async def _block(
        self,
        target: Target,
        offset: int,
        stop: int,
        wanted: int,
        joined: set[Run],
        *,
        cache: bool,
        for_worker: bool,
        as_file: bool,
    ) -> AsyncGenerator[tuple[str, bytes | memoryview | FilePart], None]:
        """Bytes of one block. A source that gives out half-way is followed by the next, from the byte reached."""
        index = offset // target.block_size
        start = index * target.block_size
        while offset < stop and (copy := await self._store.ready((target.content, index))) is not None:
            block = cached_bytes(self._store, copy, offset - start, stop - start, as_file=as_file)
            async with aclosing(block) as cached:
                async for part in cached:
                    offset += len(part)
                    yield copy.tier, part
        if offset < stop and self._may_join(target, index, cache=cache, for_worker=for_worker):
            try:
                run = self._run(target, offset, wanted, cache=cache, ask_peers=not for_worker)
            except OutOfSpace:
                run = None  # no room to cache it: it is served all the same
            if run is not None:
                if run not in joined:
                    run.readers += 1
                    joined.add(run)
                incoming = run.blocks[index - run.first]
                try:
                    came = incoming.read(offset - start, stop - start, as_files=as_file)
                    async with aclosing(came) as fetched:
                        async for piece in fetched:
                            offset += len(piece)
                            yield incoming.source, piece
                except OutOfSpace:
                    pass
        if offset < stop:
            self._store.hits["UNDER"] += 1
            direct = self._runs.sources.read(
                target.ref, target.content, target.size_bytes, offset, stop, peer=None
            )
            async with aclosing(direct) as pieces:
                async for one in pieces:
                    yield one

    def _may_join(self, target: Target, index: int, *, cache: bool, for_worker: bool) -> bool:
        """Two workers whose views differ might wait for each other, if both waited for what the other asks for."""
        block = (target.content, index)
        if self._runs.find(block) is None:
            return cache
        return not (for_worker and self._runs.waits_for_peer(block))

    def _run(self, target: Target, offset: int, wanted: int, *, cache: bool, ask_peers: bool) -> Run | None:
        """The run that brings the block of `offset`: the one under way, or a new one up to `wanted`."""
        found = self._runs.find((target.content, offset // target.block_size))
        if found is not None:
            return found[0]
        return self._runs.start(target, offset, wanted, ask_peers=ask_peers) if cache else None

    def _begin_next_run(self, target: Target, index: int, wanted: int, joined: set[Run]) -> None:
        """Only a hint, as below; but of what the reader has said that it wants."""
        next_index = (index // MAX_RUN_BLOCKS + 1) * MAX_RUN_BLOCKS
        block = (target.content, next_index)
        if (
            index % MAX_RUN_BLOCKS < _NEXT_RUN_AFTER_BLOCKS
            or next_index * target.block_size >= wanted
            or self._runs.find(block) is not None
            or self._store.index.find(block) is not None
        ):
            return
        try:
            run = self._runs.start(target, next_index * target.block_size, wanted, ask_peers=True)
        except OutOfSpace:
            return
        run.readers += 1
        joined.add(run)

    def _fetch_ahead(self, target: Target, offset: int, end: int) -> None:
        """Only a hint: whatever is wrong, the blocks' own turn will tell."""
        last = (end - 1) // target.block_size
        wanted = self._read_ahead.blocks_ahead(target.content, offset // target.block_size, last)
        self._ahead = {run for run in self._ahead if not run.blocks[-1].done}
        index = last + 1
        while wanted and index * target.block_size < target.size_bytes and len(self._ahead) < _MAX_AHEAD_RUNS:
            block = (target.content, index)
            if self._runs.find(block) is None and self._store.index.find(block) is None:
                start = index * target.block_size
                try:
                    run = self._runs.start(
                        target,
                        start,
                        min(start + wanted * target.block_size, target.size_bytes),
                        ask_peers=True,
                    )
                except OutOfSpace:
                    return
                self._ahead.add(run)
                for number in range(len(run.blocks)):
                    self._read_ahead.fetched(target.content, index + number)
                return
            index += 1
            wanted -= 1

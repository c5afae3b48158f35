"""The requests of `zerohop.rpc.worker_api`, each handled by one method that hands it to the part that does it."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

import zerohop
from zerohop.clock import Clock
from zerohop.errors import InvalidRequest
from zerohop.model import block_size_of
from zerohop.rpc.call import Call, StreamInCall, StreamOutCall
from zerohop.rpc.master_api import Empty
from zerohop.rpc.server import RpcServer
from zerohop.rpc.worker_api import (
    CachedBytes,
    ContentPage,
    ContentWritten,
    DeleteContents,
    DiscardContents,
    GetCachedBytes,
    GetWorkerReport,
    ListContents,
    PinContents,
    ReadContent,
    ReadStarted,
    ReleaseReplicas,
    ReplicateContent,
    WorkerReport,
    WriteContent,
)
from zerohop_worker.block_store import BlockStore
from zerohop_worker.cached_bytes import FilePart
from zerohop_worker.checked_stream import PieceHeads
from zerohop_worker.contents import Contents
from zerohop_worker.mounts.reading import MountedReading
from zerohop_worker.mounts.runs import Target
from zerohop_worker.persisting import Persister
from zerohop_worker.reading import Reading, check_range
from zerohop_worker.replication import Replication
from zerohop_worker.understore.interface import UnderStore
from zerohop_worker.writing import Writing

__all__ = ["Service"]

_log = logging.getLogger(__name__)
_Pieces = AsyncGenerator[tuple[str, bytes | memoryview | FilePart], None]

_MAX_CONTENTS = 10_000
"""In one administrative request (see `worker_api`)."""


class Service:
    """Everything but the descriptors (`Lending`)."""

    def __init__(
        self,
        store: BlockStore,
        under_store: UnderStore,
        contents: Contents,
        persister: Persister,
        writing: Writing,
        reading: Reading,
        mounted: MountedReading,
        replication: Replication,
        clock: Clock,
    ) -> None:
        self._store = store
        self._under_store = under_store
        self._contents = contents
        self._persister = persister
        self._writing = writing
        self._reading = reading
        self._mounted = mounted
        self._replication = replication
        self._clock = clock
        self._started_ms = int(clock.now_s() * 1000)

    def serve(self, server: RpcServer) -> None:
        """Registers the handlers."""
        server.register_stream_in(WriteContent, self.write_content)
        server.register_stream_in(ReplicateContent, self._replication.replicate_content)
        server.register(ReleaseReplicas, self._replication.release_replicas)
        server.register_stream_out(ReadContent, self.read_content)
        server.register(DiscardContents, self.discard_contents)
        server.register(DeleteContents, self.delete_contents)
        server.register(ListContents, self.list_contents)
        server.register_sync(GetCachedBytes, self.get_cached_bytes)
        server.register_sync(PinContents, self.pin_contents)
        server.register_sync(GetWorkerReport, self.get_worker_report)

    async def write_content(self, request: WriteContent, call: StreamInCall) -> ContentWritten:
        """See `WriteContent`."""
        return await self._writing.write_content(request, call)

    async def read_content(self, request: ReadContent, call: StreamOutCall) -> None:
        """See `ReadContent`. The response waits for the first bytes, so that an error still has a place to go."""
        check_range(request.content_length, request.offset, request.length)
        if request.length == 0:
            call.respond(ReadStarted(length=0, source="UNDER"))
            return
        heads = PieceHeads() if request.for_worker else None
        as_files = heads is None and call.takes_files
        read = self._promoting if request.promote else self._pieces
        pieces_of_request = read(request, as_files=as_files)
        async with aclosing(pieces_of_request) as pieces:
            async for source, data in pieces:
                if not call.responded:
                    call.respond(ReadStarted(length=request.length, source=source))
                if isinstance(data, FilePart):
                    await data.send(call)
                    continue
                if heads is not None:
                    await call.write(heads.head([data]))
                await call.write(data)

    async def _promoting(self, request: ReadContent, *, as_files: bool) -> _Pieces:
        """As `_pieces`; each block of which bytes were read gets a copy in the fastest tier at once."""
        block_size, offset, promoted = block_size_of(request.content), request.offset, -1
        async with aclosing(self._pieces(request, as_files=as_files)) as pieces:
            async for source, data in pieces:
                yield source, data
                index = offset // block_size
                offset += len(data)
                if index != promoted:
                    promoted = index
                    self._store.promote((request.content, index))

    def _pieces(self, request: ReadContent, *, as_files: bool) -> _Pieces:
        if request.origin is not None:
            return self._mounted.read(
                Target(request.content, request.content_length, request.origin),
                request.offset,
                request.length,
                cache=request.cache,
                for_worker=request.for_worker,
                more_bytes=request.more_bytes,
                as_files=as_files,
            )
        return self._reading.read(
            request.content,
            request.content_length,
            request.offset,
            request.length,
            cache=request.cache,
            for_worker=request.for_worker,
            as_files=as_files,
        )

    async def discard_contents(self, request: DiscardContents, _call: Call) -> Empty:
        """See `DiscardContents`. Those of other sessions are left to the sweep."""
        for content in request.contents[:_MAX_CONTENTS]:
            if content[:8] == self._contents.session and content not in self._contents.writing:
                held = self._contents.held.get(content)
                if held is not None:
                    self._replication.release(content, held.others, void=True)
                await self._delete(content, under_store=True)
        return Empty()

    async def delete_contents(self, request: DeleteContents, _call: Call) -> Empty:
        """See `DeleteContents`."""
        for content in request.contents:
            await self._delete(content, under_store=request.under_store)
        return Empty()

    async def _delete(self, content: bytes, *, under_store: bool) -> None:
        await self._persister.forget(content)
        self._store.index.drop_content(content)
        self._store.settle()
        if under_store:
            await self._under_store.delete(content)

    async def list_contents(self, request: ListContents, _call: Call) -> ContentPage:
        """See `ListContents`."""
        limit = max(1, min(request.limit, _MAX_CONTENTS))
        stored = await self._under_store.list_contents(request.after, limit)
        times = {item.content: item.modified_s for item in stored}
        last = max(times) if len(stored) == limit else None  # beyond it the store was not read yet
        for content, held in self._contents.held.items():
            if content > request.after and (last is None or content <= last):
                times.setdefault(content, held.created_s)
        ordered = sorted(times)
        page = ordered[:limit]
        before_s = self._clock.now_s() - request.older_than_s
        settled = (item for item in page if times[item] < before_s and item not in self._contents.writing)
        more = last is not None or len(ordered) > limit
        return ContentPage(contents=tuple(settled), next_after=page[-1] if more else b"")

    def get_cached_bytes(self, request: GetCachedBytes, _call: Call) -> CachedBytes:
        """See `GetCachedBytes`."""
        if len(request.contents) > _MAX_CONTENTS:
            raise InvalidRequest(f"at most {_MAX_CONTENTS} contents a call")
        cached_bytes = self._store.index.cached_bytes
        return CachedBytes(cached=tuple(cached_bytes(segment.content) for segment in request.contents))

    def pin_contents(self, request: PinContents, _call: Call) -> Empty:
        """See `PinContents`. Pins last until the worker restarts. Raises OutOfSpace above their share of the cache."""
        index = self._store.index
        copies = [
            copy
            for segment in request.contents
            for number in index.indices(segment.content)
            for copy in index.copies((segment.content, number))
        ]
        if request.pinned:
            index.holds.pin(request.contents, copies, workers=request.workers)
        else:
            index.holds.unpin(request.contents, copies)
        return Empty()

    def get_worker_report(self, _request: GetWorkerReport, _call: Call) -> WorkerReport:
        """See `GetWorkerReport`."""
        return WorkerReport(
            worker_id=self._writing.worker_id,
            version=zerohop.__version__,
            started_ms=self._started_ms,
            tiers=self._store.index.uses(),
            hits=dict(self._store.hits),
            evictions=self._store.index.evictions,
            corrupt_blocks=self._store.corrupt_blocks,
            unpersisted_contents=len(self._contents.held),
        )

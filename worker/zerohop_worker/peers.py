"""The other workers of the cluster: whom a missing block is asked of, and who holds copies of what is not persisted.

Pure decisions over the last view of the cluster, and the connections to carry them out. A worker that is cut off from
the master goes on with the view that it has: a wrong choice costs time, never bytes.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence

from zerohop.client.hedging import Hedging
from zerohop.client.placement import block_key, extent_key, rank
from zerohop.client.racing import Pieces, Race, Source
from zerohop.client.worker_links import WorkerLinks
from zerohop.errors import Corrupt, ProtocolViolation
from zerohop.model import OriginRef
from zerohop.rpc.client import RpcClient
from zerohop.rpc.master_api import ClusterView
from zerohop.rpc.worker_api import ReadContent
from zerohop_worker.checked_stream import CheckedStream

__all__ = ["Peers"]

_log = logging.getLogger(__name__)

_STALL_S = 5.0
"""A worker that sends no byte of a block for so long is not waited for: the under-store has it, too."""

_ORIGIN_STALL_S = 30.0
"""So long for what it may have to wait for itself, at the origin of a mount: who gives up sooner fetches it twice."""

_INSTEAD = ""
"""No worker: the under-store."""


class Peers:
    """`links` know all live workers, this one among them. Before the first view there are none."""

    def __init__(self, worker_id: str, links: WorkerLinks) -> None:
        self._worker_id = worker_id
        self._links = links
        self.corrupt_streams = 0  # from other workers
        self._copies = 1  # of an unpersisted content that the cluster wants
        self.look: Callable[[], Awaitable[None]] | None = None
        """Takes a new view from the master."""

    def update(self, view: ClusterView) -> None:
        """Takes the view that the master has of the cluster."""
        self._links.update(view.workers)
        self._copies = min(view.settings.async_replicas, max(1, view.worker_count))

    @property
    def live(self) -> Collection[str]:
        """Ids of the live workers."""
        return [worker.worker_id for worker in self._links.all]

    @property
    def has_others(self) -> bool:
        """Whether any other worker is live."""
        return any(worker.worker_id != self._worker_id for worker in self._links.all)

    def home(self, content: bytes, index: int) -> str | None:
        """The worker that a block belongs to by rendezvous; None when that is this one, or nobody else is there."""
        return self._first_of(block_key(content, index))

    def home_of_extent(self, mount_id: bytes, key: str, index: int) -> str | None:
        """As `home`, of a block of a mounted object."""
        return self._first_of(extent_key(mount_id, key, index))

    def _first_of(self, name: bytes) -> str | None:
        avoided = self._links.avoided()
        others = [one for one in self.live if one not in avoided and one != self._worker_id]
        if not others:
            return None
        first = rank(name, [*others, self._worker_id])[0]
        return None if first == self._worker_id else first

    def further_holders(self, content: bytes) -> tuple[str, ...] | None:
        """The workers that shall hold a content besides this one while it is not persisted, those of other hosts
        first; None when there are not enough of them.
        """
        avoided = self._links.avoided()
        others = {
            worker.worker_id: worker
            for worker in self._links.all
            if worker.worker_id != self._worker_id and worker.worker_id not in avoided and not worker.draining
        }
        ranked = rank(content, others)
        ranked.sort(key=lambda worker_id: others[worker_id].host_id == self._links.own_host_id)
        chosen = tuple(ranked[: self._copies - 1])
        return chosen if len(chosen) == self._copies - 1 else None

    def successors(self, content: bytes, holders: Sequence[str]) -> tuple[str, ...]:
        """The workers that shall hold a content in the place of those of its other `holders` that are lost."""
        left = [worker_id for worker_id in holders if worker_id in self.live]
        wanted = self._copies - 1 - len(left)
        chosen = [one for one in self.further_holders(content) or () if one not in left]
        return tuple(chosen[: max(0, wanted)])

    async def meet(self, worker_id: str) -> None:
        """Somebody else knows this worker, who may have joined since we looked last: look again, unless we know it."""
        if worker_id not in self.live and self.look is not None:
            await self.look()

    def client(self, worker_id: str) -> RpcClient:
        """Raises PeerUnavailable when it has gone."""
        return self._links.client(worker_id)

    def avoid(self, worker_id: str) -> None:
        """It could not be reached: it is left alone for a few seconds."""
        self._links.avoid(worker_id)

    def race(self, worker_id: str, pieces: Callable[[], Pieces], instead: Callable[[], Pieces]) -> Race:
        """What another worker gives, or `instead`, which is begun when that worker is late."""
        return Race(self._links, Source(worker_id, pieces), lambda: Source(_INSTEAD, instead, patient=True))

    @property
    def hedging(self) -> Hedging:
        """What is known of slow workers."""
        return self._links.hedging

    async def read(
        self,
        worker_id: str,
        content: bytes,
        content_length: int,
        offset: int,
        length: int,
        *,
        origin: OriginRef | None = None,
    ) -> AsyncGenerator[bytes | memoryview, None]:
        """Bytes [offset, offset + length) of a content, exactly, from another worker, which keeps what it has to
        fetch. No byte is given that was not verified. Raises what it answers, Corrupt, and transport errors.
        """
        request = ReadContent(
            content=content,
            content_length=content_length,
            offset=offset,
            length=length,
            for_worker=True,
            origin=origin,
        )
        stall_s = _STALL_S if origin is None else _ORIGIN_STALL_S
        left = length
        async with self.client(worker_id).open_stream_out(request, timeout_s=stall_s) as source:
            checked = CheckedStream(source)
            while piece := await self._verified(worker_id, checked):
                left -= len(piece)
                if left < 0:
                    raise ProtocolViolation(f"more than the {length} bytes that were asked for")
                yield piece
        if left:
            raise ProtocolViolation(f"{left} of {length} bytes are missing")

    async def _verified(self, worker_id: str, stream: CheckedStream) -> memoryview:
        """As `CheckedStream.read`; counts what is damaged, and avoids the worker that it comes from. Raises Corrupt."""
        try:
            return await stream.read()
        except Corrupt as error:
            self.corrupt_streams += 1
            _log.warning("worker %s: %s", worker_id, error)
            self.avoid(worker_id)
            raise

    async def close(self) -> None:
        """Closes all connections."""
        await self._links.close()

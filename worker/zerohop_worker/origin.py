"""Where a block comes from that this worker misses: the worker that it belongs to, and the under-store after that.

So one worker of the cluster fetches a hot block from the under-store, whichever workers it is read at; and the
others keep passive copies, which their tiers evict like any other block.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from zerohop.errors import ZerohopError
from zerohop.rpc.splicing import PipedBytes
from zerohop_worker.files import Buffer
from zerohop_worker.peers import Peers
from zerohop_worker.understore.interface import UnderStore

__all__ = ["PEER", "UNDER", "Origin"]

_log = logging.getLogger(__name__)

PEER = "PEER"
UNDER = "UNDER"


class Origin:
    """Names of sources: `PEER`, `UNDER`."""

    def __init__(self, under_store: UnderStore, peers: Peers) -> None:
        self._under_store = under_store
        self._peers = peers

    def peer_for(self, content: bytes, index: int) -> str | None:
        """The worker to ask first, if any."""
        return self._peers.home(content, index)

    async def read(
        self, content: bytes, content_length: int, offset: int, length: int, *, peer: str | None
    ) -> AsyncGenerator[tuple[str, Buffer], None]:
        """Bytes [offset, offset + length), in pieces with their source. `peer` is asked first; the under-store is when
        it is late, and goes on from the byte reached when it fails. Raises ContentNotFound, UnderStoreFailed.
        """
        end = offset + length

        def stored() -> AsyncGenerator[bytes, None]:
            return self._under_store.read(content, offset, end - offset)

        if peer is not None:
            race = self._peers.race(
                peer, lambda: self._peers.read(peer, content, content_length, offset, length), stored
            )
            try:
                async with aclosing(race.pieces()) as pieces:
                    async for piece in pieces:
                        assert not isinstance(piece, PipedBytes), "workers check what they get"
                        offset += len(piece)
                        yield PEER if race.winner_id == peer else UNDER, piece
            except ZerohopError as error:
                _log.info("worker %s does not give a block, the under-store will: %s", peer, error)
        if offset < end:
            async with aclosing(stored()) as rest:
                async for data in rest:
                    yield UNDER, data

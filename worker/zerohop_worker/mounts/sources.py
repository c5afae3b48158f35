"""Where the bytes of a mounted object come from that this worker does not have: the worker they belong to, else the
origin. One request for a run of bytes, taken up again from the byte reached when it breaks.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from zerohop.errors import (
    InvalidRequest,
    KeyNotFound,
    OriginChanged,
    TransportError,
    UnderStoreFailed,
    ZerohopError,
)
from zerohop.model import OriginRef
from zerohop_worker.mounts.registry import Registry
from zerohop_worker.origin import PEER, UNDER
from zerohop_worker.origins.interface import OpenedRead, Validator
from zerohop_worker.peers import Peers

__all__ = ["MountedSources", "Piece", "validator_of"]

_log = logging.getLogger(__name__)

Piece = tuple[str, bytes | memoryview]
"""Source (`PEER`, `UNDER`) and bytes."""

_MAX_RESUMES = 6
"""In a row, without a byte between them: with the pauses below about 6 s, on top of the retries of each request."""
_FIRST_PAUSE_S = 0.1
_LAST_PAUSE_S = 3.0


def validator_of(ref: OriginRef, size_bytes: int) -> Validator:
    """What the bytes of the object are bound to."""
    return Validator(ref.etag, size_bytes, ref.modified_ms)


class MountedSources:
    """`on_changed(ref)` is awaited when the origin has another object than the one that is being read."""

    def __init__(self, registry: Registry, peers: Peers) -> None:
        self._registry = registry
        self._peers = peers
        self.on_changed: Callable[[OriginRef], Awaitable[None]] | None = None
        self.fetched_bytes: Counter[bytes] = Counter()  # from the origin, by mount
        self.resumed = 0

    def home(self, ref: OriginRef, index: int) -> str | None:
        """The worker that a block belongs to; None when that is this one, or nobody else is there."""
        return self._peers.home_of_extent(ref.mount_id, ref.key, index)

    def is_home(self, mount_id: bytes, key: str, index: int) -> bool:
        """Whether a block is this worker's to fetch from the origin."""
        return self._peers.home_of_extent(mount_id, key, index) is None

    async def read(
        self,
        ref: OriginRef,
        content: bytes,
        size_bytes: int,
        offset: int,
        stop: int,
        *,
        peer: str | None,
        opened: OpenedRead | None = None,
    ) -> AsyncGenerator[Piece, None]:
        """Bytes [offset, stop) of an object of `size_bytes`, all of the version that `ref` names. `opened` is a read
        of the origin that has begun at `offset` already. Never ends short: raises OriginChanged, OriginRefused,
        UnderStoreFailed, MountNotFound.
        """
        if peer is not None:
            try:
                relayed = self._peers.read(peer, content, size_bytes, offset, stop - offset, origin=ref)
                async with aclosing(relayed) as pieces:
                    async for piece in pieces:
                        offset += len(piece)
                        yield PEER, piece
            except OriginChanged:
                raise
            except ZerohopError as error:
                if isinstance(error, TransportError):
                    self._peers.avoid(peer)
                _log.info("worker %s does not give a mounted block, the origin will: %s", peer, error)
        failures = 0
        while offset < stop:
            try:
                async with aclosing(self._from_origin(ref, size_bytes, offset, stop, opened)) as data:
                    opened = None
                    async for piece in data:
                        offset += len(piece)
                        failures = 0
                        yield UNDER, piece
            except UnderStoreFailed as error:
                failures += 1
                if failures > _MAX_RESUMES:
                    raise
                self.resumed += 1
                _log.info("the origin broke off at byte %d of %r, asking again: %s", offset, ref.key, error)
                await asyncio.sleep(_pause_s(failures))

    async def _from_origin(
        self, ref: OriginRef, size_bytes: int, offset: int, stop: int, opened: OpenedRead | None
    ) -> AsyncGenerator[bytes | memoryview, None]:
        if opened is None:
            mount = await self._registry.get(ref.mount_id)
            try:
                opened = await mount.store.open(ref.key, offset, stop - offset, validator_of(ref, size_bytes))
            except (KeyNotFound, InvalidRequest, OriginChanged) as error:
                if self.on_changed is not None:
                    await self.on_changed(ref)
                raise OriginChanged(
                    f"object {ref.key!r} has changed at the origin since it was looked up", key=ref.key
                ) from error
        try:
            if opened.first != offset:
                raise UnderStoreFailed(f"the origin answers from byte {opened.first}, not {offset}")
            left = stop - offset
            async for piece in opened.pieces():
                data = piece if len(piece) <= left else piece[:left]
                left -= len(data)
                self.fetched_bytes[ref.mount_id] += len(data)
                yield data
                if not left:
                    return
            raise UnderStoreFailed(f"the origin ended {left} bytes early")
        finally:
            await opened.close()


def _pause_s(failures: int) -> float:
    """Full jitter: many readers of one origin that fails must not come back together."""
    return random.uniform(0.0, min(_LAST_PAUSE_S, _FIRST_PAUSE_S * 2**failures))

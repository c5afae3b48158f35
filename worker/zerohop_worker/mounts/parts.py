"""Where the parts of mounted objects begin: asked of the origin once for each part, and remembered."""

from __future__ import annotations

from collections import OrderedDict

from zerohop.errors import KeyNotFound, NotSupported, OriginChanged
from zerohop.model import OriginRef
from zerohop.rpc.origin_api import LocatePart, PartPlace
from zerohop_worker.mounts.owner import Owner
from zerohop_worker.mounts.sources import validator_of

__all__ = ["Parts"]

_MAX_PLACES = 20_000
"""Some hundred bytes each: those of two objects of as many parts as S3 allows."""


class Parts:
    """Answers `LocatePart`. A place is that of a version, so it stays true for as long as somebody reads that."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._places: OrderedDict[tuple[OriginRef, int], PartPlace] = OrderedDict()

    async def locate(self, request: LocatePart) -> PartPlace:
        """See `LocatePart`."""
        name = (request.ref, request.number)
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = await self._ask(request)
            if len(self._places) > _MAX_PLACES:
                self._places.popitem(last=False)
        self._places.move_to_end(name)
        return place

    async def _ask(self, request: LocatePart) -> PartPlace:
        ref = request.ref
        mount = await self._owner.registry.get(ref.mount_id)
        try:
            span = await mount.store.part(request.key, request.number, validator_of(ref, request.size_bytes))
        except (KeyNotFound, OriginChanged) as error:
            await self._owner.outdated(ref)
            raise OriginChanged(
                f"object {ref.key!r} has changed at the origin since it was looked up", key=ref.key
            ) from error
        if span is None:
            raise NotSupported(f"the origin does not tell where the parts of {request.key!r} begin")
        return PartPlace(*span)

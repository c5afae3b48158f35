"""Pins what is new below a pinned prefix as soon as its record stands; the sweep comes only now and then.

Best effort: what is lost here, with a full queue or a worker that does not answer, is left to the sweep.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Final

import msgspec

from zerohop.errors import ZerohopError
from zerohop.model import Segment
from zerohop.rpc.master_api import CommitMounted, ObjectResult
from zerohop.rpc.message import Request
from zerohop_master.jobs.cluster_calls import ClusterCalls
from zerohop_master.jobs.copies import all_buckets
from zerohop_master.jobs.pinning import Pinning
from zerohop_master.jobs.rules import all_rules, applies
from zerohop_master.jobs.walk import contents_of
from zerohop_master.namespace import Namespace
from zerohop_master.rows import RuleRow

__all__ = ["FreshPins"]

_log = logging.getLogger(__name__)

_MAX_WAITING: Final = 10_000
_AT_A_TIME: Final = 250
_MAX_REMEMBERED: Final = 20_000
"""Contents of pinned objects that are remembered, to be released when another version takes their place. Most objects
have one; an upload has one for each part.
"""

_MAX_TOLD: Final = 10_000
"""Contents in one message to a worker, unless a single object has more."""

_Name = tuple[bytes, str]
"""Id of a bucket, and a key."""


class FreshPins:
    """The rules are kept in memory: a commit in a cluster without pins pays a look at an empty table."""

    def __init__(self, namespace: Namespace, calls: ClusterCalls, pinning: Pinning) -> None:
        self._namespace = namespace
        self._calls = calls
        self._pinning = pinning
        self._pins: dict[bytes, list[RuleRow]] = {}  # by id of the bucket
        self._bucket_ids: dict[Hashable, bytes] = {}  # by name, and by id of the mount
        self._waiting: dict[_Name, ObjectResult] = {}
        self._pinned: OrderedDict[_Name, list[Segment]] = OrderedDict()
        self._remembered = 0  # contents in `_pinned`
        self._wake = asyncio.Event()
        self._refreshing = asyncio.Lock()  # else one that began before could end after, with older rules

    async def refresh(self) -> None:
        """Takes the rules as they stand. Other masters change them, too."""
        async with self._refreshing:
            await self._refresh()

    async def _refresh(self) -> None:
        rules = await all_rules(self._namespace)
        pins = {one: [rule for rule in found if rule.kind == "pin"] for one, found in rules.items()}
        pins = {bucket_id: found for bucket_id, found in pins.items() if found}
        bucket_ids: dict[Hashable, bytes] = {}
        if pins:
            async for bucket in all_buckets(self._namespace):
                if bucket.bucket_id in pins:
                    bucket_ids[bucket.name] = bucket.bucket_id
                    if bucket.mount_id:
                        bucket_ids[bucket.mount_id] = bucket.bucket_id
        self._pins, self._bucket_ids = (
            pins,
            bucket_ids,
        )  # together: whoever commits looks from one to the other

    def committed(self, request: Request[Any], result: ObjectResult) -> None:
        """The object of a request that was just carried out may be a new one."""
        if not self._pins or (isinstance(request, CommitMounted) and request.record is None):
            return
        place: Hashable = result.mount_id or getattr(request, "bucket", "")
        bucket_id = self._bucket_ids.get(place)
        if bucket_id is None or len(self._waiting) >= _MAX_WAITING:
            return
        name = (bucket_id, result.record.key)
        if self._is_pinned(name):
            # Without the bytes that came along: thousands of them may wait.
            self._waiting[name] = msgspec.structs.replace(result, data=b"")
            self._wake.set()

    def _is_pinned(self, name: _Name) -> bool:
        bucket_id, key = name
        return any(applies(rule, key) for rule in self._pins.get(bucket_id, ()))

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                names = list(self._waiting)[:_AT_A_TIME]
                found = {name: self._waiting.pop(name) for name in names}
                try:
                    await self._pin(found)
                except ZerohopError as error:
                    _log.info("new objects are pinned later: %s", error)

    async def _pin(self, found: dict[_Name, ObjectResult]) -> None:
        new: dict[_Name, list[Segment]] = {}
        count = 0
        for name, result in found.items():
            new[name] = await contents_of(self._calls, result)
            count += len(new[name])
            if count >= _MAX_TOLD:
                await self._tell(new)
                new, count = {}, 0
        await self._tell(new)

    async def _tell(self, new: dict[_Name, list[Segment]]) -> None:
        # What was unpinned meanwhile must not be pinned behind the back of the job that walks there.
        new = {name: segments if self._is_pinned(name) else [] for name, segments in new.items()}
        old = [segment for name in new for segment in self._forget(name)]
        # What another pinned object shares with the old version is pinned again by the sweep.
        kept = {segment.content for segments in new.values() for segment in segments}
        await self._pinning.tell([one for one in old if one.content not in kept], pinned=False)
        await self._pinning.tell([one for segments in new.values() for one in segments], pinned=True)
        for name, segments in new.items():
            if segments:
                self._pinned[name] = segments
                self._remembered += len(segments)
        while self._remembered > _MAX_REMEMBERED:
            self._forget(next(iter(self._pinned)))

    def _forget(self, name: _Name) -> list[Segment]:
        """What was pinned of the object."""
        segments = self._pinned.pop(name, [])
        self._remembered -= len(segments)
        return segments

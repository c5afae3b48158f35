"""Where cached blocks are, and moving them: numbers of copies, a worker that leaves, a worker that has joined."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, NamedTuple

from zerohop.client.layout import object_pieces
from zerohop.client.placement import block_key, extent_key, rank
from zerohop.errors import NotFound, NoWorker, TransportError, ZerohopError
from zerohop.model import BucketRecord, OriginRef
from zerohop.rpc.cache_api import FreeBlocks, GetCachedBlocks, LoadBlocks
from zerohop.rpc.master_api import ObjectResult
from zerohop.tasks import each
from zerohop_master import keys
from zerohop_master.jobs.cluster_calls import ClusterCalls
from zerohop_master.jobs.running import OBJECTS_AT_A_TIME, RunningJob
from zerohop_master.jobs.walk import known_objects
from zerohop_master.namespace import Namespace
from zerohop_master.rows import BUCKET, RuleRow

__all__ = ["Change", "Decide", "Placement", "all_buckets", "in_bounds", "to_home", "without"]

_log = logging.getLogger(__name__)
_AT_A_TIME: Final = 4
"""Blocks on their way, of one job: what nobody waits for must not hold up readers."""

_ASK_TIMEOUT_S: Final = 30.0
_LOAD_TIMEOUT_S: Final = 300.0
_BUCKETS: Final = 500


class Change(NamedTuple):
    """Workers that shall get a copy of a block, and those whose copies go."""

    load: Sequence[str] = ()
    free: Sequence[str] = ()


Decide = Callable[[Sequence[str], Sequence[str]], Change]
"""Decides on a cached block by the workers that have it, and by all that may, those that it belongs to first."""


class _Block(NamedTuple):
    content: bytes
    length: int
    number: int
    origin: OriginRef | None

    @property
    def name(self) -> bytes:
        """For rendezvous."""
        if self.origin is None:
            return block_key(self.content, self.number)
        return extent_key(self.origin.mount_id, self.origin.key, self.number)


def in_bounds(least: int, most: int) -> Decide:
    """At least so many copies, at most so many (0: any number). Those go first whose workers it belongs to least."""

    def decide(have: Sequence[str], ranked: Sequence[str]) -> Change:
        missing = [worker for worker in ranked if worker not in have][: max(0, least - len(have))]
        ordered = sorted(have, key=lambda worker: ranked.index(worker) if worker in ranked else len(ranked))
        return Change(missing, ordered[max(1, most) :] if most else ())

    return decide


def without(worker_id: str) -> Decide:
    """What this worker alone has gets a copy elsewhere."""

    def decide(have: Sequence[str], ranked: Sequence[str]) -> Change:
        others = [worker for worker in ranked if worker != worker_id]
        return Change(others[:1]) if list(have) == [worker_id] else Change()

    return decide


def to_home(worker_id: str = "") -> Decide:
    """What belongs to a worker (only to this one, if it is named) gets a copy there."""

    def decide(have: Sequence[str], ranked: Sequence[str]) -> Change:
        home = ranked[0]
        return Change([home]) if home not in have and worker_id in ("", home) else Change()

    return decide


class Placement:
    """Only what is cached somewhere is looked at, and copies come from there: no origin and no under-store is asked."""

    def __init__(self, namespace: Namespace, calls: ClusterCalls) -> None:
        self._namespace = namespace
        self._calls = calls

    async def drain(self, job: RunningJob) -> None:
        """Carries out a job: the worker may leave afterwards, and nothing that is cached is gone with it. Raises
        NotFound when no such worker is live, NoWorker when no other one is.
        """
        worker_id = job.row.job.options["worker"]
        live = [worker.worker_id for worker in self._calls.look()]
        if worker_id not in live:
            raise NotFound(f"no worker {worker_id!r} is live")
        if len(live) == 1:
            raise NoWorker("there is no other worker that could take what it has cached")
        await self._everywhere(job, without(worker_id))

    async def rebalance(self, job: RunningJob) -> None:
        """Carries out a job."""
        await self._everywhere(job, to_home(job.row.job.options.get("worker", "")))

    async def apply(self, bucket: BucketRecord, rule: RuleRow, job: RunningJob | None = None) -> None:
        """Brings what the rule is about into its bounds."""
        decide = in_bounds(rule.min_copies, rule.max_copies)
        after = "" if job is None else job.cursor
        async for page in known_objects(
            self._namespace, bucket, rule.key, recursive=rule.recursive, after=after
        ):
            await self._settle(page, decide, job)
            if job is not None and page:
                job.reached(page[-1].record.key)

    async def _everywhere(self, job: RunningJob, decide: Decide) -> None:
        name, _, after = job.cursor.partition("/")
        async for bucket in all_buckets(self._namespace, name):
            pages = known_objects(
                self._namespace, bucket, "", recursive=True, after=after if bucket.name == name else ""
            )
            async for page in pages:
                await self._settle(page, decide, job)
                job.reached(f"{bucket.name}/{page[-1].record.key}")

    async def _settle(self, page: Sequence[ObjectResult], decide: Decide, job: RunningJob | None) -> None:
        may_have = [worker.worker_id for worker in self._calls.look() if not worker.draining]
        blocks = await self._cached(page)
        loads: list[tuple[_Block, str, str]] = []
        frees: dict[str, list[tuple[bytes, int]]] = defaultdict(list)
        for block, have in blocks.items():
            change = decide(have, rank(block.name, may_have)) if may_have else Change()
            loads += [(block, have[0], worker_id) for worker_id in change.load]
            for worker_id in change.free:
                frees[worker_id].append((block.content, block.number))
        moved = 0

        async def load(one: tuple[_Block, str, str]) -> None:
            nonlocal moved
            moved += await self._load(*one)

        await each(loads, load, at_a_time=_AT_A_TIME)
        for worker_id, named in frees.items():
            await self._free(worker_id, named)
        if job is not None:
            job.count(moved, objects=len(page))

    async def _cached(self, page: Sequence[ObjectResult]) -> dict[_Block, list[str]]:
        """The workers that have each cached block of these objects."""
        contents: dict[bytes, tuple[int, OriginRef | None]] = {}
        for found in page:
            if found.record.inline or not found.record.size_bytes or found.record.unpersisted:
                continue
            async for held in object_pieces(self._calls, found, 0, found.record.size_bytes):
                contents[held.piece.content] = (held.piece.length, held.origin)
        blocks: dict[_Block, list[str]] = defaultdict(list)
        request = GetCachedBlocks(contents=tuple(contents))

        async def ask(worker_id: str) -> None:
            try:
                client = self._calls.workers.client(worker_id)
                answer = await client.call(request, timeout_s=_ASK_TIMEOUT_S, idempotent=True)
            except TransportError:
                return
            for (content, (length, origin)), indices in zip(contents.items(), answer.indices, strict=True):
                for index in indices:
                    blocks[_Block(content, length, index, origin)].append(worker_id)

        await each(
            [worker.worker_id for worker in self._calls.look()] if contents else (),
            ask,
            at_a_time=OBJECTS_AT_A_TIME,
        )
        return blocks

    async def _load(self, block: _Block, source: str, worker_id: str) -> int:
        """Bytes that were copied. What cannot be is not: it is still where it was."""
        request = LoadBlocks(
            content=block.content,
            content_length=block.length,
            first=block.number,
            count=1,
            origin=block.origin,
            source=source,
        )
        try:
            client = self._calls.workers.client(worker_id)
            return (await client.call(request, timeout_s=_LOAD_TIMEOUT_S)).fetched_bytes
        except ZerohopError as error:
            _log.info("worker %s does not take a copy of a block: %s", worker_id, error)
            return 0

    async def _free(self, worker_id: str, blocks: Sequence[tuple[bytes, int]]) -> None:
        for first in range(0, len(blocks), 10_000):
            request = FreeBlocks(blocks=tuple(blocks[first : first + 10_000]))
            try:
                await self._calls.workers.client(worker_id).call(request, timeout_s=_ASK_TIMEOUT_S)
            except TransportError as error:
                _log.info("worker %s keeps its copies: %s", worker_id, error)
                return


async def all_buckets(namespace: Namespace, first: str = "") -> AsyncIterator[BucketRecord]:
    """All buckets by name, from this one on."""
    start, end = keys.span(keys.BUCKETS)
    start = keys.bucket(first) if first else start
    while rows := await namespace.store.scan(start, end, limit=_BUCKETS):
        for row in rows:
            yield BUCKET.decode(row.value)
        start = rows[-1].key + b"\0"

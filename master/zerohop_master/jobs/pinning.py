"""`pin` and `unpin`: rules, and telling the workers of the contents that they are about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from zerohop.errors import OutOfSpace, TransportError, ZerohopError
from zerohop.model import BucketRecord, Segment
from zerohop.rpc.worker_api import PinContents
from zerohop.tasks import each
from zerohop_master.jobs.cluster_calls import ClusterCalls
from zerohop_master.jobs.rules import applies, rules_of
from zerohop_master.jobs.running import OBJECTS_AT_A_TIME, RunningJob
from zerohop_master.jobs.walk import contents_of, known_objects
from zerohop_master.namespace import Namespace
from zerohop_master.rows import RuleRow

__all__ = ["Pinning"]

_TIMEOUT_S: Final = 60.0


class Pinning:
    """Workers forget pins with their end: `apply` tells them again, and of objects that were written since."""

    def __init__(self, namespace: Namespace, calls: ClusterCalls) -> None:
        self._namespace = namespace
        self._calls = calls

    async def run(self, job: RunningJob) -> None:
        """Carries out a job of either kind. The rule stands already, or is gone."""
        assert job.bucket is not None
        pinned = job.row.job.kind == "pin"
        pages = known_objects(
            self._namespace, job.bucket, job.row.key, recursive=job.row.recursive, after=job.cursor
        )
        async for page in pages:
            rules = () if pinned else await rules_of(self._namespace, job.bucket.bucket_id)
            pins = [rule for rule in rules if rule.kind == "pin"]
            for found in page:
                if any(applies(rule, found.record.key) for rule in pins):
                    continue  # another rule holds it
                try:
                    await self.tell(await contents_of(self._calls, found), pinned=pinned)
                    job.count(found.record.size_bytes)
                except ZerohopError as error:
                    job.fail(found.record.key, error)
            if page:
                job.reached(page[-1].record.key)

    async def apply(self, bucket: BucketRecord, rule: RuleRow, workers: Sequence[str] | None = None) -> None:
        """Has these workers (all, if None) keep what the rule is about. Raises OutOfSpace when it is too much."""
        pages = known_objects(self._namespace, bucket, rule.key, recursive=rule.recursive)
        async for page in pages:
            contents = [segment for found in page for segment in await contents_of(self._calls, found)]
            await self.tell(contents, pinned=True, workers=workers)

    async def tell(
        self, contents: Sequence[Segment], *, pinned: bool, workers: Sequence[str] | None = None
    ) -> None:
        """Has these workers (all, if None) keep the contents, or release them. Raises OutOfSpace."""
        segments: Mapping[bytes, Segment] = {segment.content: segment for segment in contents}
        live = [worker.worker_id for worker in self._calls.look()]
        request = PinContents(contents=tuple(segments.values()), pinned=pinned, workers=len(live))
        full: list[OutOfSpace] = []

        async def tell(worker_id: str) -> None:
            try:
                await self._calls.workers.client(worker_id).call(
                    request, timeout_s=_TIMEOUT_S, idempotent=True
                )
            except OutOfSpace as error:
                full.append(error)
            except TransportError:
                return  # once it is back, in a new session, it is told all

        if segments:
            await each(
                [one for one in live if workers is None or one in workers], tell, at_a_time=OBJECTS_AT_A_TIME
            )
        if full:
            raise full[0]

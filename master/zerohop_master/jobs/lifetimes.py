"""Times to live: cached blocks that go after a time, or objects that are deleted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from zerohop.errors import NotFound, ZerohopError, error_class
from zerohop.model import ADMIN, BucketRecord
from zerohop.rpc.master_api import DeleteObjects, DeleteTarget, ListEntry, ListObjects, LookupObject
from zerohop.rpc.mutation import new_mutation_id
from zerohop_master.jobs.cluster_calls import ClusterCalls
from zerohop_master.jobs.freeing import free_contents
from zerohop_master.jobs.rules import applies
from zerohop_master.jobs.running import RunningJob
from zerohop_master.jobs.walk import contents_of, known_objects
from zerohop_master.namespace import Namespace
from zerohop_master.rows import RuleRow

__all__ = ["Lifetimes"]

_log = logging.getLogger(__name__)
_PAGE: Final = 250


class Lifetimes:
    """What is cached is freed `ttl_s` after it came into a worker's cache; objects are deleted `ttl_s` after they were
    written, those of mounts at their origin.
    """

    def __init__(self, namespace: Namespace, calls: ClusterCalls) -> None:
        self._namespace = namespace
        self._calls = calls

    async def apply(self, bucket: BucketRecord, rule: RuleRow, job: RunningJob | None = None) -> None:
        """Carries out the rule on what is due by now."""
        if rule.action == "delete":
            await self._delete_all(bucket, rule, job)
        else:
            await self._free_all(bucket, rule, job)

    async def _free_all(self, bucket: BucketRecord, rule: RuleRow, job: RunningJob | None) -> None:
        async for page in known_objects(self._namespace, bucket, rule.key, recursive=rule.recursive):
            contents = [
                segment.content for found in page for segment in await contents_of(self._calls, found)
            ]
            freed = await free_contents(self._calls, contents, older_than_s=rule.ttl_s)
            if job is not None:
                job.count(freed.freed_bytes, objects=len(page))

    async def _delete_all(self, bucket: BucketRecord, rule: RuleRow, job: RunningJob | None) -> None:
        before_ms = self._namespace.now_ms() - int(rule.ttl_s * 1000)
        after = ""
        while True:
            page = await self._calls.call(
                ListObjects(caller=ADMIN, bucket=bucket.name, prefix=rule.key, after=after, limit=_PAGE)
            )
            due = [one for one in page.entries if applies(rule, one.key) and one.modified_ms < before_ms]
            await self._delete(bucket, due, before_ms, job)
            after = page.next_name
            if not after or not (rule.recursive or after.startswith(rule.key)):
                return

    async def _delete(
        self, bucket: BucketRecord, due: Sequence[ListEntry], before_ms: int, job: RunningJob | None
    ) -> None:
        """Only what is still what was listed: an object that was written meanwhile lives on."""
        for entry in due:
            try:
                found = await self._calls.call(
                    LookupObject(caller=ADMIN, bucket=bucket.name, key=entry.key, with_data=False)
                )
                if found.record.modified_ms >= before_ms:
                    continue
                target = DeleteTarget(key=entry.key, expected_version=found.row_version)
                request = DeleteObjects(
                    caller=ADMIN, bucket=bucket.name, targets=(target,), mutation=new_mutation_id()
                )
                outcome = (await self._calls.call(request)).outcomes[0]
                if outcome.error:
                    raise error_class(outcome.error)(outcome.message)
            except NotFound:
                continue
            except ZerohopError as error:
                _log.warning("/%s/%s is not deleted at its time: %s", bucket.name, entry.key, error)
                if job is not None:
                    job.fail(entry.key, error)
            else:
                if job is not None:
                    job.count(found.record.size_bytes)

"""The calls about jobs, and all that carries them out, put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from zerohop.errors import AccessDenied, InvalidRequest, JobNotFound, Overloaded
from zerohop.model import BucketRecord, Caller, MountInfo
from zerohop.rpc.master_api import (
    CancelJob,
    GetJob,
    JobFailure,
    JobInfo,
    JobPage,
    JobResult,
    ListJobs,
    StartJob,
)
from zerohop.tasks import TaskGroup
from zerohop.units import format_size
from zerohop_master import keys
from zerohop_master.jobs.cluster_calls import ClusterCalls
from zerohop_master.jobs.freeing import Freeing
from zerohop_master.jobs.fresh_pins import FreshPins
from zerohop_master.jobs.loading import Loading
from zerohop_master.jobs.options import CLUSTER_KINDS, check_options
from zerohop_master.jobs.persist_queue import PersistQueue, mounted_buckets
from zerohop_master.jobs.persisting import Persisting, failure_of, local_rows
from zerohop_master.jobs.pinning import Pinning
from zerohop_master.jobs.records import MAX_FAILURES, is_running
from zerohop_master.jobs.rule_keeper import RuleKeeper
from zerohop_master.jobs.rules import change_rules
from zerohop_master.jobs.runner import JobRunner
from zerohop_master.namespace import Namespace
from zerohop_master.rows import JOB, LOCAL_OBJECT, JobRow
from zerohop_master.transaction import Transaction

__all__ = ["Jobs"]

_MAX_WAITING: Final = 500
"""Jobs that run or wait for their turn."""

_MAX_PAGE: Final = 1000
_MAX_COUNTED: Final = 10_000
"""Objects of one mount's queue that a listing counts: it is asked for by people, and must not hold up the master."""

_LONGEST_WAIT_S: Final = 10.0

_QUEUE: Final = "persist-"


class Jobs:
    """`begin` begins the work, in the task group."""

    def __init__(
        self, namespace: Namespace, calls: ClusterCalls, tasks: TaskGroup, is_holding: Callable[[], bool]
    ) -> None:
        self._namespace = namespace
        self._calls = calls
        self._tasks = tasks
        self.queue = PersistQueue(namespace, calls, tasks, is_holding)
        pinning = Pinning(namespace, calls)
        self._fresh = FreshPins(namespace, calls, pinning)
        self.keeper = RuleKeeper(namespace, calls, pinning, is_holding)
        self._runner = JobRunner(
            namespace,
            calls,
            tasks,
            {
                "load": Loading(calls).run,
                "free": Freeing(namespace, calls).run,
                "pin": pinning.run,
                "unpin": pinning.run,
                "persist": Persisting(namespace, calls, self.queue).run,
                "set_ttl": self.keeper.run_lifetimes,
                "set_replication": self.keeper.run_copies,
                "drain": self.keeper.copies.drain,
                "rebalance": self.keeper.copies.rebalance,
            },
            is_holding,
        )
        self._records = self._runner.records
        self.keeper.on_job = self._runner.wake

    def begin(self, *, look_s: float, sweep_s: float) -> None:
        """Starts the queue, the runner, and what keeps the rules: `look_s` between two looks at who is live, `sweep_s`
        between two walks for the rules.
        """
        self._tasks.start("persist queue", self.queue.run())
        self._tasks.start("jobs", self._runner.run())
        self._namespace.on_object = self._fresh.committed
        self._tasks.start("new pins", self._fresh.run())
        self._tasks.every(look_s, "pinned prefixes", self._fresh.refresh)
        self._tasks.every(look_s, "pins", self.keeper.look)
        self._tasks.every(sweep_s, "rules", self.keeper.sweep)

    # -------------------------------------------------------------------------------------------- the calls

    async def start(self, request: StartJob) -> JobResult:
        """See `StartJob`."""
        check_options(request.kind, request.options)
        if request.kind in CLUSTER_KINDS and not request.caller.admin:
            raise AccessDenied("only an administrator may move the cache about")
        if request.kind not in CLUSTER_KINDS and not (request.key_or_prefix or request.recursive):
            raise InvalidRequest("name an object, or say that the whole bucket is meant")

        async def body(transaction: Transaction) -> JobResult:
            now_ms = self._namespace.now_ms()
            if request.kind in CLUSTER_KINDS:
                await self._namespace.check_caller(transaction, request.caller)
            else:
                bucket = await self._namespace.bucket(transaction, request.caller, request.bucket)
                await change_rules(
                    transaction,
                    bucket.bucket_id,
                    request.kind,
                    request.key_or_prefix,
                    request.options,
                    recursive=request.recursive,
                    now_ms=now_ms,
                )
            others = await self._records.all()
            if sum(is_running(row.job) for row in others) >= _MAX_WAITING:
                raise Overloaded(f"{_MAX_WAITING} jobs run or wait already")
            row = _new_row(request, _id_after(others, self._namespace.new_id()), now_ms)
            transaction.put(keys.job(bytes.fromhex(row.job.job_id)), JOB.encode(row))
            return JobResult(job=row.job)

        result = await self._namespace.mutate(request, request.mutation, body, "jobs")
        if request.kind in ("pin", "unpin"):
            await self._fresh.refresh()  # before the job walks: what it does not meet any more is new
        self._runner.wake()
        return result

    async def page(self, request: ListJobs) -> JobPage:
        """See `ListJobs`. The queues of mounts come before the other jobs, on the first page."""
        await self._namespace.check_caller(self._namespace.reads, request.caller)
        limit = max(1, min(request.limit, _MAX_PAGE))
        jobs = [] if request.after else await self._queues(request.caller)
        mine = [row.job for row in reversed(await self._records.all()) if _may_see(request.caller, row)]
        if request.after:
            mine = [job for job in mine if job.job_id < request.after]
        page = mine[:limit]
        more = len(mine) > limit
        return JobPage(jobs=(*jobs, *page), next_after=page[-1].job_id if more else "")

    async def get(self, request: GetJob) -> JobResult:
        """See `GetJob`."""
        await self._namespace.check_caller(self._namespace.reads, request.caller)
        if request.job_id.startswith(_QUEUE):
            return await self._queue_named(request.caller, request.job_id)
        row = await self._records.get(request.job_id)
        _check_may_see(request.caller, row)
        if request.wait_s > 0 and is_running(row.job):
            await self._runner.wait(request.job_id, min(request.wait_s, _LONGEST_WAIT_S))
            row = await self._records.get(request.job_id)
        return await self._records.result(row.job)

    async def cancel(self, request: CancelJob) -> JobResult:
        """See `CancelJob`."""
        if request.job_id.startswith(_QUEUE):
            raise InvalidRequest(
                "what origins do not have yet cannot be cancelled: delete it, if it is not wanted"
            )

        async def body(transaction: Transaction) -> JobResult:
            await self._namespace.check_caller(transaction, request.caller)
            row = await self._records.cancel(transaction, request.job_id, self._namespace.now_ms())
            _check_may_see(request.caller, row)
            return JobResult(job=row.job)

        result = await self._namespace.mutate(request, request.mutation, body, "jobs")
        self._runner.stop(request.job_id)
        return JobResult(job=result.job, failures=await self._records.failures(request.job_id))

    # ------------------------------------------------------------------------------------ the queues as jobs

    async def _queues(self, caller: Caller) -> list[JobInfo]:
        found = [
            await self._queue(mount, bucket)
            async for mount, bucket in mounted_buckets(self._namespace)
            if caller.admin or mount.owner == caller.user
        ]
        return [result.job for result in found if result is not None]

    async def _queue_named(self, caller: Caller, job_id: str) -> JobResult:
        async for mount, bucket in mounted_buckets(self._namespace):
            if _QUEUE + mount.mount_id.hex() == job_id and (caller.admin or mount.owner == caller.user):
                result = await self._queue(mount, bucket)
                if result is not None:
                    return result
        raise JobNotFound(f"there is no job {job_id!r}: nothing waits for that origin")

    async def _queue(self, mount: MountInfo, bucket: BucketRecord) -> JobResult | None:
        """None when nothing waits."""
        objects = size_bytes = failed = 0
        since_ms = self._namespace.now_ms()
        failures: list[JobFailure] = []
        async for rows in local_rows(self._namespace, bucket, "", recursive=True):
            for row in rows:
                local = LOCAL_OBJECT.decode(row.value)
                if not local.queued:
                    continue
                objects += 1
                size_bytes += local.size_bytes
                since_ms = min(since_ms, local.since_ms)
                if local.error:
                    failed += 1
                    failures.append(failure_of(row))
            if objects >= _MAX_COUNTED:
                break
        if not objects:
            return None
        job = JobInfo(
            job_id=_QUEUE + mount.mount_id.hex(),
            kind="persist",
            bucket=bucket.name,
            created_ms=since_ms,
            updated_ms=self._namespace.now_ms(),
            objects_total=objects,
            objects_failed=failed,
            message=f"{format_size(size_bytes)} wait for the origin",
        )
        return JobResult(job=job, failures=tuple(failures[-MAX_FAILURES:]))


def _id_after(others: Sequence[JobRow], new: bytes) -> bytes:
    """An id that is greater than all: two of one millisecond are in no order of themselves."""
    last = bytes.fromhex(others[-1].job.job_id) if others else b""
    return new if new > last else (int.from_bytes(last, "big") + 1).to_bytes(len(last), "big")


def _new_row(request: StartJob, job_id: bytes, now_ms: int) -> JobRow:
    job = JobInfo(
        job_id=job_id.hex(),
        kind=request.kind,
        bucket=request.bucket,
        prefix=request.key_or_prefix,
        created_ms=now_ms,
        updated_ms=now_ms,
        options=request.options,
    )
    return JobRow(
        job=job,
        key=request.key_or_prefix,
        recursive=request.recursive,
        user=request.caller.user,
        admin=request.caller.admin,
    )


def _may_see(caller: Caller, row: JobRow) -> bool:
    return caller.admin or row.user == caller.user


def _check_may_see(caller: Caller, row: JobRow) -> None:
    """Raises JobNotFound: others are not even told that it exists."""
    if not _may_see(caller, row):
        raise JobNotFound(f"there is no job {row.job.job_id!r}")

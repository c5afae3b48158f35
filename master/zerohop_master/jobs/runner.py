"""Carries jobs out: a few at a time, each from where it was, with its progress written down every second."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from zerohop.errors import BucketNotFound, LeaseLost, ZerohopError
from zerohop.model import BucketRecord
from zerohop.tasks import TaskGroup
from zerohop_master import keys
from zerohop_master.jobs.cluster_calls import ClusterCalls
from zerohop_master.jobs.records import JobRecords, is_running
from zerohop_master.jobs.running import RunningJob
from zerohop_master.namespace import Namespace
from zerohop_master.rows import BUCKET, JobRow

__all__ = ["JobRunner", "Kind"]

_log = logging.getLogger(__name__)

Kind = Callable[[RunningJob], Awaitable[None]]
"""Carries out a job of one kind, from its cursor on. What it raises is why the job has failed."""

_AT_A_TIME: Final = 4
"""Jobs; the others wait, in the order in which they were started."""

_IDLE_S: Final = 1.0
_SAVE_S: Final = 1.0
_SOON_S: Final = 0.1


class JobRunner:
    """`run` it in a task. `is_holding`: whether this master does the housekeeping, and so this."""

    def __init__(
        self,
        namespace: Namespace,
        calls: ClusterCalls,
        tasks: TaskGroup,
        kinds: Mapping[str, Kind],
        is_holding: Callable[[], bool],
    ) -> None:
        self.records = JobRecords(namespace.store)
        self._namespace = namespace
        self._calls = calls
        self._tasks = tasks
        self._kinds = kinds
        self._is_holding = is_holding
        self._running: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There is a new job, or one less."""
        self._wake.set()

    def stop(self, job_id: str) -> None:
        """The job was cancelled: its row says so already."""
        task = self._running.get(job_id)
        if task is not None:
            task.cancel()

    async def wait(self, job_id: str, limit_s: float) -> None:
        """Returns when the job has ended, or after that time; sooner while it waits for its turn."""
        task = self._running.get(job_id)
        if task is None:
            await asyncio.sleep(min(limit_s, _SOON_S))
        else:
            await asyncio.wait((task,), timeout=limit_s)

    async def run(self) -> None:
        """For ever."""
        while True:
            self._wake.clear()
            try:
                # Without a worker nothing can be done, and a master that has just started may not know any yet.
                if self._is_holding() and self._calls.look():
                    await self._begin()
            except ZerohopError as error:
                _log.warning("jobs wait: %s", error)
            try:
                async with asyncio.timeout(_IDLE_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _begin(self) -> None:
        room = _AT_A_TIME - len(self._running)
        if room <= 0:
            return
        for row in await self.records.all():
            job_id = row.job.job_id
            if room and is_running(row.job) and job_id not in self._running:
                room -= 1
                task = self._tasks.start(f"job {job_id}", self._carry_out(row))
                self._running[job_id] = task
                task.add_done_callback(lambda _, job_id=job_id: self._ended(job_id))  # type: ignore[misc]

    def _ended(self, job_id: str) -> None:
        del self._running[job_id]
        self._wake.set()

    async def _carry_out(self, row: JobRow) -> None:
        job_id = row.job.job_id
        _log.info("job %s (%s) runs", job_id, row.job.kind)
        try:
            bucket = await self._bucket(row)
        except BucketNotFound as error:
            await self._end(RunningJob(row, None, ()), "failed", error.message)
            return
        job = RunningJob(row, bucket, await self.records.failures(job_id))
        saving = asyncio.create_task(self._save_on(job, asyncio.current_task()))
        try:
            await self._kinds[row.job.kind](job)
        except ZerohopError as error:
            await self._end(job, "failed", f"{error.code}: {error.message}")
        else:
            await self._end(job, "failed" if job.failed else "done", None)
        finally:
            saving.cancel()
            await asyncio.wait((saving,))

    async def _bucket(self, row: JobRow) -> BucketRecord | None:
        if not row.job.bucket:
            return None
        (found,) = await self._namespace.store.get([keys.bucket(row.job.bucket)])
        if found is None:
            raise BucketNotFound(f"bucket {row.job.bucket!r} is gone")
        return BUCKET.decode(found.value)

    async def _save_on(self, job: RunningJob, task: asyncio.Task[None] | None) -> None:
        """Writes progress while there is some. Ends the job when its row says that it has ended."""
        written = job.row
        while True:
            await asyncio.sleep(_SAVE_S)
            state = job.state(self._namespace.now_ms())
            failures = job.take_failures()
            if failures is None and _same(state, written):
                continue
            try:
                if not await self.records.save(state, failures):
                    if task is not None:
                        task.cancel()
                    return
                written = state
            except ZerohopError as error:
                _log.warning("the progress of job %s is written later: %s", job.row.job.job_id, error)
                if isinstance(error, LeaseLost):
                    return

    async def _end(self, job: RunningJob, state: str, message: str | None) -> None:
        row = job.state(self._namespace.now_ms(), state=state, message=message)
        await self.records.save(row, job.take_failures())
        await self.records.prune()
        _log.info("job %s (%s) is %s %s", row.job.job_id, row.job.kind, state, row.job.message)


def _same(one: JobRow, other: JobRow) -> bool:
    """Whether nothing is different but the time."""

    def shown(row: JobRow) -> tuple[object, ...]:
        job = row.job
        counts = (job.objects_total, job.objects_done, job.objects_failed, job.bytes_done)
        return (*counts, job.message, row.cursor)

    return shown(one) == shown(other)

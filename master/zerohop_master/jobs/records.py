"""The rows of jobs: how far each is, and what it failed at. Ids are ordered by time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from zerohop.errors import JobNotFound
from zerohop.rpc.master_api import JobFailure, JobInfo, JobResult
from zerohop_master import keys
from zerohop_master.kv.interface import KeyValueStore
from zerohop_master.rows import JOB, JOB_FAILURES, JobFailures, JobRow
from zerohop_master.transaction import Transaction, commit_internally

__all__ = ["MAX_FAILURES", "MAX_JOBS", "JobRecords", "is_running"]

MAX_FAILURES: Final = 100
"""Of one job that are kept, the latest."""

MAX_JOBS: Final = 2000
"""Rows that are read at once: more than there ever are."""

_MAX_ENDED: Final = 1000
"""Ended jobs that are kept, the latest."""


def is_running(job: JobInfo) -> bool:
    """Whether it has not ended."""
    return job.state == "running"


class JobRecords:
    """Access to the rows."""

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store

    async def all(self) -> list[JobRow]:
        """All jobs, the oldest first."""
        start, end = keys.span(keys.JOBS)
        return [JOB.decode(row.value) for row in await self._store.scan(start, end, limit=MAX_JOBS)]

    async def get(self, job_id: str) -> JobRow:
        """Raises JobNotFound."""
        (row,) = await self._store.get([keys.job(_id_bytes(job_id))])
        if row is None:
            raise JobNotFound(f"there is no job {job_id!r}")
        return JOB.decode(row.value)

    async def failures(self, job_id: str) -> tuple[JobFailure, ...]:
        """What it failed at."""
        (row,) = await self._store.get([keys.job_failures(_id_bytes(job_id))])
        return () if row is None else JOB_FAILURES.decode(row.value).failures

    async def result(self, job: JobInfo) -> JobResult:
        """The job with its failures."""
        return JobResult(job=job, failures=await self.failures(job.job_id))

    async def save(self, new: JobRow, failures: Sequence[JobFailure] | None) -> bool:
        """Writes the state of a running job; `failures` None: there are no new ones. False when it has ended by now, in
        another way.
        """
        job_id = _id_bytes(new.job.job_id)

        async def body(transaction: Transaction) -> bool:
            row = await transaction.get_one(keys.job(job_id))
            if row is None or not is_running(JOB.decode(row.value).job):
                return False
            transaction.put(row.key, JOB.encode(new))
            if failures is not None:
                kept = JobFailures(failures=tuple(failures[-MAX_FAILURES:]))
                transaction.put(keys.job_failures(job_id), JOB_FAILURES.encode(kept))
            return True

        return await commit_internally(self._store, body)

    async def cancel(self, transaction: Transaction, job_id: str, now_ms: int) -> JobRow:
        """Ends a running job; one that has ended stays as it is. Raises JobNotFound."""
        row = await transaction.get_one(keys.job(_id_bytes(job_id)))
        if row is None:
            raise JobNotFound(f"there is no job {job_id!r}")
        found = JOB.decode(row.value)
        if is_running(found.job):
            job = msgspec.structs.replace(found.job, state="cancelled", updated_ms=now_ms)
            found = msgspec.structs.replace(found, job=job)
            transaction.put(row.key, JOB.encode(found))
        return found

    async def prune(self) -> None:
        """Forgets the oldest ended jobs where there are too many."""
        ended = [row.job for row in await self.all() if not is_running(row.job)]
        if len(ended) <= _MAX_ENDED:
            return

        async def body(transaction: Transaction) -> None:
            for job in ended[: len(ended) - _MAX_ENDED]:
                job_id = _id_bytes(job.job_id)
                await transaction.get(keys.job(job_id), keys.job_failures(job_id))
                transaction.delete(keys.job(job_id))
                transaction.delete(keys.job_failures(job_id))

        await commit_internally(self._store, body)


def _id_bytes(job_id: str) -> bytes:
    """Raises JobNotFound for what is no id."""
    try:
        return bytes.fromhex(job_id)
    except ValueError:
        raise JobNotFound(f"there is no job {job_id!r}") from None

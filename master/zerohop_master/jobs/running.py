"""One job while it runs: what it counts, and when that is written down."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

import msgspec

from zerohop.errors import ZerohopError
from zerohop.model import BucketRecord, Caller
from zerohop.rpc.master_api import JobFailure
from zerohop_master.jobs.records import MAX_FAILURES
from zerohop_master.rows import JobRow

__all__ = ["OBJECTS_AT_A_TIME", "RunningJob"]

T = TypeVar("T")

OBJECTS_AT_A_TIME: Final = 16
"""Of one job: enough to keep some workers busy."""


class RunningJob:
    """Counts objects and bytes; those after the last cursor are counted anew when the job goes on from there."""

    def __init__(self, row: JobRow, bucket: BucketRecord | None, failures: Iterable[JobFailure]) -> None:
        self.row = row
        self.bucket = bucket
        self.caller = Caller(row.user, admin=row.admin)
        self.cursor = row.cursor
        self.total = row.job.objects_total
        self.message = ""
        self.done, self.failed, self.bytes_done = row.counted
        self._counted = row.counted
        self.failures = list(failures)
        self._has_new_failures = False

    def count(self, size_bytes: int = 0, objects: int = 1) -> None:
        """So many objects are done."""
        self.done += objects
        self.bytes_done += size_bytes

    def fail(self, key: str, error: ZerohopError) -> None:
        """An object could not be done."""
        self.failed += 1
        self.failures.append(JobFailure(key=key, message=f"{error.code}: {error.message}"[:500]))
        del self.failures[:-MAX_FAILURES]
        self._has_new_failures = True

    def show(self, failures: Iterable[JobFailure]) -> None:
        """These are the failures now; none of them is counted."""
        new = list(failures)[-MAX_FAILURES:]
        self._has_new_failures = self._has_new_failures or new != self.failures
        self.failures = new

    def reached(self, cursor: str) -> None:
        """All up to this key is done: the job goes on from there after a restart."""
        self.cursor = cursor
        self._counted = (self.done, self.failed, self.bytes_done)

    def take_failures(self) -> list[JobFailure] | None:
        """The failures if there are new ones since this was asked last."""
        has_new, self._has_new_failures = self._has_new_failures, False
        return list(self.failures) if has_new else None

    def state(self, now_ms: int, *, state: str = "running", message: str | None = None) -> JobRow:
        """The row as it should stand now."""
        job = msgspec.structs.replace(
            self.row.job,
            state=state,
            updated_ms=now_ms,
            objects_total=self.total,
            objects_done=self.done,
            objects_failed=self.failed,
            bytes_done=self.bytes_done,
            message=self.message if message is None else message,
        )
        return msgspec.structs.replace(self.row, job=job, cursor=self.cursor, counted=self._counted)

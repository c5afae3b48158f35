"""Jobs: work on many objects that a master drives and workers do, with progress, that goes on after a restart."""

from __future__ import annotations

import msgspec

from zerohop.model import Caller, Record
from zerohop.rpc.message import Request

__all__ = [
    "CancelJob",
    "GetJob",
    "JobFailure",
    "JobInfo",
    "JobPage",
    "JobResult",
    "ListJobs",
    "StartJob",
]


class JobFailure(Record, frozen=True):
    """One object for which a job did not do what it was to do."""

    key: str
    message: str
    attempts: int = 1
    next_ms: int = 0  # when it is tried again, 0: it is not


class JobInfo(Record, frozen=True):
    """`kind`: "load", "free", "pin", "unpin", "persist", "set_replication", "set_ttl", "drain", "rebalance".

    `state`: "running", "done", "failed", "cancelled". Counts are of objects; `objects_total` is -1 while not known.
    """

    job_id: str
    kind: str
    bucket: str = ""
    prefix: str = ""
    state: str = "running"
    created_ms: int = 0
    updated_ms: int = 0
    objects_total: int = -1
    objects_done: int = 0
    objects_failed: int = 0
    bytes_done: int = 0
    message: str = ""
    options: dict[str, str] = msgspec.field(default_factory=dict)


class JobResult(Record, frozen=True):
    """`failures`: the latest 100 at most."""

    job: JobInfo
    failures: tuple[JobFailure, ...] = ()


class JobPage(Record, frozen=True):
    jobs: tuple[JobInfo, ...]
    next_after: str  # "" when this was the last page


class StartJob(Request[JobResult], tag="start_job", kw_only=True):
    """Starts a job on the object `key_or_prefix` (or on all keys that begin with it, with `recursive`) of a bucket.

    `options` by kind; unknown ones are InvalidRequest. load: `replicas`, `bytes_per_second`; set_replication: `min`,
    `max` (0: no limit; both 0 end it); set_ttl: `ttl_s` (0 ends it), `action` (free or delete). Of no bucket, and for
    administrators alone: drain, which copies what the worker `worker` alone has cached to others, and rebalance.

    Raises BucketNotFound, InvalidRequest, AccessDenied, Overloaded when too many jobs wait.
    """

    caller: Caller
    kind: str
    bucket: str
    key_or_prefix: str = ""
    recursive: bool = False
    options: dict[str, str] = msgspec.field(default_factory=dict)
    mutation: bytes


class ListJobs(Request[JobPage], tag="list_jobs", kw_only=True):
    """Newest first. The queue of writes that mounts still have to persist shows as one running job a mount."""

    caller: Caller
    after: str = ""
    limit: int = 100


class GetJob(Request[JobResult], tag="get_job", kw_only=True):
    """As it is now, or when it has ended, if that is within `wait_s` (at most 10). Raises JobNotFound."""

    caller: Caller
    job_id: str
    wait_s: float = 0.0


class CancelJob(Request[JobResult], tag="cancel_job", kw_only=True):
    """What was done stays done. Raises JobNotFound; a job that has ended stays as it is."""

    caller: Caller
    job_id: str
    mutation: bytes

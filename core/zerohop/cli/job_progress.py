"""Starting a job from the command line, showing how far it is, and what became of it."""

from __future__ import annotations

import sys
from typing import Final

import click

from zerohop.cli.exit_codes import ExitCode
from zerohop.client.objects import ObjectClient
from zerohop.rpc.master_api import GetJob, JobFailure, JobInfo, JobResult, StartJob
from zerohop.rpc.mutation import new_mutation_id
from zerohop.units import format_size

__all__ = ["carry_out", "failure_line", "follow", "summary"]

_LOOK_S: Final = 1.0
_CALL_TIMEOUT_S: Final = 30.0
"""Long enough for a master that is restarted meanwhile: the job goes on."""

_SHOWN_FAILURES: Final = 10


async def carry_out(
    objects: ObjectClient,
    kind: str,
    bucket: str,
    key: str,
    *,
    recursive: bool,
    options: dict[str, str] | None = None,
    detach: bool = False,
) -> ExitCode:
    """Starts a job, and waits for its end unless `detach`. It goes on when this command is interrupted."""
    request = StartJob(
        caller=objects.caller,
        kind=kind,
        bucket=bucket,
        key_or_prefix=key,
        recursive=recursive,
        options=options or {},
        mutation=new_mutation_id(),
    )
    job = (await objects.client.call(request, timeout_s=_CALL_TIMEOUT_S)).job
    if detach:
        click.echo(job.job_id)
        return ExitCode.OK
    return await follow(objects, job.job_id)


async def follow(objects: ObjectClient, job_id: str) -> ExitCode:
    """Shows a job until it ends; its result as an exit status."""
    is_watched = sys.stderr.isatty()
    while True:
        request = GetJob(caller=objects.caller, job_id=job_id, wait_s=_LOOK_S)
        found = await objects.client.call(request, timeout_s=_CALL_TIMEOUT_S)
        if found.job.state != "running":
            break
        if is_watched:
            click.echo(f"\r\x1b[K{summary(found.job)}", nl=False, err=True)
    if is_watched:
        click.echo("\r\x1b[K", nl=False, err=True)
    _tell(found)
    return ExitCode.OK if found.job.state == "done" else ExitCode.FAILED


def _tell(found: JobResult) -> None:
    for failure in found.failures[-_SHOWN_FAILURES:]:
        click.echo(failure_line(failure), err=True)
    if len(found.failures) > _SHOWN_FAILURES:
        click.echo(f"more of them: zerohop admin jobs show {found.job.job_id}", err=True)
    click.echo(summary(found.job), err=found.job.state != "done")


def summary(job: JobInfo) -> str:
    """One line: what it does, and how far it is."""
    of = f" of {job.objects_total}" if job.objects_total >= 0 else ""
    parts = [f"{job.kind.replace('_', '-')} {job.state}: {job.objects_done}{of} {_objects(job)}"]
    if job.bytes_done:
        parts.append(format_size(job.bytes_done))
    if job.objects_failed:
        parts.append(f"{job.objects_failed} failed")
    if job.message:
        parts.append(job.message)
    return ", ".join(parts)


def _objects(job: JobInfo) -> str:
    counted = job.objects_total if job.objects_total >= 0 else job.objects_done
    return "object" if counted == 1 else "objects"


def failure_line(failure: JobFailure) -> str:
    """One line about an object that a job has failed at."""
    attempts = f" ({failure.attempts} attempts)" if failure.attempts > 1 else ""
    return f"  {failure.key}: {failure.message}{attempts}"

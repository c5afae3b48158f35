"""`zerohop admin jobs`: work on many objects, with its progress and its failures; and moving the cache about."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import click

from zerohop.cli.cluster_options import as_json, on_cluster
from zerohop.cli.columns import format_time
from zerohop.cli.exit_codes import ExitCode
from zerohop.cli.job_progress import carry_out, failure_line, summary
from zerohop.client.objects import ObjectClient
from zerohop.rpc.master_api import CancelJob, GetJob, JobInfo, JobResult, ListJobs
from zerohop.rpc.mutation import new_mutation_id

__all__ = ["drain", "jobs", "rebalance"]


@click.group()
def jobs() -> None:
    """List, show and cancel jobs. What mounted storage does not have yet shows as one job for each mount."""


@jobs.command("list")
@click.option(
    "--all", "show_all", is_flag=True, help="Also those that have ended longer ago than the latest 20."
)
@click.option("--json", "json_output", is_flag=True, help="Print a line of JSON for each.")
@on_cluster
async def list_jobs(objects: ObjectClient, show_all: bool, json_output: bool) -> None:
    """List jobs, the newest first."""
    ended = 0
    async for job in _all(objects):
        ended += job.state != "running"
        if ended > 20 and not show_all:
            break
        click.echo(as_json(_facts(job)) if json_output else _line(job))


async def _all(objects: ObjectClient) -> AsyncIterator[JobInfo]:
    after = ""
    while True:
        page = await objects.client.call(ListJobs(caller=objects.caller, after=after))
        for job in page.jobs:
            yield job
        after = page.next_after
        if not after:
            return


@jobs.command()
@click.argument("job_id")
@click.option("--json", "json_output", is_flag=True, help="Print JSON.")
@on_cluster
async def show(objects: ObjectClient, job_id: str, json_output: bool) -> None:
    """Show a job, and the latest objects that it has failed at."""
    found = await objects.client.call(GetJob(caller=objects.caller, job_id=job_id))
    _tell(found, json_output)


@jobs.command()
@click.argument("job_id")
@click.option("--json", "json_output", is_flag=True, help="Print JSON.")
@on_cluster
async def cancel(objects: ObjectClient, job_id: str, json_output: bool) -> None:
    """Cancel a job. What it has done stays done; a rule that it has set stays as well."""
    request = CancelJob(caller=objects.caller, job_id=job_id, mutation=new_mutation_id())
    found = await objects.client.call(request)
    _tell(found, json_output)
    if found.job.state != "cancelled":
        click.echo("It had ended already.", err=True)


@click.command()
@click.argument("worker_id")
@click.option("--detach", is_flag=True, help="Print the id of the job, and do not wait for its end.")
@on_cluster
async def drain(objects: ObjectClient, worker_id: str, detach: bool) -> ExitCode:
    """Copy what the worker WORKER_ID alone has cached to others, so that it can be stopped without a loss of warmth.

    Stop it afterwards: by itself it brings what is not persisted yet to the under-store.
    """
    options = {"worker": worker_id}
    return await carry_out(objects, "drain", "", "", recursive=True, options=options, detach=detach)


@click.command()
@click.option("--detach", is_flag=True, help="Print the id of the job, and do not wait for its end.")
@on_cluster
async def rebalance(objects: ObjectClient, detach: bool) -> ExitCode:
    """Give each worker copies of the cached blocks that belong to it. A worker that joins gets them by itself."""
    return await carry_out(objects, "rebalance", "", "", recursive=True, detach=detach)


def _line(job: JobInfo) -> str:
    where = f"/{job.bucket}/{job.prefix}" if job.bucket else "-"
    return f"{job.job_id}  {format_time(job.created_ms)}  {where}  {summary(job)}"


def _tell(found: JobResult, json_output: bool) -> None:
    if json_output:
        failures = [
            {
                "key": failure.key,
                "message": failure.message,
                "attempts": failure.attempts,
                "next_ms": failure.next_ms,
            }
            for failure in found.failures
        ]
        click.echo(as_json(_facts(found.job) | {"failures": failures}))
        return
    click.echo(_line(found.job))
    for name, value in found.job.options.items():
        click.echo(f"  {name}: {value}")
    for failure in found.failures:
        wait_s = failure.next_ms / 1000 - time.time()
        again = f", again in {wait_s:.0f} s" if wait_s > 0 else ""
        click.echo(failure_line(failure) + again)


def _facts(job: JobInfo) -> dict[str, object]:
    return {
        "id": job.job_id,
        "kind": job.kind,
        "state": job.state,
        "bucket": job.bucket,
        "prefix": job.prefix,
        "created_ms": job.created_ms,
        "updated_ms": job.updated_ms,
        "objects_total": job.objects_total,
        "objects_done": job.objects_done,
        "objects_failed": job.objects_failed,
        "bytes_done": job.bytes_done,
        "message": job.message,
        "options": job.options,
    }

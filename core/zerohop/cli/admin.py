"""`zerohop admin`: the state of the cluster, and what is done about it."""

from __future__ import annotations

from collections.abc import Iterator

import click

from zerohop import __version__
from zerohop.cli.admin_jobs import drain, jobs, rebalance
from zerohop.cli.admin_top import top
from zerohop.cli.cluster_options import as_json, on_cluster
from zerohop.client.objects import ObjectClient
from zerohop.model import ADMIN, TierUse, WorkerInfo
from zerohop.rpc.master_api import ClusterReport, ForgetWorker, GetReport, WorkerForgotten
from zerohop.units import format_size

__all__ = ["admin"]


@click.group()
def admin() -> None:
    """Look after the cluster."""


for _command in (top, jobs, drain, rebalance):
    admin.add_command(_command)


@admin.command()
@click.option("--json", "json_output", is_flag=True, help="Print JSON.")
@on_cluster
async def report(objects: ObjectClient, json_output: bool) -> None:
    """Report the master, the workers with capacity and use of their tiers, the proxies, versions and uptime."""
    found = await objects.client.call(GetReport(caller=ADMIN))
    if json_output:
        click.echo(as_json(_facts(found)))
        return
    for line in _lines(found):
        click.echo(line)


@admin.command()
@click.argument("worker_id")
@click.option("--verbose", is_flag=True, help="List the objects that are lost.")
@click.option("--json", "json_output", is_flag=True, help="Print JSON.")
@on_cluster
async def forget(objects: ObjectClient, worker_id: str, verbose: bool, json_output: bool) -> None:
    """Forget the lost worker WORKER_ID, which will never return: nothing waits for it any more.

    It no longer counts among the workers that `async_through` wants copies at. Objects that it alone held, and had not
    brought to the under-store, are lost, and are counted; they stay listed until they are deleted or written anew. A
    live worker is refused: stop it, and it leaves by itself.
    """
    found = await objects.client.call(ForgetWorker(caller=ADMIN, worker_id=worker_id), timeout_s=60.0)
    if json_output:
        click.echo(as_json(_loss(worker_id, found)))
        return
    click.echo(f"worker {worker_id} is forgotten")
    if found.count:
        contents = "1 content" if found.count == 1 else f"{found.count} contents"
        click.echo(f"lost with it: {contents}, {format_size(found.size_bytes)}")
    if verbose:
        for content in found.lost:
            for name in content.names or (f"content {content.content.hex()}",):
                click.echo(f"  {format_size(content.length):>9}  {name}")
        if found.count > len(found.lost):
            click.echo(f"  and {found.count - len(found.lost)} more")


def _loss(worker_id: str, found: WorkerForgotten) -> dict[str, object]:
    return {
        "worker": worker_id,
        "lost_contents": found.count,
        "lost_bytes": found.size_bytes,
        "lost": [
            {"content": one.content.hex(), "size_bytes": one.length, "objects": list(one.names)}
            for one in found.lost
        ],
    }


def _facts(found: ClusterReport) -> dict[str, object]:
    now_ms = found.now_ms
    return {
        "version": found.version,
        "uptime_s": _seconds(now_ms - found.started_ms),
        "master": {
            "address": found.address,
            "kv_engine": found.kv_engine,
            "admin_address": found.admin_address,
        },
        "buckets": found.bucket_count,
        "pending_deletions": found.pending_deletions,
        "workers": [
            {
                "id": worker.worker_id,
                "live": worker.live,
                "address": worker.address or worker.unix_address,
                "admin_address": worker.admin_address,
                "version": worker.version,
                "uptime_s": _seconds(now_ms - worker.started_ms),
                "silent_s": _seconds(now_ms - worker.last_heard_ms),
                "tiers": [
                    {
                        "name": tier.name,
                        "quota_bytes": tier.quota_bytes,
                        "used_bytes": tier.used_bytes,
                        "blocks": tier.block_count,
                        "lent_bytes": tier.lent_bytes,
                        "pinned_bytes": tier.pinned_bytes,
                    }
                    for tier in worker.tiers
                ],
            }
            for worker in found.workers
        ],
        "proxies": [
            {
                "id": proxy.proxy_id,
                "address": proxy.address,
                "admin_address": proxy.admin_address,
                "version": proxy.version,
                "silent_s": _seconds(now_ms - proxy.last_heard_ms),
            }
            for proxy in found.proxies
            if proxy.address
        ],
        "clients": sum(not proxy.address for proxy in found.proxies),
        "cli_version": __version__,
    }


def _seconds(duration_ms: int) -> float:
    return max(0, duration_ms) / 1000


def _lines(found: ClusterReport) -> Iterator[str]:
    live = sum(worker.live for worker in found.workers)
    yield f"zerohop {found.version}, up {_uptime(found.now_ms - found.started_ms)}"
    yield f"master   {found.address}  metadata in {found.kv_engine}"
    yield f"         {found.bucket_count} buckets, {found.pending_deletions} contents to be deleted"
    yield f"workers  {live} live, {len(found.workers) - live} lost"
    for worker in found.workers:
        yield from _worker_lines(worker, found.now_ms)
    proxies = [proxy for proxy in found.proxies if proxy.address]
    yield f"proxies  {len(proxies)}, and {len(found.proxies) - len(proxies)} other clients"
    for proxy in proxies:
        yield f"  {proxy.proxy_id}  {proxy.address}  zerohop {proxy.version}"


def _worker_lines(worker: WorkerInfo, now_ms: int) -> Iterator[str]:
    address = worker.address or worker.unix_address
    if worker.live:
        state = f"live, up {_uptime(now_ms - worker.started_ms)}"
    else:
        state = f"LOST, not heard of for {_uptime(now_ms - worker.last_heard_ms)}"
    yield f"  {worker.worker_id}  {address}  zerohop {worker.version}  {state}"
    for tier in worker.tiers:
        yield f"    {_tier_line(tier)}"


def _tier_line(tier: TierUse) -> str:
    share = f"{tier.used_bytes * 100 // tier.quota_bytes}%" if tier.quota_bytes else "-"
    use = f"{format_size(tier.used_bytes)} of {format_size(tier.quota_bytes)}"
    extra = f", {format_size(tier.lent_bytes)} lent" if tier.lent_bytes else ""
    return f"{tier.name:<4} {use:<24} {share:>4}  {tier.block_count} blocks{extra}"


def _uptime(duration_ms: int) -> str:
    seconds = max(0, duration_ms) // 1000
    days, rest = divmod(seconds, 86_400)
    clock = f"{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days} d {clock}" if days else clock

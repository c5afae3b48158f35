"""`zerohop fs mount`, `remount`, `unmount` and `sync`: storage that exists already, shown as a bucket."""

from __future__ import annotations

from typing import Final, TypeVar

import click

from zerohop.cli.cluster_options import as_json, on_cluster
from zerohop.cli.owners import OwnerNames, owner_of_new
from zerohop.cli.paths import ClusterPath, parse_cluster
from zerohop.client.objects import ObjectClient
from zerohop.errors import InvalidRequest
from zerohop.model import ADMIN, MountInfo
from zerohop.mount_options import MountSettings, read_mount_options
from zerohop.rpc.master_api import AddMount, ChangeMount, ListMounts, RemoveMount, SyncMount
from zerohop.rpc.mutation import new_mutation_id
from zerohop.units import format_size

__all__ = ["mount", "remount", "sync", "sync_mounted", "unmount"]

T = TypeVar("T")

_OPEN_TIMEOUT_S: Final = 120.0
"""A worker opens the origin first: its connection may take its time-outs and repetitions to fail."""


@click.command()
@click.argument("uri", required=False, default="")
@click.argument("path", required=False, default="")
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="See above; may be repeated.")
@click.option("--read-only", is_flag=True, help="Refuse writes.")
@click.option("--owner", default="", help="User whose bucket it becomes.")
@click.option("--json", "json_lines", is_flag=True, help="One JSON object a line, when listing.")
@on_cluster
async def mount(
    objects: ObjectClient,
    uri: str,
    path: str,
    options: tuple[str, ...],
    read_only: bool,
    owner: str,
    json_lines: bool,
) -> None:
    """Show what s3://bucket/prefix, gs://..., az://container/..., file:///folder or hdfs://namenode:port/folder
    holds as the bucket /NAME.

    Without arguments: list the mounts. The origin is opened before anything is created, and an error says what is
    wrong with it.

    Options of every mount: metadata_ttl (60; 0 asks at each read, -1 never again), write_policy (cache_through),
    read_only, block_size, quota. Options of S3: endpoint, region, path_style, access_key, secret_key,
    session_token, profile, anonymous; an unknown one is answered with the list of those that there are. Secrets
    are stored encrypted, or as references that each worker resolves: env:NAME, file:/path, profile:NAME.
    """
    if not uri:
        await _show(objects, json_lines=json_lines)
        return
    if not path:
        raise InvalidRequest("say where: zerohop fs mount URI /NAME")
    where = _mount_point(path)
    settings = read_mount_options(options)
    await _add(objects, uri, where, settings, owner=owner, read_only=read_only or settings.read_only)
    click.echo(f"{uri} is mounted at {where}")


def _mount_point(text: str) -> ClusterPath:
    from zerohop_proxy.bucket_name import is_valid_bucket_name

    path = parse_cluster(text.rstrip("/") or "/")
    if not path.is_bucket:
        raise InvalidRequest(
            f"{text!r} is no place for a mount: it has to be a folder of the root, such as /data"
        )
    if not is_valid_bucket_name(path.bucket):
        raise InvalidRequest(
            f"{path.bucket!r} is no bucket name: 3 to 63 lower-case letters, digits, dots and hyphens"
        )
    return path


async def _add(
    objects: ObjectClient,
    uri: str,
    where: ClusterPath,
    settings: MountSettings,
    *,
    owner: str,
    read_only: bool,
) -> None:
    request = AddMount(
        caller=ADMIN,
        mount=MountInfo(
            mount_id=b"",
            bucket=where.bucket,
            uri=uri,
            options=settings.options,
            read_only=read_only,
            write_policy=settings.write_policy,
            metadata_ttl_s=settings.metadata_ttl_s,
            block_size_bytes=settings.block_size_bytes,
            quota_bytes=settings.quota_bytes,
            owner=await owner_of_new(objects, owner),
        ),
        secrets=settings.secrets,
        mutation=new_mutation_id(),
    )
    await objects.client.call(request, timeout_s=_OPEN_TIMEOUT_S)


async def _show(objects: ObjectClient, *, json_lines: bool) -> None:
    owners = OwnerNames(objects)
    page = await objects.client.call(ListMounts(caller=ADMIN))
    for info in page.mounts:
        if json_lines:
            click.echo(as_json(await _facts(info, owners)))
        else:
            click.echo(_line(info))


def _line(info: MountInfo) -> str:
    ttl = "never" if info.metadata_ttl_s < 0 else f"{info.metadata_ttl_s:g}s"
    own = ["ro" if info.read_only else "rw", info.write_policy, f"ttl={ttl}"]
    if info.quota_bytes:
        own.append(f"quota={format_size(info.quota_bytes)}")
    if info.block_size_bytes:
        own.append(f"block_size={format_size(info.block_size_bytes)}")
    shown = [f"{name}={value}" for name, value in sorted(info.options.items())]
    shown += [f"{name}=***" for name in info.secret_options]
    return f"/{info.bucket}  {info.uri}  {','.join(own)}  {' '.join(shown)}".rstrip()


async def _facts(info: MountInfo, owners: OwnerNames) -> dict[str, object]:
    return {
        "path": f"/{info.bucket}",
        "uri": info.uri,
        "options": info.options,
        "secret_options": list(info.secret_options),
        "read_only": info.read_only,
        "write_policy": info.write_policy,
        "metadata_ttl_s": info.metadata_ttl_s,
        "block_size_bytes": info.block_size_bytes,
        "quota_bytes": info.quota_bytes,
        "owner": await owners.name(info.owner),
        "created_ms": info.created_ms,
    }


@click.command()
@click.argument("path")
@click.option(
    "--option", "options", multiple=True, metavar="NAME=VALUE", help="As of `mount`; may be repeated."
)
@on_cluster
async def remount(objects: ObjectClient, path: str, options: tuple[str, ...]) -> None:
    """Change options of a mount while it is read, such as credentials that were rotated, or its quota.

    Options that are not named stay as they are; `NAME=` without a value takes one away. Where what the origin is told
    changes, it is opened first, and an error changes nothing. Without options: open it anew, so that each worker reads
    the files and profiles again that its secrets refer to. What is cached stays.
    """
    settings = read_mount_options(options)
    if "block_size" in settings.given:
        raise InvalidRequest("the block size of a mount cannot be changed: unmount it, and mount it anew")

    def if_given(name: str, value: T) -> T | None:
        return value if name in settings.given else None

    # A quota or a TTL is ours, and changes while the origin is down.
    opens = bool(settings.options or settings.secrets or not options)
    request = ChangeMount(
        caller=ADMIN,
        bucket=_mount_point(path).bucket,
        read_only=if_given("read_only", settings.read_only),
        write_policy=if_given("write_policy", settings.write_policy),
        metadata_ttl_s=if_given("metadata_ttl", settings.metadata_ttl_s),
        quota_bytes=if_given("quota", settings.quota_bytes),
        options=settings.options if opens else None,
        secrets=settings.secrets if opens else None,
        mutation=new_mutation_id(),
    )
    changed = (await objects.client.call(request, timeout_s=_OPEN_TIMEOUT_S)).mount
    click.echo(_line(changed))


@click.command()
@click.argument("path")
@click.option(
    "--discard-local", is_flag=True, help="Lose what was written here and is not at the origin yet."
)
@on_cluster
async def unmount(objects: ObjectClient, path: str, discard_local: bool) -> None:
    """Stop showing a mounted store. What it holds stays as it is; what is cached of it is dropped."""
    request = RemoveMount(
        caller=ADMIN,
        bucket=_mount_point(path).bucket,
        discard_local=discard_local,
        mutation=new_mutation_id(),
    )
    await objects.client.call(request, timeout_s=_OPEN_TIMEOUT_S)


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@on_cluster
async def sync(objects: ObjectClient, paths: tuple[str, ...]) -> None:
    """Forget what is believed of the metadata below a mounted PATH: the next reader asks the origin.

    Bytes stay cached: those of an object that has not changed are good again once that is known.
    """
    for text in paths:
        path = parse_cluster(text)
        if path.is_root:
            raise InvalidRequest("name a mount, or something in one")
        request = SyncMount(caller=ADMIN, bucket=path.bucket, prefix=path.key, mutation=new_mutation_id())
        await objects.client.call(request)


async def sync_mounted(objects: ObjectClient, path: ClusterPath) -> None:
    """As `sync` for whatever is mounted at or below the path; a native bucket needs none."""
    mounts = (await objects.client.call(ListMounts(caller=ADMIN))).mounts
    for info in mounts:
        if path.is_root or info.bucket == path.bucket:
            request = SyncMount(caller=ADMIN, bucket=info.bucket, prefix=path.key, mutation=new_mutation_id())
            await objects.client.call(request)

"""`zerohop fs ls` and `du`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import click

from zerohop.cli.away_origins import AwayOrigins
from zerohop.cli.cached_share import cached_bytes
from zerohop.cli.cluster_options import as_json, on_cluster
from zerohop.cli.columns import Row, cached_percent, format_row
from zerohop.cli.exit_codes import ExitCode
from zerohop.cli.fs_mount import sync_mounted
from zerohop.cli.owners import OwnerNames
from zerohop.cli.paths import ClusterPath, parse_cluster
from zerohop.cli.tree import objects_below, require
from zerohop.client.objects import ObjectClient
from zerohop.rpc.master_api import ObjectPage
from zerohop.units import format_size

__all__ = ["du", "ls"]

# `-h` means human sizes here, as everywhere among file commands.
_HELP = {"help_option_names": ["--help"]}


@click.command(context_settings=_HELP)
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option("-R", "--recursive", is_flag=True, help="Everything below, not only what is in the folder.")
@click.option("-h", "--human", is_flag=True, help="Sizes such as 4KiB.")
@click.option("--sync", "synced", is_flag=True, help="Below a mount: as its origin has it now.")
@click.option("--json", "json_lines", is_flag=True, help="One JSON object a line.")
@on_cluster
async def ls(
    objects: ObjectClient,
    paths: tuple[str, ...],
    recursive: bool,
    human: bool,
    synced: bool,
    json_lines: bool,
) -> ExitCode:
    """List buckets (/), a folder or an object.

    Prints mode, owner, group, size, persisted state, time of modification, cached share and path. Owner and group
    are the bucket's owner. The cached share is asked of the workers, a page of objects at a time.

    Below a mount whose origin cannot be asked, what the cluster knows is listed, with a warning and exit status 7.
    """
    away = AwayOrigins(objects)
    for text in paths or ("/",):
        path = parse_cluster(text)
        if synced:
            await sync_mounted(objects, path)
        async for row in _rows(objects, away, path, recursive=recursive):
            click.echo(as_json(_facts(row)) if json_lines else format_row(row, human=human))
    return ExitCode.RETRY_LATER if away else ExitCode.OK


def _facts(row: Row) -> dict[str, object]:
    facts: dict[str, object] = {
        "path": row.path,
        "type": "folder" if row.is_folder else "object",
        "owner": row.owner,
        "modified_ms": row.modified_ms,
    }
    if not row.is_folder:
        facts |= {
            "size_bytes": row.size_bytes,
            "persisted": row.persisted,
            "cached_bytes": row.cached_bytes,
            "cached_percent": cached_percent(row.size_bytes, row.cached_bytes),
        }
    return facts


async def _rows(
    objects: ObjectClient, away: AwayOrigins, path: ClusterPath, *, recursive: bool
) -> AsyncIterator[Row]:
    owners = OwnerNames(objects)
    if path.is_root:
        async for bucket in objects.buckets():
            here = ClusterPath(bucket.name)
            yield Row(
                str(here), await owners.name(bucket.owner), modified_ms=bucket.created_ms, is_folder=True
            )
            if recursive:
                async for row in _folder(objects, away, owners, here, recursive=True):
                    yield row
        return
    found = await require(objects, path, away)
    if found.file is not None:
        record = found.file.record
        cached = await cached_bytes(objects, path.bucket, [record.key])
        yield Row(
            str(path),
            await owners.name(found.file.bucket_owner),
            record.size_bytes,
            record.modified_ms,
            persisted=not record.unpersisted and (not found.file.mount_id or record.origin is not None),
            cached_bytes=cached[record.key],
        )
    if found.is_folder:
        async for row in _folder(objects, away, owners, path, recursive=recursive):
            yield row


async def _folder(
    objects: ObjectClient, away: AwayOrigins, owners: OwnerNames, folder: ClusterPath, *, recursive: bool
) -> AsyncIterator[Row]:
    async for page in away.pages(folder.bucket, folder.folder_prefix, "" if recursive else "/"):
        for row in await _page_rows(objects, folder, page, await owners.name(page.owner)):
            yield row


async def _page_rows(objects: ObjectClient, folder: ClusterPath, page: ObjectPage, owner: str) -> list[Row]:
    files = [entry for entry in page.entries if not entry.key.endswith("/")]
    cached = await cached_bytes(objects, folder.bucket, [entry.key for entry in files])
    rows = {
        entry.key: Row(
            f"/{folder.bucket}/{entry.key}",
            owner,
            entry.size_bytes,
            entry.modified_ms,
            persisted=entry.persisted,
            cached_bytes=cached[entry.key],
        )
        for entry in files
    }
    for entry in page.entries:
        if entry.key.endswith("/") and entry.key != folder.folder_prefix:
            rows[entry.key] = Row(
                f"/{folder.bucket}/{entry.key}", owner, modified_ms=entry.modified_ms, is_folder=True
            )
    for prefix in page.prefixes:
        rows.setdefault(prefix, Row(f"/{folder.bucket}/{prefix}", owner, is_folder=True))
    return [rows[name] for name in sorted(rows, key=str.encode)]


@click.command(context_settings=_HELP)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("-h", "--human", is_flag=True, help="Sizes such as 4KiB.")
@click.option("--json", "json_lines", is_flag=True, help="One JSON object a line.")
@on_cluster
async def du(objects: ObjectClient, paths: tuple[str, ...], human: bool, json_lines: bool) -> None:
    """Add up the sizes of all objects below each path: bytes, number of objects, path."""
    for text in paths:
        path = parse_cluster(text)
        size_bytes, count = await _usage(objects, path)
        if json_lines:
            click.echo(as_json({"path": str(path), "size_bytes": size_bytes, "objects": count}))
        else:
            click.echo(f"{format_size(size_bytes) if human else size_bytes:>14} {count:>10} {path}")


async def _usage(objects: ObjectClient, path: ClusterPath) -> tuple[int, int]:
    if path.is_root:
        sums = [await _usage(objects, ClusterPath(bucket.name)) async for bucket in objects.buckets()]
        return sum(size for size, _ in sums), sum(count for _, count in sums)
    found = await require(objects, path)
    size_bytes, count = (found.file.record.size_bytes, 1) if found.file is not None else (0, 0)
    if found.is_folder:
        async for entry in objects_below(objects, path):
            size_bytes += entry.size_bytes
            count += 1
    return size_bytes, count

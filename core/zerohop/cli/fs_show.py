"""`zerohop fs stat`, `cat`, `head`, `tail`, `test`, `checksum` and `location`: what one path is and holds."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import click

from zerohop.cli.cached_share import cached_by_worker, cached_bytes
from zerohop.cli.cluster_options import as_json, on_cluster, reading_cluster
from zerohop.cli.columns import cached_percent, format_time
from zerohop.cli.exit_codes import ExitCode
from zerohop.cli.owners import OwnerNames
from zerohop.cli.paths import ClusterPath, parse_cluster
from zerohop.cli.standard_output import write_out
from zerohop.cli.tree import Found, find, require
from zerohop.client.objects import ObjectClient
from zerohop.errors import InvalidRequest
from zerohop.rpc.master_api import ObjectResult
from zerohop.units import parse_size

__all__ = ["cat", "checksum", "head", "location", "stat", "tail", "test"]


def _size(_context: click.Context, _option: click.Parameter, text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


_bytes_option = click.option(
    "-c",
    "--bytes",
    "size_bytes",
    metavar="SIZE",
    callback=_size,
    default="1KiB",
    show_default=True,
    help="How many bytes.",
)


async def _object(objects: ObjectClient, text: str) -> ObjectResult:
    """The object at a path. Raises InvalidRequest for a folder, KeyNotFound for nothing."""
    path = parse_cluster(text)
    found = await require(objects, path)
    if found.file is None:
        raise InvalidRequest(f"{path} is a folder: name an object in it")
    return found.file


@click.command()
@click.argument("path")
@click.option("--json", "json_output", is_flag=True, help="Print JSON.")
@on_cluster
async def stat(objects: ObjectClient, path: str, json_output: bool) -> None:
    """Show everything that is known of a path."""
    found = await require(objects, parse_cluster(path))
    facts = await _facts(objects, found)
    if json_output:
        click.echo(as_json(facts))
        return
    for name, value in facts.items():
        if value not in ("", None, {}, [], b""):
            click.echo(f"{name:<16} {_shown(name, value)}")


def _shown(name: str, value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={text}" for key, text in value.items())
    if name.endswith("_ms") and isinstance(value, int):
        return f"{value} ({format_time(value)})"
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


async def _facts(objects: ObjectClient, found: Found) -> dict[str, Any]:
    path, owners = found.path, OwnerNames(objects)
    if path.is_root:
        return {"path": "/", "type": "folder"}
    bucket = await objects.bucket(path.bucket)
    facts: dict[str, Any] = {
        "path": str(path),
        "type": "object" if found.file is not None else "bucket" if path.is_bucket else "folder",
        "owner": await owners.name(bucket.owner),
        "owner_id": bucket.owner,
    }
    if path.is_bucket:
        return facts | {"created_ms": bucket.created_ms, "location": bucket.location}
    if found.file is None:
        return facts
    record = found.file.record
    cached = (await cached_bytes(objects, path.bucket, [record.key]))[record.key]
    return facts | {
        "also_a_folder": found.is_folder,
        "size_bytes": record.size_bytes,
        "modified_ms": record.modified_ms,
        "etag": record.etag,
        "checksums": record.checksums,
        "checksum_type": record.checksum_type,
        "version_id": record.version_id,
        "storage_class": record.storage_class,
        "persisted": not record.unpersisted,
        "inline": bool(record.inline),
        "parts": record.part_count,
        "contents": len(record.segments),
        "cached_bytes": cached,
        "cached_percent": cached_percent(record.size_bytes, cached),
        "headers": record.headers,
        "metadata": record.metadata,
    }


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@reading_cluster
async def cat(objects: ObjectClient, paths: tuple[str, ...]) -> None:
    """Write objects to standard output, in bounded memory."""
    for text in paths:
        await _write_range(objects, text, 0, None)


@click.command()
@click.argument("path")
@_bytes_option
@reading_cluster
async def head(objects: ObjectClient, path: str, size_bytes: int) -> None:
    """Write the first bytes of an object."""
    await _write_range(objects, path, 0, size_bytes)


@click.command()
@click.argument("path")
@_bytes_option
@reading_cluster
async def tail(objects: ObjectClient, path: str, size_bytes: int) -> None:
    """Write the last bytes of an object."""
    if size_bytes:
        await _write_range(objects, path, -size_bytes, None)


async def _write_range(objects: ObjectClient, text: str, offset: int, size: int | None) -> None:
    record, path = (await _object(objects, text)).record, parse_cluster(text)
    async with aclosing(objects.read(path.bucket, record.key, offset, size)) as chunks:
        async for chunk in chunks:
            await write_out(chunk)


@click.command()
@click.argument("path")
@click.option("-e", "question", flag_value="e", help="It exists.", default=True)
@click.option("-f", "question", flag_value="f", help="It is an object.")
@click.option("-d", "question", flag_value="d", help="It is a bucket or a folder.")
@click.option("-z", "question", flag_value="z", help="It is an empty object.")
@click.option("-s", "question", flag_value="s", help="It is an object that is not empty.")
@on_cluster
async def test(objects: ObjectClient, path: str, question: str) -> int:
    """Answer a question by the exit status: 0 yes, 1 no."""
    found = await find(objects, parse_cluster(path))
    size = found.file.record.size_bytes if found.file is not None else None
    answers = {
        "e": found.exists,
        "f": size is not None,
        "d": found.is_folder,
        "z": size == 0,
        "s": size is not None and size > 0,
    }
    return ExitCode.OK if answers[question] else ExitCode.FAILED


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--json", "json_lines", is_flag=True, help="One JSON object a line.")
@on_cluster
async def checksum(objects: ObjectClient, paths: tuple[str, ...], json_lines: bool) -> None:
    """Print the ETag, the stored checksums, and the MD5 where it is known (not for multipart objects)."""
    for text in paths:
        path = str(parse_cluster(text))
        record = (await _object(objects, text)).record
        # The ETag of an object that came in one piece is its MD5; that of several parts says nothing of the whole.
        md5 = record.etag if record.part_count == 0 and "-" not in record.etag else ""
        if json_lines:
            click.echo(
                as_json({"path": path, "etag": record.etag, "md5": md5, "checksums": record.checksums})
            )
            continue
        sums = [("etag", record.etag), ("md5", md5 or "unknown"), *sorted(record.checksums.items())]
        for name, value in sums:
            click.echo(f"{name:<10} {value:<44} {path}")


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--json", "json_lines", is_flag=True, help="One JSON object a line.")
@on_cluster
async def location(objects: ObjectClient, paths: tuple[str, ...], json_lines: bool) -> None:
    """Print which workers have blocks of an object cached, and how much of it."""
    for text in paths:
        await _locate(objects, parse_cluster(text), await _object(objects, text), json_lines=json_lines)


async def _locate(
    objects: ObjectClient, path: ClusterPath, result: ObjectResult, *, json_lines: bool
) -> None:
    by_worker = await cached_by_worker(objects, result)
    size, inline = result.record.size_bytes, bool(result.record.inline)
    addresses = {
        worker.worker_id: worker.address or worker.unix_address for worker in objects.client.workers.all
    }
    if json_lines:
        workers = [
            {"worker": worker, "address": addresses.get(worker, ""), "cached_bytes": cached}
            for worker, cached in by_worker.items()
        ]
        click.echo(as_json({"path": str(path), "size_bytes": size, "inline": inline, "workers": workers}))
        return
    if inline or not by_worker:
        where = "in the metadata (the object is small)" if inline else "not cached"
        click.echo(f"{path}: {where}")
    for worker, cached in by_worker.items():
        share = cached_percent(size, cached)
        click.echo(
            f"{path}: {share}% ({cached} bytes) on worker {worker} {addresses.get(worker, '')}".rstrip()
        )

"""`zerohop fs load|free|pin|unpin|persist|set-ttl|set-replication`: what of objects is cached, and for how long."""

from __future__ import annotations

from collections.abc import Callable

import click

from zerohop.cli.away_origins import AwayOrigins
from zerohop.cli.cluster_options import on_cluster
from zerohop.cli.exit_codes import ExitCode
from zerohop.cli.job_progress import carry_out
from zerohop.cli.paths import ClusterPath, parse_cluster
from zerohop.cli.tree import find, require
from zerohop.client.objects import ObjectClient
from zerohop.errors import InvalidRequest
from zerohop.units import parse_duration, parse_size

__all__ = ["free", "load", "persist", "pin", "set_replication", "set_ttl", "unpin"]

_Command = Callable[..., object]

_path = click.argument("path")
_recursive = click.option(
    "-R", "--recursive", is_flag=True, help="A folder or bucket with all that is in it."
)
_detach = click.option("--detach", is_flag=True, help="Print the id of the job, and do not wait for its end.")


async def _run(
    objects: ObjectClient,
    kind: str,
    path: str,
    recursive: bool,
    detach: bool,
    options: dict[str, str] | None = None,
    *,
    is_rule: bool = False,
) -> ExitCode:
    named = parse_cluster(path)
    if named.is_root:
        raise InvalidRequest("name a bucket, or something in one")
    # Only what is to be loaded has to be at the origin; to the others it only says what is a folder.
    away = None if kind == "load" else AwayOrigins(objects)
    key, is_prefix = await _meant(objects, named, away, recursive=recursive, is_rule=is_rule)
    return await carry_out(
        objects, kind, named.bucket, key, recursive=is_prefix, options=options, detach=detach
    )


async def _meant(
    objects: ObjectClient, path: ClusterPath, away: AwayOrigins | None, *, recursive: bool, is_rule: bool
) -> tuple[str, bool]:
    """The key, or the prefix and True. For a rule what does not exist yet is taken by its name: it may come later."""
    found = await (find if is_rule else require)(objects, path, away)
    if recursive:
        return (
            (path.key, False)
            if found.file is not None and not found.is_folder
            else (path.folder_prefix, True)
        )
    if path.is_bucket or path.key.endswith("/") or (found.is_folder and found.file is None):
        raise InvalidRequest(f"{path} is a folder: add -R for all that is in it")
    return path.key, False


@click.command()
@_path
@_recursive
@click.option(
    "--replicas",
    type=click.IntRange(min=1),
    default=1,
    help="On so many workers, or on all where there are fewer.  [default: 1]",
)
@click.option("--rate", metavar="SIZE", help="At most so many bytes a second, such as 100MiB.")
@_detach
@on_cluster
async def load(
    objects: ObjectClient, path: str, recursive: bool, replicas: int, rate: str | None, detach: bool
) -> ExitCode:
    """Have an object cached, or with -R a folder, before anybody reads it.

    The workers fetch it from the under-store or the mounted storage, each what belongs to it.
    """
    options = {"replicas": str(replicas)}
    if rate is not None:
        options["bytes_per_second"] = str(_size(rate.removesuffix("/s")))
    return await _run(objects, "load", path, recursive, detach, options)


@click.command()
@_path
@_recursive
@_detach
@on_cluster
async def free(objects: ObjectClient, path: str, recursive: bool, detach: bool) -> ExitCode:
    """Let go of what is cached of an object, or with -R of a folder. The objects stay.

    What is pinned, or not persisted yet, is kept.
    """
    return await _run(objects, "free", path, recursive, detach)


@click.command()
@_path
@_recursive
@_detach
@on_cluster
async def pin(objects: ObjectClient, path: str, recursive: bool, detach: bool) -> ExitCode:
    """Keep in the cache what is, and what comes to be, cached of an object, or with -R of a folder.

    It holds until `unpin`, also for objects that are written later. Pinned objects may take half of the cache.
    """
    return await _run(objects, "pin", path, recursive, detach, is_rule=True)


@click.command()
@_path
@_recursive
@_detach
@on_cluster
async def unpin(objects: ObjectClient, path: str, recursive: bool, detach: bool) -> ExitCode:
    """End `pin`; with -R also of all in a folder."""
    return await _run(objects, "unpin", path, recursive, detach, is_rule=True)


@click.command()
@_path
@_recursive
@_detach
@on_cluster
async def persist(objects: ObjectClient, path: str, recursive: bool, detach: bool) -> ExitCode:
    """Bring to the mounted storage, or to the under-store, what only workers hold; wait until it is there.

    Writes with `must_cache` are brought nowhere without it; what waits after a failure is tried at once.
    """
    return await _run(objects, "persist", path, recursive, detach)


@click.command("set-ttl")
@_path
@click.argument("ttl")
@_recursive
@click.option(
    "--action",
    type=click.Choice(["free", "delete"]),
    default="free",
    help="Free what was cached so long ago, or delete objects that were written so long ago.  [default: free]",
)
@_detach
@on_cluster
async def set_ttl(
    objects: ObjectClient, path: str, ttl: str, recursive: bool, action: str, detach: bool
) -> ExitCode:
    """Give an object, or with -R a folder, a time to live, such as 1h or 30d; 0 ends it.

    Deleting goes through to the mounted storage.
    """
    options = {"ttl_s": f"{_duration_s(ttl):g}", "action": action}
    return await _run(objects, "set_ttl", path, recursive, detach, options, is_rule=True)


@click.command("set-replication")
@_path
@_recursive
@click.option(
    "--min", "least", type=click.IntRange(min=0), default=0, help="Workers that have a copy, at least."
)
@click.option("--max", "most", type=click.IntRange(min=0), default=0, help="At most.  [default: any number]")
@_detach
@on_cluster
async def set_replication(
    objects: ObjectClient, path: str, recursive: bool, least: int, most: int, detach: bool
) -> ExitCode:
    """Keep cached blocks of an object, or with -R of a folder, on --min to --max workers; without them, end it.

    What nobody has cached is not loaded.
    """
    options = {"min": str(least), "max": str(most)}
    return await _run(objects, "set_replication", path, recursive, detach, options, is_rule=True)


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None


def _duration_s(text: str) -> float:
    if text == "0":
        return 0.0
    try:
        return parse_duration(text)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None

"""`zerohop fs mkdir`, `touch`, `rm` and `mv`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import click

from zerohop.cli.cluster_options import on_cluster, reading_cluster
from zerohop.cli.owners import owner_of_new
from zerohop.cli.paths import ClusterPath, parse_cluster
from zerohop.cli.tree import FOLDER_TYPE, Found, find, objects_below, require
from zerohop.client.objects import ObjectClient
from zerohop.errors import (
    BucketAlreadyOwned,
    Conflict,
    InvalidRequest,
    NeedsBytes,
    PreconditionFailed,
    ZerohopError,
    error_class,
)

__all__ = ["destination", "mkdir", "mv", "rm", "touch"]

_BATCH = 1000
"""Keys that one request deletes."""


def _say_not_atomic(what: str) -> None:
    click.echo(f"{what} object by object (not atomic; if interrupted, run it again for the rest)", err=True)


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("-p", "--parents", is_flag=True, help="No error if it exists; also create the bucket.")
@on_cluster
async def mkdir(objects: ObjectClient, paths: tuple[str, ...], parents: bool) -> None:
    """Create a bucket (/bucket) or a folder (/bucket/folder, an empty object `folder/`)."""
    for text in paths:
        path = parse_cluster(text)
        if path.is_root:
            raise InvalidRequest("name a bucket or a folder: /BUCKET or /BUCKET/FOLDER")
        if path.is_bucket or parents:
            _check_bucket_name(path.bucket)
            try:
                await objects.create_bucket(path.bucket, owner=await owner_of_new(objects))
            except BucketAlreadyOwned:
                if not parents:
                    raise
        if not path.is_bucket:
            await _make_folder(objects, path, exist_ok=parents)


def _check_bucket_name(name: str) -> None:
    """Raises InvalidRequest for a bucket that no S3 client could address."""
    from zerohop_proxy.bucket_name import is_valid_bucket_name

    if not is_valid_bucket_name(name):
        raise InvalidRequest(
            f"{name!r} is no bucket name: 3 to 63 lower-case letters, digits, dots and hyphens (S3's naming rules)"
        )


async def _make_folder(objects: ObjectClient, path: ClusterPath, *, exist_ok: bool) -> None:
    found = await find(objects, path)
    if found.exists:
        if exist_ok and found.is_folder:
            return
        raise PreconditionFailed(f"{path} exists already")
    headers = {"content-type": FOLDER_TYPE}
    try:
        await objects.write(path.bucket, path.folder_prefix, b"", headers=headers, expected_version=0)
    except Conflict:
        if not exist_ok:
            raise PreconditionFailed(f"{path} exists already") from None


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@reading_cluster
async def touch(objects: ObjectClient, paths: tuple[str, ...]) -> None:
    """Create empty objects; of those that exist set the time of modification to now."""
    for text in paths:
        path = parse_cluster(text)
        if path.is_root or path.is_bucket:
            raise InvalidRequest(f"{path} is no object: use mkdir for a bucket")
        try:
            await objects.write(path.bucket, path.key, b"", expected_version=0)
        except Conflict:
            await objects.copy(path.bucket, path.key, path.bucket, path.key)


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("-R", "--recursive", is_flag=True, help="Folders and buckets with all that is in them.")
@on_cluster
async def rm(objects: ObjectClient, paths: tuple[str, ...], recursive: bool) -> None:
    """Delete objects; with -R also folders and buckets, object by object.

    Deleting a folder is not atomic: others see it shrink. After an interruption the same command deletes the rest.
    """
    for text in paths:
        path = parse_cluster(text)
        if path.is_root:
            raise InvalidRequest("refusing to delete every bucket: name one")
        found = await require(objects, path)
        if found.file is not None:
            await _delete(objects, path.bucket, [path.key])
        if not found.is_folder or (found.file is not None and not recursive):
            continue
        if recursive:
            await _remove_below(objects, path)
        elif path.is_bucket:
            await objects.delete_bucket(path.bucket)
        else:
            raise InvalidRequest(f"{path} is a folder: add -R to delete it with all that is in it")


async def _remove_below(objects: ObjectClient, folder: ClusterPath) -> None:
    _say_not_atomic(f"deleting {folder}")
    batch: list[str] = []
    async for entry in objects_below(objects, folder):
        batch.append(entry.key)
        if len(batch) == _BATCH:
            await _delete(objects, folder.bucket, batch)
            batch = []
    await _delete(objects, folder.bucket, batch)
    if folder.is_bucket:
        await objects.delete_bucket(folder.bucket)


async def _delete(objects: ObjectClient, bucket: str, keys: list[str]) -> None:
    if not keys:
        return
    for outcome in await objects.delete(bucket, keys):
        if outcome.error:
            raise error_class(outcome.error)(f"/{bucket}/{outcome.key}: {outcome.message}")


@click.command()
@click.argument("source")
@click.argument("target")
@click.option("-n", "--no-clobber", is_flag=True, help="Fail rather than replace an object.")
@reading_cluster
async def mv(objects: ObjectClient, source: str, target: str, no_clobber: bool) -> None:
    """Move an object or a folder within the cluster.

    An object moves in one step. A folder moves object by object: not atomically, and after an interruption the same
    command moves the rest. Into a TARGET that is a bucket or folder, or ends in /, SOURCE moves under its own name.
    """
    old = parse_cluster(source)
    if old.is_root or old.is_bucket:
        raise InvalidRequest("a bucket cannot be renamed: move what is in it with cp -R and rm -R")
    found = await require(objects, old)
    new = await destination(objects, parse_cluster(target), old.name)
    if found.file is not None:
        await _move(objects, old, new, overwrite=not no_clobber)
    if found.is_folder:
        await _move_folder(objects, found, new, overwrite=not no_clobber)


async def destination(objects: ObjectClient, target: ClusterPath, name: str) -> ClusterPath:
    """Where something called `name` goes: into a target that is a folder, else to the target itself."""
    if target.is_root:
        raise InvalidRequest("name a target in a bucket: /BUCKET/...")
    if target.is_bucket or target.key.endswith("/") or (await find(objects, target)).is_folder:
        return target.child(name)
    return target


async def _move_folder(objects: ObjectClient, found: Found, new: ClusterPath, *, overwrite: bool) -> None:
    old = found.path
    if old.bucket == new.bucket and new.folder_prefix.startswith(old.folder_prefix):
        raise InvalidRequest(f"{old} cannot be moved into itself ({new})")
    _say_not_atomic(f"moving {old} to {new}")
    async for key in _keys_below(objects, old):
        moved = ClusterPath(new.bucket, new.folder_prefix + key[len(old.folder_prefix) :])
        await _move(objects, ClusterPath(old.bucket, key), moved, overwrite=overwrite)


async def _keys_below(objects: ObjectClient, folder: ClusterPath) -> AsyncIterator[str]:
    async for entry in objects_below(objects, folder):
        yield entry.key


async def _move(objects: ObjectClient, old: ClusterPath, new: ClusterPath, *, overwrite: bool) -> None:
    if old == new:
        return
    try:
        await objects.rename(old.bucket, old.key, new.bucket, new.key, overwrite=overwrite)
    except NeedsBytes:
        if not overwrite and (await find(objects, new)).file is not None:
            raise PreconditionFailed(f"{new} exists already") from None
        await objects.copy(old.bucket, old.key, new.bucket, new.key)
        await _delete(objects, old.bucket, [old.key])
    except ZerohopError as error:
        raise type(error)(f"{old} -> {new}: {error.message}", **error.details) from None

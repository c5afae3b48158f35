"""Files over flat keys: what a path is, and what is in a folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from zerohop.cli.away_origins import IS_AWAY, AwayOrigins
from zerohop.cli.paths import ClusterPath
from zerohop.client.objects import ObjectClient
from zerohop.errors import BucketNotFound, KeyNotFound
from zerohop.rpc.master_api import ListEntry, ObjectResult

__all__ = ["FOLDER_TYPE", "Found", "find", "objects_below", "require"]

FOLDER_TYPE = "application/x-directory"
"""Content type of the empty object that stands for a folder."""


@dataclass(frozen=True, slots=True)
class Found:
    """What stands at a path: an object, a folder (a bucket, a `key/` object or keys below), both, or nothing."""

    path: ClusterPath
    file: ObjectResult | None = None
    is_folder: bool = False

    @property
    def exists(self) -> bool:
        """Whether there is anything."""
        return self.file is not None or self.is_folder


async def find(objects: ObjectClient, path: ClusterPath, away: AwayOrigins | None = None) -> Found:
    """Looks a path up. A path that ends in `/` is asked for as a folder only. With `away`, what is known is found also
    where the origin of a mount cannot be asked.
    """
    if path.is_root:
        return Found(path, is_folder=True)
    try:
        if path.is_bucket:
            await objects.bucket(path.bucket)
            return Found(path, is_folder=True)
        file = None if path.key.endswith("/") else await _lookup(objects, path)
        async for page in objects.pages(path.bucket, path.folder_prefix, limit=1):
            return Found(path, file, bool(page.entries))
    except BucketNotFound:
        return Found(path)
    except IS_AWAY as error:
        if away is None:
            raise
        await away.add(path.bucket, error)
        return Found(path, *await away.known(path))
    return Found(path, file)


async def _lookup(objects: ObjectClient, path: ClusterPath) -> ObjectResult | None:
    try:
        return await objects.lookup(path.bucket, path.key)
    except KeyNotFound:
        return None


async def require(objects: ObjectClient, path: ClusterPath, away: AwayOrigins | None = None) -> Found:
    """As `find`; raises KeyNotFound or BucketNotFound when nothing is there."""
    found = await find(objects, path, away)
    if found.exists:
        return found
    await objects.bucket(path.bucket)  # says that the bucket is missing, if it is
    raise KeyNotFound(f"{path} does not exist: `zerohop fs ls {ClusterPath(path.bucket)}` shows what does")


async def objects_below(objects: ObjectClient, folder: ClusterPath) -> AsyncIterator[ListEntry]:
    """Every object of a folder and the folders in it, in key order, the folder's own marker included."""
    async for page in objects.pages(folder.bucket, folder.folder_prefix):
        for entry in page.entries:
            yield entry

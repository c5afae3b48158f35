"""The one place where a mount becomes a store."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import import_module
from pathlib import Path
from typing import cast

from zerohop.errors import InvalidRequest, OriginRefused
from zerohop.model import MountInfo
from zerohop_worker.origins.interface import OriginStore
from zerohop_worker.origins.options import (
    FolderSettings,
    HdfsSettings,
    S3Settings,
    parse_settings,
)

__all__ = ["open_origin"]


def open_origin(
    mount: MountInfo, secrets: Mapping[str, str], own_folders: Collection[str] = ()
) -> OriginStore:
    """The store of a mount; nothing is asked of it yet (see `OriginStore.check`). Blocks for as long as its library
    takes to be imported (a second at most, once): not to be called on the event loop.

    `own_folders` are this worker's: what it keeps must be nobody's objects, to read or to overwrite.

    Raises InvalidRequest (URI or options), OriginRefused (a secret's reference leads nowhere, or this worker
    was installed without the library).
    """
    settings = parse_settings(mount.uri, mount.options, secrets)
    # Imported when used: each of these libraries costs 20 to 60 MB, and most workers have mounts of one kind.
    if isinstance(settings, S3Settings):
        module, name = "s3", "S3Origin"
    elif isinstance(settings, FolderSettings):
        _check_apart(settings.folder, own_folders)
        module, name = "folder", "FolderOrigin"
    elif isinstance(settings, HdfsSettings):
        module, name = "hdfs", "HdfsOrigin"
    else:
        module, name = "obstore_store", "ObstoreOrigin"
    try:
        cls = getattr(import_module(f"zerohop_worker.origins.{module}"), name)
    except ModuleNotFoundError as error:
        if error.name != "hdfs_native":
            raise
        raise OriginRefused(
            "this worker was installed without HDFS: pip install 'zerohop[hdfs]'", reason="NoLibrary"
        ) from None
    return cast("OriginStore", cls(settings, read_only=mount.read_only))


def _check_apart(folder: str, own_folders: Collection[str]) -> None:
    mounted = Path(folder).resolve()
    for own in own_folders:
        other = Path(own).resolve()
        if mounted.is_relative_to(other) or other.is_relative_to(mounted):
            raise InvalidRequest(
                f"folder {folder} cannot be mounted: the cluster keeps its own data in {own}"
            )

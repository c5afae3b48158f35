"""What a command can still say of a mount whose origin does not answer: what the cluster knows of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import click

from zerohop.cli.paths import ClusterPath
from zerohop.client.objects import ObjectClient
from zerohop.errors import NoWorker, OriginRefused, TransportError, UnderStoreFailed, ZerohopError
from zerohop.rpc.master_api import GetMounted, ObjectPage, ObjectResult

__all__ = ["IS_AWAY", "AwayOrigins"]

IS_AWAY: Final = (UnderStoreFailed, OriginRefused, NoWorker, TransportError)
"""Raised where an origin does not answer, does not let us in, or has no worker that could ask it."""


class AwayOrigins:
    """The mounts whose origins a command has asked in vain. Each is told of once, on standard error."""

    def __init__(self, objects: ObjectClient) -> None:
        self._objects = objects
        self._mounts: dict[str, bytes] = {}

    def __bool__(self) -> bool:
        return bool(self._mounts)

    async def add(self, bucket: str, error: ZerohopError) -> None:
        """Takes note of it. Raises the error for a bucket that is no mount."""
        if bucket in self._mounts:
            return
        mount_id = (await self._objects.bucket(bucket)).mount_id
        if not mount_id:
            raise error
        self._mounts[bucket] = mount_id
        click.echo(
            f"warning: the origin of /{bucket} cannot be asked, so this is what the cluster knows of it: "
            f"{error.message}",
            err=True,
        )

    async def pages(self, bucket: str, prefix: str, delimiter: str) -> AsyncIterator[ObjectPage]:
        """As `ObjectClient.pages`; from where the origin fails on, those that are known."""
        after = ""
        if bucket not in self._mounts:
            try:
                async for page in self._objects.pages(bucket, prefix, delimiter):
                    yield page
                    after = page.next_name
                return
            except IS_AWAY as error:
                await self.add(bucket, error)
        async for page in self._objects.pages(bucket, prefix, delimiter, after=after, known_only=True):
            yield page

    async def known(self, path: ClusterPath) -> tuple[ObjectResult | None, bool]:
        """The object at a path below such a mount, and whether there is a folder, as far as the cluster knows."""
        file = None
        if not path.key.endswith("/"):
            rows = await self._objects.client.call(
                GetMounted(mount_id=self._mounts[path.bucket], keys=(path.key,))
            )
            if rows.records[0] is not None:
                owner = (await self._objects.bucket(path.bucket)).owner
                file = ObjectResult(
                    record=rows.records[0],
                    row_version=rows.versions[0],
                    bucket_owner=owner,
                    mount_id=self._mounts[path.bucket],
                )
        is_folder = False
        async for page in self._objects.pages(path.bucket, path.folder_prefix, limit=1, known_only=True):
            is_folder = bool(page.entries)
            break
        return file, is_folder

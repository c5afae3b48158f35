"""The mounts that this worker has opened: each when it is first asked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from zerohop.errors import ZerohopError
from zerohop.model import MountInfo
from zerohop.rpc.master_api import MountSecrets
from zerohop_worker.origins.interface import OriginStore

__all__ = ["AskMount", "OpenMount", "OpenOrigin", "Registry"]

_log = logging.getLogger(__name__)

AskMount = Callable[[bytes], Awaitable[MountSecrets]]
"""Asks the master for a mount (`GetMount`). Raises MountNotFound, transport errors."""

OpenOrigin = Callable[[MountInfo, Mapping[str, str]], OriginStore]
"""The store of a mount, which is not asked anything yet. Blocks. Raises InvalidRequest, OriginRefused."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenMount:
    """A mount with its origin."""

    info: MountInfo
    store: OriginStore


class Registry:
    """Mounts by id. One that was changed or removed is dropped, and opened anew for whoever asks next.

    What is in use when its mount is dropped ends by itself: its store is closed once its requests have failed.
    """

    def __init__(self, ask: AskMount, open_origin: OpenOrigin) -> None:
        self._ask = ask
        self._open_origin = open_origin
        self._mounts: dict[bytes, OpenMount] = {}
        self._opening: dict[bytes, asyncio.Task[OpenMount]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def get(self, mount_id: bytes) -> OpenMount:
        """The mount of that id. Raises MountNotFound, InvalidRequest, transport errors."""
        mount = self._mounts.get(mount_id)
        if mount is not None:
            return mount
        task = self._opening.get(mount_id)
        if task is None:
            task = self._opening[mount_id] = asyncio.create_task(self._open(mount_id))
            task.add_done_callback(lambda done: self._opened(mount_id, done))
        return await asyncio.shield(task)

    async def _open(self, mount_id: bytes) -> OpenMount:
        answer = await self._ask(mount_id)
        return OpenMount(answer.mount, await self.store_of(answer.mount, answer.secrets))

    async def store_of(self, mount: MountInfo, secrets: Mapping[str, str]) -> OriginStore:
        """The store of a mount, opened in a thread: its library may have to be imported. Raises as `OpenOrigin`."""
        return await asyncio.to_thread(self._open_origin, mount, secrets)

    def _opened(self, mount_id: bytes, task: asyncio.Task[OpenMount]) -> None:
        if self._opening.get(mount_id) is task:
            del self._opening[mount_id]
            if not task.cancelled() and task.exception() is None:
                self._mounts[mount_id] = task.result()
        elif not task.cancelled() and task.exception() is None:
            self._close_later(task.result())  # the mount was dropped while it was opened

    def drop(self, mount_id: bytes) -> None:
        """Forgets the mount, if it was open."""
        self._opening.pop(mount_id, None)
        mount = self._mounts.pop(mount_id, None)
        if mount is not None:
            self._close_later(mount)

    def drop_all(self) -> None:
        """For a worker that may not have been told what was changed."""
        for mount_id in {*self._opening, *self._mounts}:
            self.drop(mount_id)

    def _close_later(self, mount: OpenMount) -> None:
        task = asyncio.create_task(_close(mount), name=f"close mount {mount.info.bucket}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Closes all origins."""
        for task in list(self._opening.values()):
            task.cancel()
        for mount_id in list(self._mounts):
            self.drop(mount_id)
        if self._closing:
            await asyncio.wait(self._closing)


async def _close(mount: OpenMount) -> None:
    try:
        await mount.store.close()
    except ZerohopError as error:
        _log.info("the origin of mount %s did not close: %s", mount.info.bucket, error)

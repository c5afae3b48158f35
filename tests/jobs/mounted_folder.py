"""A cluster with a folder mounted as bucket `mnt`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.inprocess import InProcessCluster

from zerohop.client.cluster import ClusterClient
from zerohop.client.objects import ObjectClient
from zerohop.model import ADMIN, MountInfo
from zerohop.rpc import master_api as m
from zerohop.rpc.mutation import new_mutation_id


@dataclass
class World:
    cluster: InProcessCluster
    client: ClusterClient
    objects: ObjectClient
    origin: Path

    async def mount(self, bucket: str = "mnt", **changes: Any) -> MountInfo:
        mount = MountInfo(mount_id=b"", bucket=bucket, uri=f"file://{self.origin}", **changes)
        request = m.AddMount(caller=ADMIN, mount=mount, mutation=new_mutation_id())
        return (await self.client.call(request)).mount

    async def local_keys(self, mount: MountInfo) -> list[str]:
        """What the origin does not have yet."""
        page = await self.client.call(m.ListLocal(mount_id=mount.mount_id))
        return [entry.key for entry in page.entries]

    async def persisted(self, mount: MountInfo) -> None:
        """Waits until the origin has all."""
        while await self.local_keys(mount):
            pass

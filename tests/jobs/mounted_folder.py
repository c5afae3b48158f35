"""A cluster with a folder mounted as bucket `mnt`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zerohop.cli.cached_share import cached_by_worker, cached_bytes
from zerohop.client.cluster import ClusterClient
from zerohop.client.objects import ObjectClient
from zerohop.model import ADMIN, MountInfo
from zerohop.rpc import master_api as m
from zerohop.rpc.mutation import new_mutation_id


@dataclass
class World:
    client: ClusterClient
    objects: ObjectClient
    origin: Path

    @staticmethod
    @asynccontextmanager
    async def of(master_address: str, origin: Path) -> AsyncIterator[World]:
        """A client of the cluster, and the folder, which is made."""
        origin.mkdir()
        async with await ClusterClient.connect([master_address], name="test", heartbeat=False) as client:
            yield World(client, ObjectClient(client), origin)

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

    def put(self, key: str, data: bytes) -> None:
        """Into the origin, behind the back of the cluster."""
        path = self.origin / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    async def start(
        self, kind: str, key: str = "", *, bucket: str = "mnt", recursive: bool = False, **options: str
    ) -> str:
        """Starts a job; its id."""
        request = m.StartJob(
            caller=ADMIN,
            kind=kind,
            bucket=bucket,
            key_or_prefix=key,
            recursive=recursive,
            options=options,
            mutation=new_mutation_id(),
        )
        return (await self.client.call(request)).job.job_id

    async def job(self, job_id: str) -> m.JobResult:
        return await self.client.call(m.GetJob(caller=ADMIN, job_id=job_id))

    async def ended(self, job_id: str) -> m.JobResult:
        while True:
            request = m.GetJob(caller=ADMIN, job_id=job_id, wait_s=5.0)
            found = await self.client.call(request, timeout_s=30.0)
            if found.job.state != "running":
                return found

    async def run(self, kind: str, key: str = "", **how: Any) -> m.JobResult:
        """Starts a job and waits for its end."""
        return await self.ended(await self.start(kind, key, **how))

    async def cached(self, *keys: str, bucket: str = "mnt") -> int:
        """Bytes of these objects that the cluster has cached."""
        await self.client.refresh()
        return sum((await cached_bytes(self.objects, bucket, keys)).values())

    async def read(self, key: str, bucket: str = "mnt") -> bytes:
        return b"".join([bytes(chunk) async for chunk in self.objects.read(bucket, key)])

    async def copies(self, key: str, bucket: str = "mnt") -> dict[str, int]:
        """Cached bytes of an object by worker."""
        await self.client.refresh()
        return await cached_by_worker(self.objects, await self.objects.lookup(bucket, key))

    async def pinned(self, size_bytes: int) -> None:
        """Waits until that much is pinned, on all workers together. They report it with their heartbeats."""
        while True:
            report = await self.client.call(m.GetReport(caller=ADMIN))
            if sum(tier.pinned_bytes for worker in report.workers for tier in worker.tiers) == size_bytes:
                return

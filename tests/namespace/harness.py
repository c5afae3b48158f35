"""A namespace on an engine, with workers that only remember which contents they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from zerohop.clock import ManualClock
from zerohop.model import (
    ANONYMOUS,
    ClusterSettings,
    ObjectRecord,
    PartRecord,
    Segment,
    UploadRecord,
    WorkerInfo,
    content_id,
    no_segment,
)
from zerohop.rpc import master_api as m
from zerohop.rpc.mutation import new_mutation_id
from zerohop.rpc.worker_api import ContentPage
from zerohop_master import buckets, completion, objects, uploads
from zerohop_master.collector import Collector
from zerohop_master.kv.interface import KeyValueStore, Lease
from zerohop_master.namespace import Namespace
from zerohop_master.store_facts import prepare_store
from zerohop_master.sweep import Sweep
from zerohop_master.upkeep import Upkeep
from zerohop_master.workers import Workers

SETTINGS = ClusterSettings(
    block_size_bytes=4 << 20, inline_max_bytes=8192, heartbeat_s=1.0, lost_after_s=5.0, orphan_after_s=900.0
)
GRACE_S = 30.0


class FakeContents:
    """Implements `ContentStore`: the under-store is a set of content ids with the times at which they were written."""

    def __init__(self, clock: ManualClock) -> None:
        self.held: dict[bytes, float] = {}
        self.counter = 0  # of contents ever written
        self._clock = clock

    def write(self, content: bytes) -> None:
        self.held[content] = self._clock.now_s()

    async def delete(self, worker: WorkerInfo, contents: Sequence[bytes], *, under_store: bool) -> None:
        if under_store:
            for content in contents:
                self.held.pop(content, None)

    async def contents(self, worker: WorkerInfo, after: bytes, older_than_s: float) -> ContentPage:
        old = sorted(
            content
            for content, written_s in self.held.items()
            if content > after and self._clock.now_s() - written_s > older_than_s
        )
        return ContentPage(contents=tuple(old[:3]), next_after=old[2] if len(old) > 3 else b"")

    async def forget_all_but(self, workers: Sequence[WorkerInfo]) -> None:
        """There are no connections."""


class Harness:
    """One master's namespace; `another` gives a second one on the same store."""

    def __init__(self, store: KeyValueStore, clock: ManualClock, contents: FakeContents) -> None:
        self.store, self.clock, self.contents = store, clock, contents
        self.namespace = Namespace(store, SETTINGS, clock)
        self.workers = Workers(self.namespace, clock)
        self.session = b""

    @classmethod
    async def start(cls, store: KeyValueStore, clock: ManualClock | None = None) -> Harness:
        clock = clock or ManualClock()
        harness = cls(store, clock, FakeContents(clock))
        await prepare_store(store, harness.namespace.now_ms())
        await harness.register()
        return harness

    def another(self) -> Harness:
        """A master that has just been started on the same store, with the same worker."""
        harness = Harness(self.store, self.clock, self.contents)
        harness.session = self.session
        return harness

    async def register(self, worker_id: str = "w1") -> None:
        registered = await self.workers.register(register_worker(worker_id))
        self.session = registered.session

    def mutation(self) -> bytes:
        return new_mutation_id(self.namespace.now_ms())

    def new_content(self, length: int, *, persisted: bool = True) -> m.NewContent:
        """A content that a worker has just written."""
        self.contents.counter += 1
        content = content_id(self.session, self.contents.counter, SETTINGS.block_size_bytes)
        self.contents.write(content)
        return m.NewContent(content=content, length=length, worker_id="w1", persisted=persisted)

    # Operations

    async def create_bucket(self, name: str = "b") -> None:
        await buckets.create_bucket(
            self.namespace, m.CreateBucket(caller=ANONYMOUS, bucket=name, mutation=self.mutation())
        )

    def put_request(
        self,
        key: str,
        *contents: m.NewContent,
        data: bytes = b"",
        bucket: str = "b",
        expected_version: int | None = None,
        mutation: bytes = b"",
    ) -> m.PutObject:
        record = ObjectRecord(
            key=key,
            size_bytes=len(data) + sum(new.length for new in contents),
            etag=md5(data),
            modified_ms=0,
            segments=tuple(Segment(new.content, new.length) for new in contents),
        )
        return m.PutObject(
            caller=ANONYMOUS,
            bucket=bucket,
            record=record,
            data=data,
            contents=contents,
            expected_version=expected_version,
            mutation=mutation or self.mutation(),
        )

    async def put(
        self,
        key: str,
        *contents: m.NewContent,
        data: bytes = b"",
        bucket: str = "b",
        expected: int | None = None,
    ) -> m.ObjectResult:
        request = self.put_request(key, *contents, data=data, bucket=bucket, expected_version=expected)
        return await objects.put_object(self.namespace, request)

    async def lookup(self, key: str, bucket: str = "b") -> m.ObjectResult:
        return await objects.lookup_object(
            self.namespace, m.LookupObject(caller=ANONYMOUS, bucket=bucket, key=key)
        )

    async def delete(self, *object_keys: str, bucket: str = "b") -> m.DeleteResult:
        return await objects.delete_objects(
            self.namespace,
            m.DeleteObjects(
                caller=ANONYMOUS,
                bucket=bucket,
                targets=tuple(m.DeleteTarget(key=key) for key in object_keys),
                mutation=self.mutation(),
            ),
        )

    async def create_upload(self, key: str, bucket: str = "b") -> UploadRecord:
        template = ObjectRecord(key=key, size_bytes=0, etag="", modified_ms=0, metadata={"a": "b"})
        result = await uploads.create_upload(
            self.namespace,
            m.CreateUpload(caller=ANONYMOUS, bucket=bucket, template=template, mutation=self.mutation()),
        )
        return result.upload

    async def put_part(
        self, upload: UploadRecord, number: int, length: int, bucket: str = "b", *, persisted: bool = True
    ) -> PartRecord:
        new = self.new_content(length, persisted=persisted) if length else None
        part = PartRecord(
            number=number,
            size_bytes=length,
            etag=md5(new.content if new else b""),
            modified_ms=0,
            segment=Segment(new.content, length) if new else no_segment(),
        )
        request = m.PutPart(
            caller=ANONYMOUS,
            bucket=bucket,
            key=upload.key,
            upload_id=upload.upload_id,
            part=part,
            content=new,
            mutation=self.mutation(),
        )
        return (await uploads.put_part(self.namespace, request)).part

    def complete_request(
        self,
        upload: UploadRecord,
        parts: Sequence[PartRecord] | None = None,
        *,
        bucket: str = "b",
        min_part_bytes: int = 0,
        expected_version: int | None = None,
    ) -> m.CompleteUpload:
        listed = None if parts is None else tuple(m.ListedPart(number=p.number, etag=p.etag) for p in parts)
        return m.CompleteUpload(
            caller=ANONYMOUS,
            bucket=bucket,
            key=upload.key,
            upload_id=upload.upload_id,
            parts=listed,
            min_part_bytes=min_part_bytes,
            expected_version=expected_version,
            mutation=self.mutation(),
        )

    async def complete(
        self, upload: UploadRecord, parts: Sequence[PartRecord] | None = None, bucket: str = "b"
    ) -> m.ObjectResult:
        request = self.complete_request(upload, parts, bucket=bucket)
        return await completion.complete_upload(self.namespace, request)

    async def abort(self, upload: UploadRecord, bucket: str = "b") -> None:
        await uploads.abort_upload(
            self.namespace,
            m.AbortUpload(
                caller=ANONYMOUS,
                bucket=bucket,
                key=upload.key,
                upload_id=upload.upload_id,
                mutation=self.mutation(),
            ),
        )

    # Background work

    async def lease(self) -> Lease:
        return await self.store.lease("housekeeping", "test", 60.0)

    async def collect(self, oldest_read_ms: int | None = None) -> None:
        """Does all that is due now."""
        lease, now_ms = await self.lease(), self.namespace.now_ms()
        while await Upkeep(self.namespace).run_once(lease, now_ms):
            pass
        oldest = now_ms if oldest_read_ms is None else oldest_read_ms
        collector = Collector(self.namespace, self.contents, GRACE_S)
        while await collector.run_once(lease, now_ms, oldest, [worker(self.session)]):
            pass

    async def collect_to_the_end(self) -> None:
        """Lets the grace pass again and again: what a manifest held is due after the manifest is gone."""
        for _ in range(4):
            self.clock.advance(GRACE_S + 1)
            await self.collect()

    async def sweep(self) -> int:
        sweep = Sweep(self.namespace, self.contents)
        info = worker(self.session)
        return await sweep.sweep_worker(await self.lease(), info, [info])


def worker(session: bytes, worker_id: str = "w1") -> WorkerInfo:
    return WorkerInfo(
        worker_id=worker_id, session=session, host_id="h", address="", unix_address="", descriptor_path=""
    )


def register_worker(worker_id: str = "w1", under_store_id: str = "store-1") -> m.RegisterWorker:
    return m.RegisterWorker(
        worker_id=worker_id,
        host_id="h",
        address="tcp://127.0.0.1:1",
        unix_address="",
        descriptor_path="",
        version="1",
        under_store_id=under_store_id,
        tiers=(),
    )


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()

"""Parts that the worker's tests share: a worker with its sockets, and a stand-in for the master."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from zerohop.clock import ManualClock
from zerohop.config import WorkerConfig
from zerohop.errors import SessionFenced, UnderStoreFailed, ZerohopError
from zerohop.model import ClusterSettings, Segment, WorkerInfo, WritePolicy
from zerohop.rpc.call import Call
from zerohop.rpc.client import RpcClient
from zerohop.rpc.descriptors import DescriptorServer
from zerohop.rpc.master_api import (
    ClusterView,
    Empty,
    GetClusterView,
    ListUnpersisted,
    MarkPersisted,
    RegisterWorker,
    UnpersistedPage,
    UnregisterWorker,
    WorkerHeartbeat,
    WorkerRegistered,
)
from zerohop.rpc.server import RpcServer
from zerohop.rpc.worker_api import ContentWritten, ReadContent, WriteContent
from zerohop_worker.files import Files
from zerohop_worker.understore.folder import FolderStore, StagedFile
from zerohop_worker.worker import Worker

BLOCK = 64 << 10


class CountingStore(FolderStore):
    """A real folder store that counts its reads, and can hold them back, and refuse what is written."""

    def __init__(self, root: Path, files: Files | None = None, worker_id: str = "w-test") -> None:
        super().__init__(root, worker_id, files)
        self.reads = 0
        self.is_down = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self, content: bytes, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        self.reads += 1
        await self.gate.wait()
        async for data in super().read(content, offset, length):
            yield data

    def stage(self, content: bytes) -> StagedFile:
        if self.is_down:
            raise UnderStoreFailed("it is down")
        return super().stage(content)


def config(
    folder: Path, *, mem: int = 64 * BLOCK, ssd: int = 256 * BLOCK, hdd: int = 0, **more: object
) -> WorkerConfig:
    return WorkerConfig(
        data_dir=str(folder / "data"),
        socket_dir=str(folder / "run"),
        under_store=str(folder / "store"),
        mem_dir=str(folder / "mem"),
        mem_quota=mem,
        ssd_dir=str(folder / "ssd"),
        ssd_quota=ssd,
        hdd_dir=str(folder / "hdd") if hdd else "",
        hdd_quota=hdd,
        scrub_interval_s=0,
        **more,  # type: ignore[arg-type]
    )


class RunningWorker:
    """A worker behind real sockets, registered by hand in session `session`."""

    def __init__(self, worker: Worker, client: RpcClient, store: CountingStore, descriptor_path: str) -> None:
        self.worker = worker
        self.client = client
        self.under_store = store
        self.descriptor_path = descriptor_path
        self.clock: ManualClock

    async def write(
        self, data: bytes, policy: WritePolicy = WritePolicy.CACHE_THROUGH, *, announced: int | None = None
    ) -> ContentWritten:
        expected = len(data) if announced is None else announced
        async with self.client.open_stream_in(WriteContent(policy=policy, expected_bytes=expected)) as sink:
            for start in range(0, len(data), 100_000):
                await sink.write(data[start : start + 100_000])
            return await sink.finish()

    async def read(
        self, content: bytes, length: int, offset: int = 0, size: int | None = None, *, cache: bool = True
    ) -> tuple[str, bytes]:
        request = ReadContent(
            content=content,
            content_length=length,
            offset=offset,
            length=length - offset if size is None else size,
            cache=cache,
        )
        async with self.client.open_stream_out(request) as source:
            received = b"".join([bytes(chunk) async for chunk in source])
            return source.response.source, received


@asynccontextmanager
async def running_worker(
    folder: Path,
    *,
    session: bytes = b"session1",
    files: Files | None = None,
    under_files: Files | None = None,
    store: CountingStore | None = None,
    settings: WorkerConfig | None = None,
    worker_id: str = "w-test",
) -> AsyncIterator[RunningWorker]:
    clock = ManualClock()
    store = store or CountingStore(folder / "store", under_files)
    await store.start()
    worker = Worker(settings or config(folder), worker_id, store, clock, files=files)
    await worker.start()
    worker.contents.begin_session(session, BLOCK)
    sockets = folder / "run"
    sockets.mkdir(exist_ok=True)
    server = RpcServer("worker")
    worker.service.serve(server)
    descriptors = DescriptorServer(
        str(sockets / "blocks.sock"), name="worker", on_lost=worker.lending.holder_lost
    )
    worker.lending.serve(descriptors)
    await server.listen(f"unix:{sockets}/worker.sock")
    await descriptors.listen()
    client = RpcClient(f"unix:{sockets}/worker.sock", name="test")
    running = RunningWorker(worker, client, store, descriptors.path)
    running.clock = clock
    try:
        yield running
        worker.store.index.check_invariants()
    finally:
        await client.close()
        await descriptors.close()
        await server.close()
        await worker.stop(drain_s=5)


_SETTINGS = ClusterSettings(
    block_size_bytes=BLOCK, inline_max_bytes=8192, heartbeat_s=0.02, lost_after_s=1, orphan_after_s=60
)


class StandInMaster:
    """The calls that a worker makes of its master, recorded. Sessions are numbered."""

    def __init__(self) -> None:
        self.registrations: list[RegisterWorker] = []
        self.workers: tuple[WorkerInfo, ...] = ()
        self.heartbeats = 0
        self.marked: list[bytes] = []
        self.unpersisted: tuple[Segment, ...] = ()
        self.left = False
        self.fence = False
        self.refusal: ZerohopError | None = None
        self.beat = asyncio.Event()
        self.server = RpcServer("master")
        self.server.register_sync(RegisterWorker, self._register)
        self.server.register_sync(WorkerHeartbeat, self._heartbeat)
        self.server.register_sync(GetClusterView, self._view)
        self.server.register_sync(MarkPersisted, self._mark)
        self.server.register_sync(ListUnpersisted, self._list)
        self.server.register_sync(UnregisterWorker, self._leave)

    def _register(self, request: RegisterWorker, _call: Call) -> WorkerRegistered:
        if self.refusal is not None:
            raise self.refusal
        self.registrations.append(request)
        self.fence = False
        session = len(self.registrations).to_bytes(8, "big")
        return WorkerRegistered(session=session, settings=_SETTINGS)

    def _view(self, _request: GetClusterView, _call: Call) -> ClusterView:
        return ClusterView(
            view_version=1,
            users_generation=1,
            settings=_SETTINGS,
            workers=self.workers,
            user_count=0,
            worker_count=len(self.workers),
        )

    def _heartbeat(self, request: WorkerHeartbeat, _call: Call) -> Empty:
        if self.fence:
            raise SessionFenced
        self.heartbeats += 1
        self.beat.set()
        return Empty()

    def _mark(self, request: MarkPersisted, _call: Call) -> Empty:
        self.marked.extend(request.contents)
        return Empty()

    def _list(self, _request: ListUnpersisted, _call: Call) -> UnpersistedPage:
        return UnpersistedPage(contents=self.unpersisted, next_after=b"")

    def _leave(self, _request: UnregisterWorker, _call: Call) -> Empty:
        self.left = True
        return Empty()


def open_descriptors() -> int:
    with suppress(FileNotFoundError):
        return len(os.listdir("/proc/self/fd"))
    return 0


def files_under(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())

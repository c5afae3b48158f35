"""A master and workers in the test's own loop: real servers, with just as much behind them as the client can see."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from zerohop.client import ClusterClient
from zerohop.errors import ContentNotFound, OutOfSpace, SessionFenced, UnderStoreFailed
from zerohop.host import host_id
from zerohop.model import ClusterSettings, ObjectRecord, WorkerInfo, block_size_of, content_id
from zerohop.rpc.call import Call, StreamInCall, StreamOutCall
from zerohop.rpc.descriptors import DescriptorServer, Holder
from zerohop.rpc.master_api import (
    ClusterView,
    Empty,
    GetClusterView,
    ObjectResult,
    ProxyGoodbye,
    ProxyHeartbeat,
)
from zerohop.rpc.origin_api import ResolveMounted
from zerohop.rpc.server import RpcServer
from zerohop.rpc.worker_api import (
    BlockHandle,
    BlocksOpened,
    BlockUse,
    CachedBytes,
    ContentWritten,
    DiscardContents,
    GetCachedBytes,
    OpenBlocks,
    ReadContent,
    ReadStarted,
    ReturnBlocks,
    WriteContent,
)

BLOCK = 4096


class StoreWorker:
    """Contents in a dictionary, lent as files. Faults are switched on by attributes."""

    def __init__(self, folder: Path, worker_id: str, *, local: bool) -> None:
        self.worker_id = worker_id
        self.session = worker_id.encode().ljust(8, b"_")[:8]
        self.contents: dict[bytes, bytes] = {}
        self.local = local
        self.opened: list[OpenBlocks] = []
        self.uses: list[BlockUse] = []
        self.reads: list[ReadContent] = []
        self.discarded: list[bytes] = []
        self.cut_after: int | None = None  # bytes of a read after which the stream fails
        self.refuse_descriptors = False
        self.cut_writes_after: int | None = None  # bytes of a write after which the connection is closed
        self.draining = False
        self.linger = False  # an answer that was called off is given all the same: it was on its way
        self.gate = asyncio.Event()  # descriptors are passed once it is set
        self.gate.set()
        self.read_gate = asyncio.Event()  # streams begin, and go on after `trickle` bytes, once it is set
        self.read_gate.set()
        self.trickle = 0
        self.write_gate = asyncio.Event()  # writes are confirmed once it is set
        self.write_gate.set()
        self.questions = 0  # whether it lives
        self.hang = False  # it answers neither these nor writes
        self.resolve_gate = asyncio.Event()  # what an origin has is told once it is set
        self.resolve_gate.set()
        self.resolving = asyncio.Event()  # somebody asks for that
        self.used = asyncio.Event()
        self._folder = folder
        self._server: RpcServer | None = None
        self._lender: DescriptorServer | None = None
        self.address = ""
        self.path = str(folder / f"{worker_id}.fds")

    async def start(self) -> None:
        server = RpcServer(self.worker_id)
        server.register_stream_in(WriteContent, self._write)
        server.register_stream_out(ReadContent, self._read)
        server.register(DiscardContents, self._discard)
        server.register(GetCachedBytes, self._answer)
        server.register(ResolveMounted, self._resolve)
        self.address = str(await server.listen(f"unix:{self._folder / self.worker_id}.rpc"))
        self._server = server
        lender = DescriptorServer(self.path, name=self.worker_id)
        lender.register(OpenBlocks, self._open)
        lender.register_notice(BlockUse, self._use)
        await lender.listen()
        self._lender = lender

    async def stop(self) -> None:
        if self._server is not None and self._lender is not None:
            await self._server.close()
            await self._lender.close()
            self._server = self._lender = None

    @property
    def info(self) -> WorkerInfo:
        return WorkerInfo(
            worker_id=self.worker_id,
            session=self.session,
            host_id=host_id() if self.local else "elsewhere",
            address=self.address,
            unix_address=self.address if self.local else "",
            descriptor_path=self.path if self.local else "",
            draining=self.draining,
        )

    def add(self, number: int, data: bytes) -> bytes:
        """Holds a content; returns its id."""
        content = content_id(b"session_", number, BLOCK)
        self.contents[content] = data
        return content

    def want_back(self, *keys: tuple[bytes, int]) -> None:
        assert self._lender is not None
        for holder in self._lender.holders:
            holder.notify(ReturnBlocks(blocks=keys))

    def break_descriptors(self) -> None:
        assert self._lender is not None
        for holder in self._lender.holders:
            holder.close()

    async def _write(self, request: WriteContent, call: StreamInCall) -> ContentWritten:
        data = bytearray()
        while chunk := await call.read():
            data += chunk
            if self.cut_writes_after is not None and len(data) > self.cut_writes_after:
                raise SessionFenced
        if self.cut_writes_after is not None:
            raise SessionFenced
        await self._hanging()
        await self.write_gate.wait()
        content = self.add(len(self.contents) + 1000, bytes(data))
        return ContentWritten(
            content=content,
            length=len(data),
            worker_id=self.worker_id,
            session=self.session,
            persisted=True,
            policy=request.policy,
        )

    async def _read(self, request: ReadContent, call: StreamOutCall) -> None:
        self.reads.append(request)
        if request.content not in self.contents:
            raise ContentNotFound
        data = self.contents[request.content][request.offset : request.offset + request.length]
        if not self.trickle:
            await self.read_gate.wait()
        call.respond(ReadStarted(length=request.length, source="MEM"))
        if self.cut_after is not None and self.cut_after < len(data):
            await call.write(data[: self.cut_after])
            raise UnderStoreFailed("the disk is on fire")
        if self.trickle:
            await call.write(data[: self.trickle])
            await self.read_gate.wait()
            data = data[self.trickle :]
        await call.write(data)

    async def _answer(self, _request: GetCachedBytes, _call: Call) -> CachedBytes:
        self.questions += 1
        await self._hanging()
        return CachedBytes(cached=())

    async def _resolve(self, request: ResolveMounted, _call: Call) -> ObjectResult:
        self.resolving.set()
        await self.resolve_gate.wait()
        record = ObjectRecord(key=request.key, size_bytes=0, etag=self.worker_id, modified_ms=1)
        return ObjectResult(record=record, row_version=1, bucket_owner="")

    async def _hanging(self) -> None:
        if self.hang:
            await asyncio.Event().wait()

    async def _discard(self, request: DiscardContents, _call: Call) -> Empty:
        self.discarded.extend(request.contents)
        return Empty()

    async def _open(self, request: OpenBlocks, _holder: Holder) -> tuple[BlocksOpened, list[int]]:
        self.opened.append(request)
        await self.gate.wait()
        if self.linger:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        if self.refuse_descriptors:
            raise OutOfSpace
        if request.content not in self.contents:
            raise ContentNotFound
        handles, descriptors = [], []
        size = block_size_of(request.content)
        for index in range(request.first_index, request.first_index + request.count):
            data = self.contents[request.content][index * size : (index + 1) * size]
            path = self._folder / f"{request.content.hex()}.{index}"
            path.write_bytes(data)
            descriptors.append(os.open(path, os.O_RDONLY))
            path.unlink()
            handles.append(BlockHandle(index=index, length=len(data), source="MEM"))
        return BlocksOpened(blocks=tuple(handles)), descriptors

    def _use(self, notice: BlockUse, _holder: Holder) -> None:
        self.uses.append(notice)
        self.used.set()


class ViewMaster:
    """Tells the view of the cluster; tests register more on `server` before `start`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "master.rpc"
        self.workers: list[StoreWorker] = []
        self.beats: list[ProxyHeartbeat] = []
        self.beat = asyncio.Event()
        self.left: list[str] = []
        self.handlers: dict[type, Callable[[Any, Call], Awaitable[object]]] = {}
        self._server: RpcServer | None = None

    @property
    def address(self) -> str:
        return f"unix:{self.path}"

    async def start(self) -> None:
        server = RpcServer("master")
        server.register(ProxyHeartbeat, self._beat)
        server.register(GetClusterView, self._view)
        server.register(ProxyGoodbye, self._goodbye)
        for request_class, handler in self.handlers.items():
            server.register(request_class, handler)
        await server.listen(self.address)
        self._server = server

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.close()
            self._server = None

    async def _beat(self, request: ProxyHeartbeat, _call: Call) -> ClusterView:
        self.beats.append(request)
        self.beat.set()
        return self.view()

    async def _goodbye(self, request: ProxyGoodbye, _call: Call) -> Empty:
        self.left.append(request.proxy_id)
        return Empty()

    async def _view(self, _request: GetClusterView, _call: Call) -> ClusterView:
        return self.view()

    def view(self) -> ClusterView:
        return ClusterView(
            view_version=1,
            users_generation=1,
            settings=ClusterSettings(
                block_size_bytes=BLOCK,
                inline_max_bytes=100,
                heartbeat_s=0.02,
                lost_after_s=5,
                orphan_after_s=900,
            ),
            workers=tuple(worker.info for worker in self.workers),
            user_count=0,
        )


class SmallCluster:
    """A master, the workers that a test adds, and a client."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.master = ViewMaster(folder)
        self._clients: list[ClusterClient] = []

    async def worker(self, worker_id: str, *, local: bool = True) -> StoreWorker:
        worker = StoreWorker(self.folder, worker_id, local=local)
        await worker.start()
        self.master.workers.append(worker)
        return worker

    async def client(self, *, heartbeat: bool = False) -> ClusterClient:
        client = await ClusterClient.connect([self.master.address], name="test", heartbeat=heartbeat)
        self._clients.append(client)
        return client

    async def stop(self) -> None:
        for client in self._clients:
            await client.close()
        for worker in self.master.workers:
            await worker.stop()
        await self.master.stop()


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[SmallCluster]:
    small = SmallCluster(tmp_path)
    await small.master.start()
    yield small
    await small.stop()

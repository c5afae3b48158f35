"""The master as a process, over its RPC."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.namespace.harness import SETTINGS

from zerohop.clock import ManualClock
from zerohop.config import MasterConfig
from zerohop.errors import (
    AccessDenied,
    BucketNotFound,
    ConfigError,
    DataFolderInUse,
    FormatTooNew,
    SessionFenced,
    StaleUsers,
    UserAlreadyExists,
    UserNotFound,
)
from zerohop.model import ADMIN, ANONYMOUS, Caller, Credential, ObjectRecord, Segment, UserRecord, content_id
from zerohop.rpc import master_api as m
from zerohop.rpc.call import Call
from zerohop.rpc.client import RpcClient
from zerohop.rpc.message import Request
from zerohop.rpc.mutation import new_mutation_id
from zerohop.rpc.server import RpcServer
from zerohop.rpc.worker_api import ContentPage, DeleteContents, ListContents
from zerohop.tasks import TaskGroup
from zerohop_master import keys
from zerohop_master.api import register_handlers
from zerohop_master.cluster import Cluster
from zerohop_master.jobs.cluster_calls import ClusterCalls
from zerohop_master.jobs.service import Jobs
from zerohop_master.kv.interface import Commit
from zerohop_master.kv.memory import MemoryStore
from zerohop_master.kv.sqlite import SqliteStore
from zerohop_master.mounts import Mounts
from zerohop_master.namespace import Namespace
from zerohop_master.process import run
from zerohop_master.rows import STORE_FACTS, StoreFacts
from zerohop_master.secret_box import SecretBox
from zerohop_master.store_facts import FORMAT_VERSION
from zerohop_master.users import Users
from zerohop_master.worker_calls import WorkerCalls
from zerohop_master.workers import Workers


def config(folder: Path, **changes: object) -> MasterConfig:
    fields: dict[str, object] = {
        "listen": (f"unix:{folder}/master.sock",),
        "data_dir": str(folder / "data"),
        "heartbeat_s": 0.05,
        "lost_after_s": 30.0,
    }
    return MasterConfig(**(fields | changes))  # type: ignore[arg-type]


@asynccontextmanager
async def running(settings: MasterConfig) -> AsyncIterator[RpcClient]:
    """A running master and a client of it; leaving it stops the master in an orderly way."""
    stop = asyncio.Event()
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    process = asyncio.create_task(run(settings, ready=address.set_result, stop=stop))
    waiting: list[asyncio.Future[Any]] = [process, address]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if process.done():
        address.cancel()
        await process
    client = RpcClient(await address, name="test")
    try:
        yield client
    finally:
        await client.close()
        stop.set()
        await process


@pytest.fixture(params=["sqlite", "memory"])
async def master(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RpcClient]:
    async with running(config(tmp_path, kv_engine=request.param)) as client:
        yield client


def register(under_store_id: str = "store-1", worker_id: str = "w1") -> m.RegisterWorker:
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


def create_bucket(caller: Caller = ANONYMOUS) -> m.CreateBucket:
    return m.CreateBucket(caller=caller, bucket="b", mutation=new_mutation_id())


def put(key: str, data: bytes) -> m.PutObject:
    record = ObjectRecord(key=key, size_bytes=len(data), etag="e", modified_ms=0)
    return m.PutObject(caller=ANONYMOUS, bucket="b", record=record, data=data, mutation=new_mutation_id())


USER = UserRecord(
    name="bob", canonical_id="id-bob", credentials=(Credential(access_key="AK", secret_key="s3cret"),)
)


def add_user(user: UserRecord = USER) -> m.AddUser:
    return m.AddUser(caller=ADMIN, user=user, mutation=new_mutation_id())


async def test_objects_outlive_the_process(tmp_path: Path) -> None:
    async with running(config(tmp_path)) as client:
        await client.call(create_bucket())
        await client.call(put("k", b"hello"))
        await client.call(add_user())
    async with running(config(tmp_path)) as client:
        found = await client.call(m.LookupObject(caller=ANONYMOUS, bucket="b", key="k"))
        assert found.data == b"hello"
        opened = await client.call(m.GetCredential(access_key="AK"))
        assert opened.user.credentials[0].secret_key == "s3cret"
    assert all(b"s3cret" not in path.read_bytes() for path in (tmp_path / "data").iterdir())


async def test_the_errors_of_the_namespace_cross_the_wire(master: RpcClient) -> None:
    with pytest.raises(BucketNotFound):
        await master.call(m.LookupObject(caller=ANONYMOUS, bucket="none", key="k"))
    with pytest.raises(BucketNotFound):
        await master.call(put("k", b"x"))


async def test_a_worker_keeps_its_session_over_a_restart_of_the_master(tmp_path: Path) -> None:
    async with running(config(tmp_path)) as client:
        first = await client.call(register())
    async with running(config(tmp_path)) as client:
        view = await client.call(m.GetClusterView())
        assert [worker.session for worker in view.workers] == [first.session]
        await client.call(m.WorkerHeartbeat(worker_id="w1", session=first.session, tiers=()))
        second = await client.call(register())
        assert second.session != first.session
        with pytest.raises(SessionFenced):
            await client.call(m.WorkerHeartbeat(worker_id="w1", session=first.session, tiers=()))
        await client.call(m.UnregisterWorker(worker_id="w1", session=second.session))
        assert not (await client.call(m.GetClusterView())).workers
        report = await client.call(m.GetReport(caller=ADMIN))
        assert [(worker.worker_id, worker.live) for worker in report.workers] == [("w1", False)]


async def test_a_silent_worker_leaves_the_view(tmp_path: Path) -> None:
    async with running(config(tmp_path, lost_after_s=0.1)) as client:
        registered = await client.call(register())
        while (await client.call(m.GetClusterView())).workers:
            pass
        with pytest.raises(SessionFenced):
            await client.call(m.WorkerHeartbeat(worker_id="w1", session=registered.session, tiers=()))


async def test_a_worker_with_another_under_store_is_refused(master: RpcClient) -> None:
    await master.call(register())
    with pytest.raises(ConfigError, match=r"store-1.*store-2"):
        await master.call(register("store-2", "w2"))


async def test_users_are_unique_in_every_way(master: RpcClient) -> None:
    added = await master.call(add_user())
    for user in (
        UserRecord(name="bob", canonical_id="other"),
        UserRecord(name="other", canonical_id="id-bob"),
        UserRecord(name="other", canonical_id="other", credentials=USER.credentials),
    ):
        with pytest.raises(UserAlreadyExists):
            await master.call(add_user(user))
    page = await master.call(m.ListUsers(caller=ADMIN))
    assert [(u.name, u.credentials[0].secret_key) for u in page.users] == [("bob", "")]
    assert page.generation == added.generation
    named = await master.call(m.GetUsersById(canonical_ids=("id-bob", "nobody")))
    assert [(u.name, u.credentials) for u in named.users] == [("bob", ())]
    with pytest.raises(AccessDenied):
        await master.call(m.ListUsers(caller=Caller("id-bob")))


async def test_a_change_of_users_makes_callers_stale(master: RpcClient) -> None:
    generation = (await master.call(add_user())).generation
    caller = Caller("id-bob", generation)
    await master.call(create_bucket(caller))
    await master.call(m.GetBucket(caller=caller, bucket="b"))
    assert (await master.call(m.GetClusterView())).user_count == 1
    await master.call(m.RemoveUser(caller=ADMIN, name="bob", mutation=new_mutation_id()))
    lookup = m.LookupObject(caller=caller, bucket="b", key="k")
    stale: list[Request[object]] = [
        m.GetBucket(caller=caller, bucket="b"),  # type: ignore[list-item]
        lookup,  # type: ignore[list-item]
        m.ListBuckets(caller=caller),  # type: ignore[list-item]
    ]
    for request in stale:
        with pytest.raises(StaleUsers):
            await master.call(request)
    with pytest.raises(UserNotFound):
        await master.call(m.GetCredential(access_key="AK"))
    with pytest.raises(UserNotFound):
        await master.call(m.RemoveUser(caller=ADMIN, name="bob", mutation=new_mutation_id()))
    await master.call(add_user())  # the access key is free again


async def test_proxies_are_told_of_the_cluster(master: RpcClient) -> None:
    await master.call(register())
    view = await master.call(m.ProxyHeartbeat(proxy_id="p1", host_id="h", address="a", version="1"))
    assert [worker.worker_id for worker in view.workers] == ["w1"]
    assert view.settings.heartbeat_s == 0.05
    await master.call(create_bucket())
    report = await master.call(m.GetReport(caller=ADMIN))
    assert (report.bucket_count, [proxy.proxy_id for proxy in report.proxies]) == (1, ["p1"])
    with pytest.raises(AccessDenied):
        await master.call(m.GetReport(caller=ANONYMOUS))


async def test_a_data_folder_serves_one_master(tmp_path: Path) -> None:
    async with running(config(tmp_path)):
        with pytest.raises(DataFolderInUse):
            async with running(config(tmp_path, listen=(f"unix:{tmp_path}/other.sock",))):
                raise AssertionError("unreachable")


async def test_metadata_of_a_newer_layout_is_refused(tmp_path: Path) -> None:
    async with running(config(tmp_path)):
        pass
    (path,) = (tmp_path / "data").glob("*.sqlite")
    store = await SqliteStore.open(path)
    newer = STORE_FACTS.encode(StoreFacts(format_version=FORMAT_VERSION + 1, created_ms=0))
    await store.commit(Commit(puts=[(keys.STORE_FACTS, newer)]))
    await store.close()
    with pytest.raises(FormatTooNew):
        async with running(config(tmp_path)):
            raise AssertionError("unreachable")
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


async def test_workers_are_told_to_delete_what_nobody_needs(tmp_path: Path) -> None:
    """A replaced content, and an orphan that only the worker knows of."""
    deleted: set[bytes] = set()
    all_gone = asyncio.Event()
    orphan = content_id(bytes(8), 1, 4096)

    async def delete(request: DeleteContents, _call: Call) -> m.Empty:
        assert request.under_store
        deleted.update(request.contents)
        if len(deleted) == 2:
            all_gone.set()
        return m.Empty()

    async def contents(request: ListContents, _call: Call) -> ContentPage:
        return ContentPage(contents=() if request.after or orphan in deleted else (orphan,), next_after=b"")

    server = RpcServer("worker")
    server.register(DeleteContents, delete)
    server.register(ListContents, contents)
    address = str(await server.listen(f"unix:{tmp_path}/worker.sock"))
    quick = config(tmp_path, grace_s=0.0, lost_after_s=0.2, sweep_interval_s=0.05)
    try:
        async with running(quick) as client:
            hello = register()
            hello.address = address
            session = (await client.call(hello)).session
            await client.call(create_bucket())
            content = content_id(session, 1, 4096)
            record = ObjectRecord(
                key="k", size_bytes=1, etag="e", modified_ms=0, segments=(Segment(content, 1),)
            )
            new = m.NewContent(content=content, length=1, worker_id="w1", persisted=True)
            request = m.PutObject(
                caller=ANONYMOUS, bucket="b", record=record, contents=(new,), mutation=new_mutation_id()
            )
            await client.call(request)
            await client.call(put("k", b"inline"))
            while not all_gone.is_set():
                await client.call(m.WorkerHeartbeat(worker_id="w1", session=session, tiers=()))
            assert deleted == {content, orphan}
    finally:
        await server.close()


async def test_every_request_of_the_master_is_answered() -> None:
    store, clock = MemoryStore(), ManualClock()
    namespace = Namespace(store, SETTINGS, clock)
    workers, users = Workers(namespace, clock), Users(namespace, SecretBox.ephemeral())
    cluster = Cluster(namespace, workers, users, clock, kv_engine="memory")
    for reads_in_turn in (False, True):
        server = RpcServer("master")
        mounts = Mounts(namespace, SecretBox.ephemeral(), workers.membership, WorkerCalls())
        calls = ClusterCalls(namespace, workers.membership)
        jobs = Jobs(namespace, calls, TaskGroup("test"), lambda: True)
        register_handlers(
            server, namespace, workers, users, cluster, mounts, jobs, reads_in_turn=reads_in_turn
        )
        assert set(server.handlers) | set(server.sync_handlers) == {
            value
            for value in vars(m).values()
            if isinstance(value, type) and issubclass(value, Request) and value is not Request
        }

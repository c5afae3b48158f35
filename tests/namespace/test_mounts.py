"""Mounts and mounted objects in the metadata. What origins answer is tested with real ones, in tests/mounts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from tests.namespace.harness import Harness
from tests.namespace.invariants import check_invariants

from zerohop.errors import (
    AccessDenied,
    BucketAlreadyOwned,
    BucketNotEmpty,
    Conflict,
    InvalidRequest,
    KeyNotFound,
    MountNotFound,
    OriginNeeded,
    OriginRefused,
)
from zerohop.model import (
    ADMIN,
    ANONYMOUS,
    MountInfo,
    ObjectRecord,
    Origin,
    Segment,
    WorkerInfo,
    mounted_content_id,
)
from zerohop.rpc import master_api as m
from zerohop_master import buckets, copies, keys, listing, mounted, objects
from zerohop_master.mounts import Mounts
from zerohop_master.secret_box import SecretBox
from zerohop_master.upkeep import Upkeep


class Origins:
    """Implements `OriginCalls`: remembers what workers were told, refuses the secret "wrong"."""

    def __init__(self) -> None:
        self.dropped: list[tuple[bytes, bool]] = []
        self.opened: list[bytes] = []

    async def check_origin(self, worker: WorkerInfo, mount: MountInfo, secrets: Mapping[str, str]) -> None:
        if secrets.get("secret_key") == "wrong":
            raise OriginRefused("the origin does not take these credentials")

    async def drop_mount(self, worker: WorkerInfo, mount_id: bytes, *, blocks: bool) -> None:
        self.dropped.append((mount_id, blocks))

    async def open_mount(self, worker: WorkerInfo, mount_id: bytes) -> None:
        self.opened.append(mount_id)


class Mounted:
    """A namespace with a mount `mnt`."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.namespace = harness.namespace
        self.origins = Origins()
        self.mounts = Mounts(
            harness.namespace, SecretBox.ephemeral(), harness.workers.membership, self.origins
        )

    async def add(self, bucket: str = "mnt", **changes: Any) -> MountInfo:
        secrets = changes.pop("secrets", {"access_key": "AK", "secret_key": "a-long-secret"})
        mount = MountInfo(mount_id=b"", bucket=bucket, uri="s3://remote/prefix", **changes)
        request = m.AddMount(caller=ANONYMOUS, mount=mount, secrets=secrets, mutation=self.harness.mutation())
        return (await self.mounts.add(request)).mount

    def record(self, mount: MountInfo, key: str, etag: str = "e1", size_bytes: int = 10) -> ObjectRecord:
        content = mounted_content_id(mount.mount_id, etag.encode().rjust(10), 4 << 20)
        now_ms = self.namespace.now_ms()
        return ObjectRecord(
            key=key,
            size_bytes=size_bytes,
            etag=etag,
            modified_ms=5,
            segments=(Segment(content, size_bytes),),
            origin=Origin(etag=etag, size_bytes=size_bytes, modified_ms=5, validated_ms=now_ms),
        )

    async def commit(
        self, mount: MountInfo, key: str, record: ObjectRecord | None, expected_version: int, **flags: Any
    ) -> m.ObjectResult:
        request = m.CommitMounted(
            mount_id=mount.mount_id,
            key=key,
            record=record,
            expected_version=expected_version,
            mutation=self.harness.mutation(),
            **flags,
        )
        return await mounted.commit_mounted(self.namespace, request)

    async def begin(self, mount: MountInfo, *names: str) -> m.MountedVersions:
        request = m.BeginMounted(mount_id=mount.mount_id, keys=names, mutation=self.harness.mutation())
        return await mounted.begin_mounted(self.namespace, request)

    async def lookup(self, key: str) -> m.ObjectResult:
        request = m.LookupObject(caller=ANONYMOUS, bucket="mnt", key=key)
        return await objects.lookup_object(self.namespace, request)

    async def put_local(self, key: str, *contents: m.NewContent) -> m.ObjectResult:
        request = self.harness.put_request(key, *contents, bucket="mnt")
        request = msgspec.structs.replace(request, write_policy="async_through")
        return await objects.put_object(self.namespace, request)

    async def local(self, mount: MountInfo, **where: Any) -> m.LocalPage:
        return await mounted.list_local(self.namespace, m.ListLocal(mount_id=mount.mount_id, **where))


@pytest.fixture
def world(harness: Harness) -> Mounted:
    return Mounted(harness)


async def test_a_mount_is_a_bucket_whose_secrets_only_workers_get(world: Mounted) -> None:
    mount = await world.add()
    assert (mount.owner, mount.secret_options) == (ANONYMOUS.user, ("access_key", "secret_key"))
    bucket = await buckets.get_bucket(world.namespace, m.GetBucket(caller=ANONYMOUS, bucket="mnt"))
    assert bucket.bucket.mount_id == mount.mount_id
    (row,) = await world.harness.store.get([keys.mount(mount.mount_id)])
    assert row is not None
    assert b"a-long-secret" not in row.value
    assert (await world.mounts.list(m.ListMounts(caller=ANONYMOUS))).mounts == (mount,)
    opened = await world.mounts.secrets(m.GetMount(mount_id=mount.mount_id))
    assert (opened.mount, opened.secrets) == (mount, {"access_key": "AK", "secret_key": "a-long-secret"})


async def test_what_cannot_be_mounted_is_refused_and_leaves_nothing(world: Mounted) -> None:
    with pytest.raises(OriginRefused):
        await world.add(secrets={"secret_key": "wrong"})
    with pytest.raises(InvalidRequest, match="power of two"):
        await world.add(block_size_bytes=5000)
    with pytest.raises(InvalidRequest, match="metadata_ttl"):
        await world.add(metadata_ttl_s=-5)
    with pytest.raises(BucketAlreadyOwned):
        await world.add(bucket="b")
    assert (await world.mounts.list(m.ListMounts(caller=ADMIN))).mounts == ()


async def test_a_cached_record_is_believed_for_its_time(world: Mounted) -> None:
    mount = await world.add(metadata_ttl_s=60)
    with pytest.raises(OriginNeeded) as unknown:
        await world.lookup("k")
    details = unknown.value.details
    assert (details["mount"], details["row_version"]) == (mount.mount_id.hex(), "0")
    committed = await world.commit(mount, "k", world.record(mount, "k"), 0)
    found = await world.lookup("k")
    assert (found.record, found.mount_id) == (committed.record, mount.mount_id)
    world.harness.clock.advance(60.1)
    with pytest.raises(OriginNeeded) as old:
        await world.lookup("k")
    assert old.value.details["row_version"] == str(committed.row_version)


@pytest.mark.parametrize(("ttl_s", "believed"), [(0, False), (-1, True)])
async def test_ttl_never_and_always(world: Mounted, ttl_s: float, believed: bool) -> None:
    mount = await world.add(metadata_ttl_s=ttl_s)
    await world.commit(mount, "k", world.record(mount, "k"), 0)
    world.harness.clock.advance(1e6 if believed else 0.001)
    if believed:
        assert (await world.lookup("k")).record.etag == "e1"
    else:
        with pytest.raises(OriginNeeded):
            await world.lookup("k")


async def test_sync_makes_what_is_below_a_prefix_outdated(world: Mounted) -> None:
    mount = await world.add(metadata_ttl_s=-1)
    for key in ("a/1", "b/1"):
        await world.commit(mount, key, world.record(mount, key), 0)
    request = m.SyncMount(caller=ANONYMOUS, bucket="mnt", prefix="a/", mutation=world.harness.mutation())
    await world.mounts.sync(request)
    with pytest.raises(OriginNeeded):
        await world.lookup("a/1")
    assert (await world.lookup("b/1")).record.etag == "e1"
    world.harness.clock.advance(1)
    version = int((await _needed(world, "a/1")).details["row_version"])
    await world.commit(mount, "a/1", world.record(mount, "a/1"), version)
    assert (await world.lookup("a/1")).record.etag == "e1"


async def _needed(world: Mounted, key: str) -> OriginNeeded:
    with pytest.raises(OriginNeeded) as raised:
        await world.lookup(key)
    return raised.value


async def test_a_write_that_was_begun_makes_the_record_outdated(world: Mounted) -> None:
    mount = await world.add()
    await world.commit(mount, "k", world.record(mount, "k"), 0)
    begun = await world.begin(mount, "k", "new")
    assert begun.versions[1] == 0
    assert int((await _needed(world, "k")).details["row_version"]) == begun.versions[0]
    with pytest.raises(Conflict):  # a reader that had asked the origin before
        await world.commit(mount, "k", world.record(mount, "k"), begun.versions[0] - 1)
    await world.commit(mount, "k", world.record(mount, "k", "e2"), begun.versions[0])
    assert (await world.lookup("k")).record.etag == "e2"


async def test_a_local_object_hides_the_origin_until_it_is_there(world: Mounted) -> None:
    mount = await world.add()
    await world.commit(mount, "k", world.record(mount, "k"), 0)
    content = world.harness.new_content(20)
    written = await world.put_local("k", content)
    found = await world.lookup("k")
    assert found.record.segments == (Segment(content.content, 20),)
    assert [entry.key for entry in (await world.local(mount)).entries] == ["k"]
    with pytest.raises(Conflict):
        await world.commit(mount, "k", world.record(mount, "k", "e2"), written.row_version)
    await world.commit(
        mount, "k", world.record(mount, "k", "e2", 20), written.row_version, replace_local=True
    )
    assert (await world.local(mount)).entries == ()
    state = await check_invariants(world.harness.store)
    assert set(state.deletions) == {content.content}


async def test_local_objects_are_listed_by_range(world: Mounted) -> None:
    mount = await world.add()
    for key in ("a", "b/1", "b/2", "c"):
        await world.put_local(key, world.harness.new_content(1))
    page = await world.local(mount, prefix="b/")
    assert [entry.key for entry in page.entries] == ["b/1", "b/2"]
    page = await world.local(mount, after="a", until="b/1")
    assert [entry.key for entry in page.entries] == ["b/1"]


async def test_the_generation_tells_of_writes_and_not_of_validations(world: Mounted) -> None:
    mount = await world.add()
    first = await world.commit(mount, "k", world.record(mount, "k"), 0)
    before = (await world.local(mount)).generation
    again = await world.commit(mount, "k", world.record(mount, "k"), first.row_version)
    assert (await world.local(mount)).generation == before
    await world.commit(mount, "k", None, again.row_version)
    assert (await world.local(mount)).generation > before
    await _needed(world, "k")


async def test_operations_of_the_origin_are_not_done_here(world: Mounted) -> None:
    await world.add()
    namespace, mutation = world.namespace, world.harness.mutation
    with pytest.raises(OriginNeeded):
        await listing.list_objects(namespace, m.ListObjects(caller=ANONYMOUS, bucket="mnt"))
    with pytest.raises(OriginNeeded):
        await objects.put_object(namespace, world.harness.put_request("k", bucket="mnt"))
    target = m.DeleteTarget(key="k")
    with pytest.raises(OriginNeeded):
        await objects.delete_objects(
            namespace,
            m.DeleteObjects(caller=ANONYMOUS, bucket="mnt", targets=(target,), mutation=mutation()),
        )
    source = await world.harness.put("s", data=b"x")
    copy = m.CopyObject(
        caller=ANONYMOUS,
        source_bucket="b",
        source_key="s",
        source_version=source.row_version,
        bucket="mnt",
        record=source.record,
        mutation=mutation(),
    )
    with pytest.raises(OriginNeeded):
        await copies.copy_object(namespace, copy)
    with pytest.raises(InvalidRequest, match="unmount"):
        await buckets.delete_bucket(
            namespace, m.DeleteBucket(caller=ANONYMOUS, bucket="mnt", mutation=mutation())
        )


async def test_a_read_only_mount_takes_no_write(world: Mounted) -> None:
    mount = await world.add(read_only=True)
    with pytest.raises(AccessDenied, match="read-only"):
        await world.put_local("k", world.harness.new_content(1))
    with pytest.raises(AccessDenied, match="read-only"):
        await world.begin(mount, "k")
    change = m.ChangeMount(caller=ANONYMOUS, bucket="mnt", read_only=False, mutation=world.harness.mutation())
    await world.mounts.change(change)
    assert world.origins.dropped == [(mount.mount_id, False)]
    await world.begin(mount, "k")


async def test_what_an_origin_is_told_can_be_changed(world: Mounted) -> None:
    mount = await world.add(options={"endpoint": "http://old", "region": "r"})

    def change(**changes: Any) -> m.ChangeMount:
        return m.ChangeMount(caller=ANONYMOUS, bucket="mnt", mutation=world.harness.mutation(), **changes)

    with pytest.raises(OriginRefused):
        await world.mounts.change(change(secrets={"secret_key": "wrong"}, quota_bytes=5))
    assert (await world.mounts.secrets(m.GetMount(mount_id=mount.mount_id))).mount == mount
    await world.mounts.change(
        change(
            options={"endpoint": "http://new", "region": ""},
            secrets={"secret_key": "another", "access_key": "", "session_token": "t"},
        )
    )
    now = await world.mounts.secrets(m.GetMount(mount_id=mount.mount_id))
    assert now.secrets == {"secret_key": "another", "session_token": "t"}
    assert now.mount.secret_options == ("secret_key", "session_token")
    assert now.mount.options == {"endpoint": "http://new"}
    assert world.origins.dropped == [(mount.mount_id, False)]


async def test_unmounting_keeps_what_only_this_cluster_has(world: Mounted) -> None:
    mount = await world.add()
    content = world.harness.new_content(1)
    await world.put_local("k", content)
    await world.commit(mount, "c", world.record(mount, "c"), 0)

    def remove(**flags: bool) -> m.RemoveMount:
        return m.RemoveMount(caller=ANONYMOUS, bucket="mnt", mutation=world.harness.mutation(), **flags)

    with pytest.raises(BucketNotEmpty, match="origin does not have"):
        await world.mounts.remove(remove())
    await world.mounts.remove(remove(discard_local=True))
    assert world.origins.dropped == [(mount.mount_id, True)]
    with pytest.raises(MountNotFound):
        await world.begin(mount, "k")
    lease = await world.harness.lease()
    while await Upkeep(world.namespace).run_once(lease, world.namespace.now_ms()):
        pass
    state = await check_invariants(world.harness.store)
    assert set(state.deletions) == {content.content}
    assert not [row async for row in _rows(world, b"o")] + [row async for row in _rows(world, b"w")]


async def _rows(world: Mounted, prefix: bytes) -> Any:
    for row in await world.harness.store.scan(*keys.span(prefix), limit=10):
        yield row


async def test_a_missing_key_is_not_found_where_the_owner_says_so(world: Mounted) -> None:
    mount = await world.add()
    removed = await world.commit(mount, "k", None, 0)
    assert removed.record.size_bytes == 0
    with pytest.raises(OriginNeeded):
        await world.lookup("k")
    with pytest.raises(KeyNotFound):
        await world.harness.lookup("k")

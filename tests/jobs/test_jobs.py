"""Jobs: what they do to the cache, and what is said of them."""

from __future__ import annotations

import pytest
from tests.jobs.mounted_folder import World

from zerohop.errors import InvalidRequest, JobNotFound
from zerohop.model import ADMIN, Caller, WritePolicy
from zerohop.rpc import master_api as m
from zerohop.rpc.mutation import new_mutation_id

BLOCK_BYTES = 64 << 10
DATA = bytes(range(256)) * 1000  # four blocks
KEYS = tuple(f"data/{number:03}" for number in range(20))


async def test_a_folder_of_a_mount_is_loaded_and_freed(world: World) -> None:
    await world.mount()
    for key in KEYS:
        world.put(key, DATA)
    world.put("elsewhere", DATA)
    loaded = (await world.run("load", "data/", recursive=True)).job
    assert (loaded.state, loaded.objects_done, loaded.bytes_done) == ("done", 20, 20 * len(DATA))
    assert await world.cached(*KEYS) == 20 * len(DATA)
    world.origin.rename(world.origin.with_name("away"))
    assert await world.read(KEYS[7]) == DATA  # from the cache alone
    world.origin.with_name("away").rename(world.origin)
    freed = (await world.run("free", "data/", recursive=True)).job
    assert (freed.state, freed.objects_done, freed.bytes_done) == ("done", 20, 20 * len(DATA))
    assert await world.cached(*KEYS) == 0
    assert await world.read(KEYS[7]) == DATA


async def test_objects_of_the_clusters_own_are_loaded_and_freed(world: World) -> None:
    await world.objects.create_bucket("own")
    await world.objects.write("own", "a", DATA)
    assert (await world.run("free", "a", bucket="own")).job.state == "done"
    assert await world.cached("a", bucket="own") == 0
    assert (await world.run("load", "a", bucket="own")).job.bytes_done == len(DATA)
    assert await world.cached("a", bucket="own") == len(DATA)


async def test_a_job_says_what_it_failed_at(world: World) -> None:
    await world.mount()
    found = await world.run("load", "missing")
    assert (found.job.state, found.job.objects_failed) == ("failed", 1)
    assert [failure.key for failure in found.failures] == ["missing"]
    assert "KeyNotFound" in found.failures[0].message


async def test_what_is_pinned_is_not_freed_until_it_is_released(world: World) -> None:
    await world.mount()
    world.put("kept", DATA)
    world.put("not-kept", DATA)
    await world.run("pin", "kept")
    await world.run("load", recursive=True)
    await world.run("pin", "kept")  # what was loaded before the job was known to nobody
    freed = (await world.run("free", recursive=True)).job
    assert await world.cached("kept") == len(DATA)
    assert await world.cached("not-kept") == 0
    assert "stay" in freed.message
    assert (await world.run("unpin", "kept")).job.state == "done"
    await world.run("free", recursive=True)
    assert await world.cached("kept") == 0


async def test_a_key_below_a_pinned_prefix_is_not_released_alone(world: World) -> None:
    await world.mount()
    await world.run("pin", "data/", recursive=True)
    with pytest.raises(InvalidRequest, match="data/"):
        await world.start("unpin", "data/1")
    await world.run("unpin", "data/", recursive=True)
    await world.run("unpin", "data/1")


async def test_must_cache_objects_are_persisted_on_request(world: World) -> None:
    mount = await world.mount(write_policy=WritePolicy.MUST_CACHE)
    await world.objects.write("mnt", "a/1", b"one")
    await world.objects.write("mnt", "a/2", DATA)
    await world.objects.write("mnt", "b", b"stays")
    done = (await world.run("persist", "a/", recursive=True)).job
    assert (done.state, done.objects_done, done.objects_total) == ("done", 2, 2)
    assert (world.origin / "a/2").read_bytes() == DATA
    assert await world.local_keys(mount) == ["b"]


async def test_must_cache_objects_of_the_clusters_own_are_persisted(world: World) -> None:
    await world.objects.create_bucket("own")
    await world.objects.write("own", "a", DATA, policy=WritePolicy.MUST_CACHE)
    assert (await world.objects.lookup("own", "a")).holders
    assert (await world.run("persist", recursive=True, bucket="own")).job.state == "done"
    assert not (await world.objects.lookup("own", "a")).holders
    await world.run("free", "a", bucket="own")
    assert await world.read("a", "own") == DATA


async def test_jobs_are_listed_newest_first_and_seen_by_their_owners(world: World) -> None:
    await world.mount()
    ids = [await world.start("free", recursive=True) for _ in range(3)]
    for job_id in ids:
        await world.ended(job_id)
    page = await world.client.call(m.ListJobs(caller=ADMIN, limit=2))
    assert [job.job_id for job in page.jobs] == [ids[2], ids[1]]
    rest = await world.client.call(m.ListJobs(caller=ADMIN, after=page.next_after))
    assert [job.job_id for job in rest.jobs] == [ids[0]]
    assert not (await world.client.call(m.ListJobs(caller=Caller("somebody")))).jobs
    with pytest.raises(JobNotFound):
        await world.client.call(m.GetJob(caller=Caller("somebody"), job_id=ids[0]))
    with pytest.raises(JobNotFound):
        await world.job("no-such-id")


async def test_a_job_that_waits_is_cancelled(world: World) -> None:
    await world.mount()
    world.put("large", DATA)
    job_id = await world.start("load", "large", bytes_per_second="1")
    cancelling = m.CancelJob(caller=ADMIN, job_id=job_id, mutation=new_mutation_id())
    assert (await world.client.call(cancelling)).job.state == "cancelled"
    assert (await world.ended(job_id)).job.state == "cancelled"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("dance", {}),
        ("load", {"speed": "1"}),
        ("load", {"replicas": "0"}),
        ("load", {"bytes_per_second": "-1"}),
        ("set_ttl", {}),
        ("set_ttl", {"ttl_s": "nan"}),
        ("set_ttl", {"ttl_s": "1", "action": "explode"}),
        ("set_replication", {"min": "3", "max": "2"}),
    ],
)
async def test_what_makes_no_sense_is_refused(world: World, kind: str, options: dict[str, str]) -> None:
    await world.mount()
    with pytest.raises(InvalidRequest):
        await world.start(kind, recursive=True, **options)


async def test_what_is_new_below_a_pinned_prefix_is_pinned_at_once(world: World) -> None:
    blocks = DATA[: 3 * BLOCK_BYTES]  # whole ones: pins are counted as they are stored
    await world.mount()
    await world.objects.create_bucket("own")
    for bucket in ("mnt", "own"):
        await world.run("pin", "data/", bucket=bucket, recursive=True)
    world.put("data/found", blocks)
    world.put("elsewhere", blocks)
    assert await world.read("data/found") == await world.read("elsewhere") == blocks
    await world.objects.write("mnt", "data/written", blocks)
    await world.objects.write("own", "data/written", blocks)
    await world.pinned(3 * len(blocks))
    for bucket in ("mnt", "own"):
        await world.run("free", bucket=bucket, recursive=True)
    assert await world.cached("data/found", "data/written") == 2 * len(blocks)
    assert await world.cached("data/written", bucket="own") == len(blocks)
    assert await world.cached("elsewhere") == 0
    # Another version takes the place of the first, and nothing is left of that.
    await world.objects.write("mnt", "data/written", blocks[:-BLOCK_BYTES])
    await world.objects.write("own", "data/written", blocks[: -2 * BLOCK_BYTES])
    await world.pinned(3 * len(blocks) - 3 * BLOCK_BYTES)
    await world.run("unpin", recursive=True)
    world.put("data/late", blocks)
    assert await world.read("data/late") == blocks
    await world.run("free", recursive=True)
    assert await world.cached("data/found", "data/late") == 0

"""Jobs and the queue of writes in a cluster of processes, some of which are killed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.jobs.mounted_folder import World
from tests.support.real_cluster import RealCluster

from zerohop.model import ADMIN, WritePolicy
from zerohop.rpc import master_api as m

DATA = bytes(range(256)) * 1024  # four blocks
SETTINGS = {"master": {"block_size_bytes": "64KiB", "sweep_interval_s": "0.5s"}}


def start_again(cluster: RealCluster, name: str) -> None:
    cluster.launch(name)
    cluster.wait_ready(name)


async def queues(world: World) -> list[m.JobInfo]:
    page = await world.client.call(m.ListJobs(caller=ADMIN), timeout_s=30)
    return [job for job in page.jobs if job.job_id.startswith("persist-")]


async def test_a_killed_master_goes_on_with_its_jobs(tmp_path: Path) -> None:
    with RealCluster(workers=2, proxies=0, settings=SETTINGS) as cluster:
        async with World.of(cluster.master_address, tmp_path / "origin") as world:
            await world.mount()
            for number in range(300):
                world.put(f"data/{number:04}", b"x" * 2000)
            job_id = await world.start("load", "data/", recursive=True, bytes_per_second="200000")
            while not (await world.job(job_id)).job.objects_done:
                pass
            cluster.kill("master")
            start_again(cluster, "master")
            job = (await world.ended(job_id)).job
            assert (job.state, job.objects_done, job.bytes_done) == ("done", 300, 600_000)
            assert await world.cached(*(f"data/{number:04}" for number in range(300))) == 600_000


async def test_the_queue_for_an_origin_survives_a_killed_master(tmp_path: Path) -> None:
    with RealCluster(workers=2, proxies=0, settings=SETTINGS) as cluster:
        async with World.of(cluster.master_address, tmp_path / "origin") as world:
            mount = await world.mount(write_policy=WritePolicy.ASYNC_THROUGH)
            world.origin.rename(tmp_path / "away")
            for number in range(12):
                await world.objects.write("mnt", f"queued/{number}", DATA + bytes([number]))
            while not (waiting := await queues(world))[0].objects_failed:
                pass
            assert (waiting[0].kind, waiting[0].state, waiting[0].objects_total) == ("persist", "running", 12)
            shown = await world.job(waiting[0].job_id)
            assert "OriginRefused" in shown.failures[0].message
            assert shown.failures[0].next_ms
            cluster.kill("master")
            (tmp_path / "away").rename(world.origin)
            start_again(cluster, "master")
            assert len(await world.local_keys(mount)) == 12
            # At once, and not only when the pauses are over.
            assert (await world.run("persist", recursive=True)).job.state == "done"
            assert not await queues(world)
            for number in range(12):
                assert (world.origin / f"queued/{number}").read_bytes() == DATA + bytes([number])


async def test_a_master_killed_while_objects_are_on_their_way_loses_none(tmp_path: Path) -> None:
    with RealCluster(workers=2, proxies=0, settings=SETTINGS) as cluster:
        async with World.of(cluster.master_address, tmp_path / "origin") as world:
            mount = await world.mount(write_policy=WritePolicy.ASYNC_THROUGH)
            for number in range(30):
                await world.objects.write("mnt", f"{number}", DATA + bytes([number]))
            cluster.kill("master")
            start_again(cluster, "master")
            await world.run("persist", recursive=True)
            await world.persisted(mount)
            for number in range(30):
                assert (world.origin / str(number)).read_bytes() == DATA + bytes([number])
                assert await world.read(str(number)) == DATA + bytes([number])


async def test_pins_outlive_the_worker_that_keeps_them(tmp_path: Path) -> None:
    settings = SETTINGS | {"worker": {"mem_quota": "0"}}
    with RealCluster(workers=1, proxies=0, settings=settings) as cluster:
        async with World.of(cluster.master_address, tmp_path / "origin") as world:
            await world.mount()
            world.put("kept/1", DATA)
            await world.run("load", "kept/", recursive=True)
            await world.run("pin", "kept/", recursive=True)
            cluster.kill("worker-0")
            start_again(cluster, "worker-0")
            # It is told what is pinned a moment after it has registered, and reports it with its heartbeats.
            while not await _pinned_bytes(world):
                pass
            await world.run("free", recursive=True)
            assert await world.cached("kept/1") == len(DATA)
            await world.run("unpin", "kept/", recursive=True)
            await world.run("free", recursive=True)
            assert await world.cached("kept/1") == 0


async def _pinned_bytes(world: World) -> int:
    report = await world.client.call(m.GetReport(caller=ADMIN))
    return sum(tier.pinned_bytes for worker in report.workers for tier in worker.tiers)


async def test_copies_are_kept_on_as_many_workers_as_wanted(tmp_path: Path) -> None:
    with RealCluster(workers=3, proxies=0, settings=SETTINGS) as cluster:
        async with World.of(cluster.master_address, tmp_path / "origin") as world:
            await world.mount()
            world.put("hot/1", DATA)
            await world.run("load", "hot/", recursive=True, replicas="2")
            assert sorted((await world.copies("hot/1")).values()) == [len(DATA)] * 2
            await world.run("set_replication", "hot/", recursive=True, min="3")
            assert list((await world.copies("hot/1")).values()) == [len(DATA)] * 3
            await world.run("set_replication", "hot/", recursive=True, max="1")
            (holder,) = await world.copies("hot/1")
            await world.run("set_replication", "hot/", recursive=True)  # no bounds any more
            await world.run("drain", bucket="", worker=holder)
            copies = await world.copies("hot/1")
            assert copies.pop(holder) == len(DATA)
            assert list(copies.values()) == [len(DATA)]


async def test_copies_come_from_a_worker_that_was_not_heard_of_yet(tmp_path: Path) -> None:
    """The first of two workers hears of the other with its next heartbeat, which is some seconds off."""
    with RealCluster(workers=2, proxies=0, settings=SETTINGS, heartbeat_s=4, lost_after_s=12) as cluster:
        async with World.of(cluster.master_address, tmp_path / "origin") as world:
            await world.mount()
            for number in range(12):  # some of them belong to each
                world.put(f"hot/{number}", DATA)
            await world.run("load", "hot/", recursive=True)
            await world.run("set_replication", "hot/", recursive=True, min="2")
            for number in range(12):
                assert list((await world.copies(f"hot/{number}")).values()) == [len(DATA)] * 2


async def test_a_worker_that_joins_gets_what_belongs_to_it(tmp_path: Path) -> None:
    with RealCluster(workers=2, proxies=0, settings=SETTINGS) as cluster:
        async with World.of(cluster.master_address, tmp_path / "origin") as world:
            await world.mount()
            for number in range(40):
                world.put(f"hot/{number}", b"x" * 5000)
            await world.run("load", "hot/", recursive=True)
            while not await _used_bytes(world):
                pass  # the master hears of it with the next heartbeats
            cluster.workers.append("worker-2")
            start_again(cluster, "worker-2")
            while not (moved := await _rebalances(world)):
                pass
            job = (await world.ended(moved[0].job_id)).job
            assert job.options == {"worker": cluster.worker_id("worker-2")}
            assert 0 < job.bytes_done < 40 * 5000


async def _used_bytes(world: World) -> int:
    report = await world.client.call(m.GetReport(caller=ADMIN))
    return sum(tier.used_bytes for worker in report.workers for tier in worker.tiers)


async def _rebalances(world: World) -> list[m.JobInfo]:
    page = await world.client.call(m.ListJobs(caller=ADMIN))
    return [job for job in page.jobs if job.kind == "rebalance"]


async def test_times_to_live_and_quotas(tmp_path: Path) -> None:
    with RealCluster(workers=1, proxies=0, settings=SETTINGS) as cluster:
        async with World.of(cluster.master_address, tmp_path / "origin") as world:
            await world.mount(quota_bytes=3 * len(DATA))
            names = [f"short/{number}" for number in range(8)]
            for name in [*names, "gone/1"]:
                world.put(name, DATA)
            while not await _has_quota(world):
                pass
            await world.run("load", "short/", recursive=True)
            assert await world.cached(*names)
            while await world.cached(*names) > 3 * len(DATA):
                pass  # the worker hears of the quota with its next heartbeat, and makes room then
            for name in names:
                assert await world.read(name) == DATA
            await world.run("set_ttl", "short/", recursive=True, ttl_s="0.3")
            while await world.cached(*names):
                pass
            await world.run("set_ttl", "gone/", recursive=True, ttl_s="0.001", action="delete")
            while (world.origin / "gone/1").exists():
                pass
            assert (world.origin / names[0]).exists()


async def _has_quota(world: World) -> bool:
    await world.client.refresh()
    return bool(world.client.view.mount_quotas)


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    folder = tmp_path / "origin/data"
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / str(number)).write_bytes(DATA)
    return folder.parent


def test_the_command_line(mounted: Path) -> None:
    with RealCluster(workers=1, proxies=0, settings=SETTINGS) as cluster:
        cluster.cli("fs", "mount", f"file://{mounted}", "/mnt")
        refused = cluster.cli("fs", "load", "/mnt/data", check=False)
        assert (refused.returncode, "add -R" in refused.stderr) == (2, True)
        assert "3 objects" in cluster.cli("fs", "load", "-R", "/mnt/data", "--rate", "100MiB").stdout
        listing = cluster.cli("fs", "ls", "-R", "/mnt/data").stdout
        assert re.findall(r" (\d+)% /", listing) == ["100"] * 3
        failed = cluster.cli("fs", "load", "/mnt/none", check=False)
        assert (failed.returncode, "does not exist" in failed.stderr) == (3, True)
        job_id = cluster.cli("fs", "free", "-R", "/mnt", "--detach").stdout.strip()
        shown = json.loads(cluster.cli("admin", "jobs", "show", job_id, "--json").stdout)
        assert (shown["id"], shown["kind"], shown["bucket"]) == (job_id, "free", "mnt")
        cluster.cli("admin", "jobs", "cancel", job_id)
        listed = cluster.cli("admin", "jobs", "list").stdout.splitlines()
        assert listed[0].startswith(job_id)
        assert len(listed) == 2
        assert "load done" in listed[1]
        assert "ended already" in cluster.cli("admin", "jobs", "cancel", listed[1].split()[0]).stderr
        assert cluster.cli("admin", "jobs", "show", "0" * 32, check=False).returncode == 3

"""Writes that origins get later: that they get them, whatever happens in between."""

from __future__ import annotations

from tests.jobs.mounted_folder import World

from zerohop.model import WritePolicy


async def test_local_objects_are_brought_to_the_origin(world: World) -> None:
    mount = await world.mount(write_policy=WritePolicy.ASYNC_THROUGH)
    large = bytes(range(256)) * 1024
    await world.objects.write("mnt", "a/small", b"small")
    await world.objects.write("mnt", "a/large", large)
    await world.persisted(mount)
    assert (world.origin / "a/small").read_bytes() == b"small"
    assert (world.origin / "a/large").read_bytes() == large
    found = await world.objects.lookup("mnt", "a/large")
    assert found.record.origin is not None
    assert not found.record.unpersisted


async def test_a_must_cache_object_stays_local(world: World) -> None:
    mount = await world.mount(write_policy=WritePolicy.MUST_CACHE)
    await world.objects.write("mnt", "kept", b"kept")
    queued = await world.mount("other", write_policy=WritePolicy.ASYNC_THROUGH)
    await world.objects.write("other", "brought", b"brought")
    await world.persisted(queued)
    assert await world.local_keys(mount) == ["kept"]
    assert not (world.origin / "kept").exists()

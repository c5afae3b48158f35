"""Whole objects over a small master that keeps records: inline or content, lists in records or manifests."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from zerohop.client.objects import ObjectClient
from zerohop.errors import BodyTooShort, Conflict, KeyNotFound, NoWorker
from zerohop.model import ObjectRecord, Segment, WritePolicy
from zerohop.rpc.call import Call
from zerohop.rpc.master_api import LookupObject, ManifestPage, ObjectResult, PutObject, ReadManifest


class Records:
    """Objects by key; a manifest is read two segments at a time."""

    def __init__(self, cluster: Any) -> None:
        self.objects: dict[str, ObjectResult] = {}
        self.manifests: dict[bytes, tuple[Segment, ...]] = {}
        self.puts: list[PutObject] = []
        self.refusal: Exception | None = None
        cluster.master.handlers |= {
            PutObject: self.put,
            LookupObject: self.lookup,
            ReadManifest: self.manifest,
        }

    async def put(self, request: PutObject, _call: Call) -> ObjectResult:
        self.puts.append(request)
        if self.refusal is not None:
            raise self.refusal
        result = ObjectResult(record=request.record, row_version=1, bucket_owner="o", data=request.data)
        self.objects[request.record.key] = result
        return result

    async def lookup(self, request: LookupObject, _call: Call) -> ObjectResult:
        if request.key not in self.objects:
            raise KeyNotFound
        return self.objects[request.key]

    async def manifest(self, request: ReadManifest, _call: Call) -> ManifestPage:
        begin = 0
        segments = self.manifests[request.manifest]
        for number, segment in enumerate(segments):
            if request.offset < begin + segment.length:
                return ManifestPage(
                    first_offset=begin, first_index=number, segments=segments[number : number + 2]
                )
            begin += segment.length
        raise AssertionError("beyond the object")


@pytest.fixture
async def records(cluster: Any) -> Records:
    records = Records(cluster)
    await cluster.master.stop()
    await cluster.master.start()
    return records


async def read_all(objects: ObjectClient, key: str, offset: int = 0, size: int | None = None) -> bytes:
    return b"".join([bytes(chunk) async for chunk in objects.read("b", key, offset, size)])


async def in_chunks(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def test_small_object_goes_with_the_commit(cluster: Any, records: Records) -> None:
    objects = ObjectClient(await cluster.client())
    result = await objects.write("b", "k", b"x" * 100)
    assert records.puts[0].data == b"x" * 100
    assert records.puts[0].contents == ()
    assert result.record.etag == hashlib.md5(b"x" * 100).hexdigest()


@pytest.mark.parametrize("local", [True, False])
async def test_large_object_goes_to_a_worker_and_comes_back(
    cluster: Any, records: Records, local: bool
) -> None:
    worker = await cluster.worker("w1", local=local)
    objects = ObjectClient(await cluster.client())
    data = os.urandom(50_000)
    result = await objects.write("b", "k", in_chunks(data, 777), policy=WritePolicy.THROUGH)
    (content,) = records.puts[0].contents
    assert worker.contents[content.content] == data
    assert result.record.etag == hashlib.md5(data).hexdigest()
    records.objects["k"] = ObjectResult(
        record=ObjectRecord(
            key="k",
            size_bytes=len(data),
            etag="",
            modified_ms=0,
            segments=(Segment(content.content, len(data)),),
        ),
        row_version=1,
        bucket_owner="o",
    )
    assert await read_all(objects, "k") == data
    assert await read_all(objects, "k", 4000, 10_000) == data[4000:14_000]
    assert await read_all(objects, "k", len(data), 5) == b""
    assert bool(worker.opened) is local


async def test_manifest_is_read_as_far_as_the_range_goes(cluster: Any, records: Records) -> None:
    worker = await cluster.worker("w1")
    parts = [os.urandom(5000 + number) for number in range(5)]
    segments = tuple(Segment(worker.add(number, part), len(part)) for number, part in enumerate(parts))
    records.manifests[b"u"] = segments
    size = sum(map(len, parts))
    record = ObjectRecord(key="k", size_bytes=size, etag="", modified_ms=0, manifest=b"u", part_count=5)
    records.objects["k"] = ObjectResult(record=record, row_version=1, bucket_owner="o")
    objects = ObjectClient(await cluster.client())
    assert await read_all(objects, "k") == b"".join(parts)
    assert await read_all(objects, "k", 9_990, 6_000) == b"".join(parts)[9_990:15_990]


async def test_content_of_a_refused_commit_is_discarded(cluster: Any, records: Records) -> None:
    worker = await cluster.worker("w1")
    objects = ObjectClient(await cluster.client())
    records.refusal = Conflict()
    with pytest.raises(Conflict):
        await objects.write("b", "k", b"x" * 1000, expected_version=0)
    assert worker.discarded == list(worker.contents)


async def test_body_of_another_length_is_not_committed(cluster: Any, records: Records) -> None:
    await cluster.worker("w1")
    objects = ObjectClient(await cluster.client())
    with pytest.raises(BodyTooShort):
        await objects.write("b", "k", in_chunks(b"x" * 999, 100), size_bytes=1000)
    with pytest.raises(BodyTooShort):
        await objects.write("b", "k", in_chunks(b"x" * 10, 100), size_bytes=11)
    assert not records.puts


async def test_failing_source_leaves_nothing(cluster: Any, records: Records) -> None:
    worker = await cluster.worker("w1")
    objects = ObjectClient(await cluster.client())

    async def cut() -> AsyncIterator[bytes]:
        yield b"x" * 5000
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        await objects.write("b", "k", cut())
    assert not records.puts
    assert not worker.contents


async def test_next_worker_takes_the_content_when_one_is_gone(cluster: Any, records: Records) -> None:
    near, far = await cluster.worker("w1"), await cluster.worker("w2", local=False)
    client = await cluster.client()
    await near.stop()
    await ObjectClient(client).write("b", "k", b"x" * 1000)
    assert far.contents
    await far.stop()
    with pytest.raises(NoWorker, match=r"w1.*w2|w2.*w1"):
        await ObjectClient(client).write("b", "k", b"x" * 1000)


async def test_no_worker_is_said_at_once(cluster: Any, records: Records) -> None:
    with pytest.raises(NoWorker, match=r"no worker is registered"):
        await ObjectClient(await cluster.client()).write("b", "k", b"x" * 1000)

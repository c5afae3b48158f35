"""An S3 store that throttles, loses connections, stops in the middle of bodies, or forgets conditions."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import pytest
from tests.origins.conftest import S3_SECRETS, mount
from tests.origins.stores import PLAIN, names_of, put, read
from tests.support.faulty_proxy import FaultyProxy

from zerohop.errors import OriginChanged, UnderStoreFailed
from zerohop_worker.origins import s3_requests
from zerohop_worker.origins.interface import OriginStore, StagedObject, WriteCondition
from zerohop_worker.origins.opening import open_origin

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BODY = random.Random(5).randbytes(2 << 20)


@pytest.fixture
async def proxy(moto_port: int) -> AsyncIterator[FaultyProxy]:
    async with FaultyProxy("127.0.0.1", moto_port) as one:
        yield one


@pytest.fixture
async def origin(
    proxy: FaultyProxy, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[OriginStore]:
    monkeypatch.setattr(s3_requests, "backoff_s", lambda failures, asked_s: 0.0)
    store = open_origin(mount(f"s3://{s3_bucket}", endpoint=proxy.url, read_timeout="5s"), S3_SECRETS)
    yield store
    await store.close()


@pytest.mark.parametrize("fault", ["throttle", "drop", "swallow"])
async def test_passing_faults_are_outlived(origin: OriginStore, proxy: FaultyProxy, fault: str) -> None:
    await put(origin, "key", BODY)
    for call in (
        lambda: origin.head("key"),
        lambda: origin.list("", "", "", 10),
        lambda: put(origin, "key", BODY),
        lambda: origin.delete(["nothing"]),
    ):
        getattr(proxy, fault)(3)
        await call()
    getattr(proxy, fault)(3)
    assert await read(origin, "key") == BODY


async def test_lasting_faults_end_in_an_error(origin: OriginStore, proxy: FaultyProxy) -> None:
    await put(origin, "key", BODY)
    before = len(proxy.requests)
    proxy.throttle(1000)
    with pytest.raises(UnderStoreFailed, match="SlowDown"):
        await origin.list("", "", "", 10)
    assert len(proxy.requests) - before == 5
    with pytest.raises(UnderStoreFailed):
        await origin.open("key", 0, None)
    proxy.heal()
    assert await read(origin, "key") == BODY


@pytest.mark.parametrize("cut", [0, 1, 100_000, len(BODY) - 1])
async def test_a_body_that_ends_short_is_an_error_and_can_be_resumed(
    origin: OriginStore, proxy: FaultyProxy, cut: int
) -> None:
    written = await put(origin, "key", BODY)
    proxy.cut_after(cut)
    opened = await origin.open("key", 0, None)
    got = b""
    try:
        async for piece in opened.pieces():
            got += piece
    except UnderStoreFailed:
        pass
    else:
        raise AssertionError("the body was cut, and nobody said so")
    await opened.close()
    assert got == BODY[: len(got)]
    assert len(got) <= cut
    rest = await origin.open("key", len(got), None, match=written.validator)
    assert got + b"".join([piece async for piece in rest.pieces()]) == BODY
    await rest.close()


async def test_a_conditional_write_is_not_sent_again_when_its_fate_is_unknown(
    origin: OriginStore, proxy: FaultyProxy
) -> None:
    absent = WriteCondition(only_if_absent=True)
    proxy.swallow()
    with pytest.raises(UnderStoreFailed):
        await origin.put("key", [b"first"], PLAIN, absent)
    assert await read(origin, "key") == b"first"
    proxy.throttle(2)  # but when it was certainly not carried out
    await origin.put("other", [b"second"], PLAIN, absent)
    assert await read(origin, "other") == b"second"


@pytest.mark.parametrize("fault", ["throttle", "swallow"])
async def test_a_completion_whose_answer_was_lost(
    origin: OriginStore, proxy: FaultyProxy, fault: str
) -> None:
    staged = origin.stage("large", PLAIN)
    await staged.write_part([bytes(5 << 20)])
    await staged.write_part([b"tail"])
    proxy.only("POST /")
    getattr(proxy, fault)(1)
    written = await staged.commit()
    assert written.validator.size_bytes == (5 << 20) + 4
    found = await origin.head("large")
    assert found is not None
    assert found.validator.etag == written.validator.etag
    assert found.part_count == 2


async def test_parts_survive_faults_and_failures_leave_no_upload(
    origin: OriginStore, proxy: FaultyProxy
) -> None:
    parts = [random.Random(seed).randbytes(5 << 20) for seed in range(4)]
    staged = origin.stage("large", PLAIN)
    await staged.write_part([parts[0]])
    proxy.only("PUT")
    proxy.drop(2)
    proxy.throttle(2)
    for part in parts[1:]:
        await staged.write_part([part])
    await staged.commit()
    assert await read(origin, "large") == b"".join(parts)
    failing = origin.stage("other", PLAIN)
    proxy.throttle(1000)
    with pytest.raises(UnderStoreFailed):
        await _write(failing, parts)
    await failing.abort()
    proxy.heal()
    assert await names_of(origin) == ["large"]


async def test_an_upload_that_is_given_up_while_it_is_begun_is_removed(
    origin: OriginStore, proxy: FaultyProxy, s3: S3Client, s3_bucket: str
) -> None:
    """Its id is known only to who waits for the answer."""
    await put(origin, "any", b"so that the client is there")
    staged = origin.stage("large", PLAIN)
    proxy.hold()
    writing = asyncio.create_task(staged.write_part([b"x" * (5 << 20)]))
    async with asyncio.timeout(20):
        while not any(line.startswith("POST") for line in proxy.requests):
            await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait((writing,))
    aborting = asyncio.create_task(staged.abort())
    await asyncio.sleep(0)
    proxy.release()
    await aborting
    uploads = await asyncio.to_thread(s3.list_multipart_uploads, Bucket=s3_bucket)
    assert not uploads.get("Uploads")
    assert [line.split()[0] for line in proxy.requests[-2:]] == ["POST", "DELETE"]


async def test_a_proxy_that_forgets_conditions_and_ranges(origin: OriginStore, proxy: FaultyProxy) -> None:
    first = await put(origin, "key", b"one")
    stale = b"stale, whole and unconditional"
    head = b'200 OK\r\netag: "abc"\r\nlast-modified: Sun, 01 Nov 2026 10:00:00 GMT'
    proxy.throttle(1, status=head, body=stale)
    with pytest.raises(OriginChanged):
        await origin.open("key", 0, None, match=first.validator)
    proxy.throttle(1, status=head, body=stale)
    with pytest.raises(UnderStoreFailed, match="ranges"):
        await origin.open("key", 5, 3)
    proxy.throttle(1, status=head, body=stale)
    opened = await origin.open("key", 0, 5)
    assert b"".join([piece async for piece in opened.pieces()]) == b"stale"
    await opened.close()
    assert await read(origin, "key") == b"one"


async def test_a_stalled_origin_is_given_up(moto_port: int, s3_bucket: str) -> None:
    async with FaultyProxy("127.0.0.1", moto_port) as proxy:
        impatient = mount(f"s3://{s3_bucket}", endpoint=proxy.url, read_timeout="200ms", max_attempts="2")
        store = open_origin(impatient, S3_SECRETS)
        proxy.hold()
        with pytest.raises(UnderStoreFailed, match=r"no byte for 0\.2 s"):
            await store.head("key")
        assert len(proxy.requests) == 2
        proxy.release()
        await store.close()


async def test_readers_that_stall_keep_no_question_waiting(moto_port: int, s3_bucket: str) -> None:
    narrow = mount(f"s3://{s3_bucket}", endpoint=f"http://127.0.0.1:{moto_port}", max_connections="2")
    store = open_origin(narrow, S3_SECRETS)
    await put(store, "key", BODY)
    stalled = [await store.open("key", 0, None) for _ in range(2)]
    third = asyncio.create_task(read(store, "key"))
    assert await store.head("key") is not None
    assert not third.done()
    await stalled[0].close()
    assert await third == BODY
    await stalled[1].close()
    await store.close()


async def _write(staged: StagedObject, parts: Sequence[bytes]) -> None:
    for part in parts:
        await staged.write_part([part])
    await staged.commit()

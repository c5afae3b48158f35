"""Uploads to S3 that does not keep up: what they hold in memory, and that they end."""

from __future__ import annotations

import asyncio
import gc
import weakref
from types import FrameType
from typing import Any

import pytest
from tests.origins.conftest import S3_SECRETS, mount
from tests.origins.stores import PLAIN
from tests.support.faulty_proxy import FaultyProxy

from zerohop.errors import OriginRefused, UnderStoreFailed
from zerohop_worker.origins.opening import open_origin


async def test_an_upload_that_failed_waits_for_no_collector(moto_port: int, s3_bucket: str) -> None:
    """An error leads by its traceback to the bytes of a part: it must not be kept where it leads to."""
    async with FaultyProxy("127.0.0.1", moto_port) as proxy:
        store = open_origin(mount(f"s3://{s3_bucket}", endpoint=proxy.url), S3_SECRETS)
        staged = store.stage("key", PLAIN)
        proxy.only("PUT")
        proxy.throttle(1, status=b"403 Forbidden", body=b"<Error><Code>AccessDenied</Code></Error>")
        await staged.write_part([b"part"])
        with pytest.raises(OriginRefused):
            await staged.commit()
        gc.disable()
        try:
            await staged.abort()
            left = weakref.ref(staged)
            del staged
            await asyncio.sleep(0)
            assert left() is None
        finally:
            gc.enable()
            await store.close()


async def test_many_uploads_to_a_slow_store_hold_few_parts(
    moto_port: int, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store: Any = open_origin(mount(f"s3://{s3_bucket}", endpoint=f"http://127.0.0.1:{moto_port}"), S3_SECRETS)
    arriving = most = 0
    full, gate = asyncio.Event(), asyncio.Event()
    call = store.requests.call

    async def slow(operation: str, *arguments: Any, **more: Any) -> Any:
        nonlocal arriving, most
        if operation != "upload_part":
            return await call(operation, *arguments, **more)
        arriving += 1
        most = max(most, arriving)
        if arriving == 16:
            full.set()
        await gate.wait()
        arriving -= 1
        return await call(operation, *arguments, **more)

    monkeypatch.setattr(store.requests, "call", slow)
    uploads = [store.stage(f"key-{number}", PLAIN) for number in range(10)]

    async def write(upload: Any) -> None:
        for _ in range(4):
            await upload.write_part([b"part"])

    writing = [asyncio.create_task(write(upload)) for upload in uploads]
    await full.wait()
    gate.set()
    await asyncio.gather(*writing)
    for upload in uploads:
        await upload.abort()
    assert most == 16
    assert store.requests.parts._value == 16
    await store.close()


async def test_a_store_that_takes_no_bytes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no frame that knew the bytes of a part is left to the collector."""
    monkeypatch.setattr("zerohop_worker.origins.s3_requests._LEAST_BYTES_PER_S", 1 << 30)
    begun = b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"POST"):
            writer.write(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(begun) + begun
            )
        else:
            await gone.wait()
        writer.close()

    gone = asyncio.Event()
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    store = open_origin(
        mount("s3://bucket", endpoint=endpoint, read_timeout="500ms", max_attempts="1"), S3_SECRETS
    )
    upload = store.stage("key", PLAIN)
    await upload.write_part([b"x" * (4 << 20)])
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        async with asyncio.timeout(30):
            with pytest.raises(UnderStoreFailed):
                await upload.commit()
        await upload.abort()
        del upload
        gc.collect()
        assert [one for one in gc.garbage if isinstance(one, FrameType) and "origins" in str(one)] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    gone.set()
    await store.close()
    server.close()
    await server.wait_closed()

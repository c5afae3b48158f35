"""Blocks of an object in order, as the proxy sends them: by descriptor where that can be had, else by relay."""

from __future__ import annotations

import os
from contextlib import aclosing
from typing import Any

import pytest
from tests.client.conftest import BLOCK

from zerohop.client import ClusterClient
from zerohop.model import ObjectRecord, ReadPolicy, Segment
from zerohop.rpc.master_api import ObjectResult
from zerohop_proxy.block_reads import IN_MEMORY, OpenSpan, open_spans, relay

BLOCKS = 20
DATA = os.urandom(BLOCK * BLOCKS - 100)


def _object(content: bytes) -> ObjectResult:
    record = ObjectRecord(
        key="k",
        size_bytes=len(DATA),
        etag="e",
        modified_ms=0,
        segments=(Segment(content=content, length=len(DATA)),),
    )
    return ObjectResult(record=record, row_version=1, bucket_owner="o")


async def _read(
    client: ClusterClient, content: bytes, start: int, policy: ReadPolicy = ReadPolicy.CACHE
) -> tuple[list[OpenSpan], bytes]:
    """What it was read by, and the bytes from `start` on."""
    spans: list[OpenSpan] = []
    data = bytearray()
    async with aclosing(open_spans(client, _object(content), start, len(DATA), policy)) as opened_spans:
        async for opened in opened_spans:
            spans.append(opened)
            if opened.block is not None:
                assert opened.block.source == IN_MEMORY
                data += os.pread(opened.block.fd, opened.span.size, opened.span.offset)
                continue
            async for piece in relay(client, opened.held, opened.span, policy):
                data += bytes(piece)
    return spans, bytes(data)


async def test_blocks_of_a_worker_elsewhere_come_in_a_stream_each(cluster: Any) -> None:
    worker = await cluster.worker("w1", local=False)
    content = worker.add(1, DATA)
    client = await cluster.client()
    spans, data = await _read(client, content, 10)
    assert data == DATA[10:]
    assert [(span.block, span.offset) for _, span, _ in spans] == [
        (0, 10),
        *((n, 0) for n in range(1, BLOCKS)),
    ]
    assert all(opened.block is None for opened in spans)
    assert worker.opened == []


async def test_blocks_at_hand_are_not_asked_for_again(cluster: Any) -> None:
    worker = await cluster.worker("w1")
    content = worker.add(1, DATA)
    client = await cluster.client()
    for _ in range(2):
        spans, data = await _read(client, content, 0)
        assert data == DATA
        assert [span.block for _, span, _ in spans] == list(range(BLOCKS))
    assert sum(opened.count for opened in worker.opened) == BLOCKS
    assert worker.reads == []
    assert {client.blocks._cache.peek((content, index)).references for index in range(BLOCKS)} == {1}


async def test_a_read_that_ends_early_lets_go_of_what_was_at_hand_for_it(cluster: Any) -> None:
    worker = await cluster.worker("w1")
    content = worker.add(1, DATA)
    client = await cluster.client()
    await _read(client, content, 0)
    async with aclosing(open_spans(client, _object(content), 0, len(DATA))) as spans:
        await anext(spans)
    assert {client.blocks._cache.peek((content, index)).references for index in range(BLOCKS)} == {1}


@pytest.mark.parametrize("refuse", [False, True])
async def test_a_worker_of_this_host_that_passes_none(cluster: Any, *, refuse: bool) -> None:
    worker = await cluster.worker("w1")
    worker.refuse_descriptors = refuse
    content = worker.add(1, DATA)
    client = await cluster.client()
    spans, data = await _read(client, content, 0, ReadPolicy.CACHE if refuse else ReadPolicy.NO_CACHE)
    assert data == DATA
    assert all(opened.block is None for opened in spans)
    assert len(worker.reads) == len(spans)
    assert bool(worker.opened) is refuse

"""Descriptors of blocks: cached, shared, reported, given back."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from zerohop.client import OpenBlock
from zerohop.client.descriptor_link import DescriptorLink
from zerohop.errors import ContentNotFound, OutcomeUnknown

BLOCK = 4096
DATA = os.urandom(BLOCK * 3 + 100)


def content_of(block: OpenBlock) -> bytes:
    return os.pread(block.fd, block.length + 1, 0)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_block_is_opened_once_and_then_at_hand(cluster: Any) -> None:
    worker = await cluster.worker("w1")
    content = worker.add(1, DATA)
    client = await cluster.client()
    assert client.blocks.cached(content, 1) is None
    with await client.blocks.open(content, len(DATA), 1) as block:
        assert content_of(block) == DATA[BLOCK : 2 * BLOCK]
        assert block.source == "MEM"
    again = client.blocks.cached(content, 1)
    assert again is block
    again.release()
    assert len(worker.opened) == 1


async def test_last_block_is_short_and_blocks_ahead_are_opened_with_the_first(cluster: Any) -> None:
    worker = await cluster.worker("w1")
    content = worker.add(1, DATA)
    client = await cluster.client()
    (await client.blocks.open(content, len(DATA), 0, count=100)).release()
    with client.blocks.cached(content, 3) as last:
        assert content_of(last) == DATA[3 * BLOCK :]
    assert [(request.first_index, request.count) for request in worker.opened] == [(0, 4)]


async def test_concurrent_readers_of_one_block_ask_once(cluster: Any) -> None:
    worker = await cluster.worker("w1")
    content = worker.add(1, DATA)
    client = await cluster.client()
    worker.gate.clear()
    readers = [asyncio.create_task(client.blocks.open(content, len(DATA), n % 2, count=2)) for n in range(20)]
    while not worker.opened:
        await asyncio.sleep(0)
    readers[0].cancel()  # the one who began it: the others go on
    readers[1].cancel()
    worker.gate.set()
    blocks = await asyncio.gather(*readers[2:])
    assert {content_of(block) for block in blocks} == {DATA[:BLOCK], DATA[BLOCK : 2 * BLOCK]}
    for block in blocks:
        block.release()
    assert len(worker.opened) == 1


async def test_worker_hears_what_was_used_and_what_was_closed(cluster: Any) -> None:
    worker = await cluster.worker("w1")
    content = worker.add(1, DATA)
    client = await cluster.client()
    (await client.blocks.open(content, len(DATA), 0)).release()
    await asyncio.wait_for(worker.used.wait(), 10)
    assert worker.uses[-1].used == ((content, 0),)
    worker.used.clear()
    worker.want_back((content, 0))
    await asyncio.wait_for(worker.used.wait(), 10)
    assert worker.uses[-1].closed == ((content, 0),)
    assert client.blocks.cached(content, 0) is None


async def test_block_that_is_wanted_back_stays_readable_for_who_reads_it(cluster: Any) -> None:
    worker = await cluster.worker("w1")
    content = worker.add(1, DATA)
    client = await cluster.client()
    block = await client.blocks.open(content, len(DATA), 0)
    worker.want_back((content, 0))
    while client.blocks.cached(content, 0) is not None:
        block.release()  # the reference that `cached` gave
        await asyncio.sleep(0)
    assert content_of(block) == DATA[:BLOCK]
    assert not any(use.closed for use in worker.uses)
    block.release()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(block.fd)


async def test_broken_connection_drops_its_blocks_and_the_next_open_connects_again(cluster: Any) -> None:
    worker = await cluster.worker("w1")
    content = worker.add(1, DATA)
    client = await cluster.client()
    block = await client.blocks.open(content, len(DATA), 0)
    worker.break_descriptors()
    while (cached := client.blocks.cached(content, 0)) is not None:
        cached.release()
        await asyncio.sleep(0)
    assert content_of(block) == DATA[:BLOCK]
    block.release()
    with await client.blocks.open(content, len(DATA), 0) as again:
        assert content_of(again) == DATA[:BLOCK]


async def test_no_descriptor_of_a_remote_worker_or_one_without_room(cluster: Any) -> None:
    worker = await cluster.worker("w1", local=False)
    content = worker.add(1, DATA)
    client = await cluster.client()
    assert await client.blocks.open(content, len(DATA), 0) is None
    local = await cluster.worker("w2")
    local.refuse_descriptors = True
    await client.refresh()
    assert await client.blocks.open(content, len(DATA), 0) is None


async def test_unpersisted_content_is_opened_at_its_holder_only(cluster: Any) -> None:
    holder = await cluster.worker("w1", local=False)
    await cluster.worker("w2")
    content = holder.add(1, DATA)
    client = await cluster.client()
    assert await client.blocks.open(content, len(DATA), 0, holders=("w1",)) is None
    with pytest.raises(ContentNotFound):
        await client.blocks.open(content, len(DATA), 0)


async def test_closing_the_client_closes_every_descriptor(cluster: Any) -> None:
    worker = await cluster.worker("w1")
    content = worker.add(1, DATA)
    client = await cluster.client()
    await client.close()
    before = open_descriptors()
    client = await cluster.client()
    (await client.blocks.open(content, len(DATA), 0, count=4)).release()
    await client.close()
    await client.close()
    while open_descriptors() > before:  # the server's ends go in a later turn of the loop
        await asyncio.sleep(0)


async def test_worker_hears_of_blocks_that_came_too_late(cluster: Any) -> None:
    worker = await cluster.worker("w1")
    content = worker.add(1, DATA)
    link = linked(worker)
    (block,) = await link.open(content, len(DATA), 0, 1, 10.0)
    before = open_descriptors()
    worker.linger = True
    with pytest.raises(OutcomeUnknown):
        await link.open(content, len(DATA), 1, 2, 0.05)
    while not any(use.closed for use in worker.uses):
        await worker.used.wait()
        worker.used.clear()
    assert [key for use in worker.uses for key in use.closed] == [(content, 1), (content, 2)]
    assert open_descriptors() == before
    block.release()
    await link.close()


async def test_worker_that_did_not_read_for_long_hears_of_everything(cluster: Any) -> None:
    worker = await cluster.worker("w1")
    content = worker.add(1, DATA)
    link = linked(worker)
    (first,) = await link.open(content, len(DATA), 0, 1, 10.0)
    for number in range(400_000):  # in one turn of the loop: nobody reads, until no packet fits any more
        link.used((content, number))
    for number in range(5000):
        OpenBlock(os.open("/dev/null", os.O_RDONLY), content, number, 1, "MEM", link).release()
    while sum(len(use.closed) for use in worker.uses) < 5000:
        await worker.used.wait()
        worker.used.clear()
    assert {key for use in worker.uses for key in use.closed} == {(content, n) for n in range(5000)}
    first.release()
    await link.close()


def linked(worker: Any) -> DescriptorLink:
    return DescriptorLink(
        worker.path, name="test", wanted_back=lambda _link, _notice: None, broken=lambda _link: None
    )

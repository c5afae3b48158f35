"""Writing to a worker that fails: to the next one, or an error that says that nothing happened."""

from __future__ import annotations

import os
from typing import Any

import pytest

from zerohop.client.writers import REPEAT_BYTES
from zerohop.errors import NoWorker, PeerUnavailable
from zerohop.model import WritePolicy

PIECE = 50_000


async def write(client: Any, data: bytes) -> Any:
    async with client.writer.open(WritePolicy.THROUGH, len(data)) as sink:
        for start in range(0, len(data), PIECE):
            await sink.write(bytearray(data[start : start + PIECE]))
        return await sink.finish()


@pytest.mark.parametrize("cut_after", [0, 3 * PIECE, 10 << 20], ids=["first", "half-way", "end"])
async def test_a_small_content_is_written_again_elsewhere(cluster: Any, cut_after: int) -> None:
    near, far = await cluster.worker("w1"), await cluster.worker("w2", local=False)
    near.cut_writes_after = cut_after
    data = os.urandom(REPEAT_BYTES)
    written = await write(await cluster.client(), data)
    assert (written.worker_id, far.contents[written.content]) == ("w2", data)
    assert not near.contents


async def test_a_large_content_fails_cleanly(cluster: Any) -> None:
    near, far = await cluster.worker("w1"), await cluster.worker("w2", local=False)
    near.cut_writes_after = REPEAT_BYTES + PIECE
    with pytest.raises(PeerUnavailable) as error:
        await write(await cluster.client(), os.urandom(REPEAT_BYTES + 40 * PIECE))
    assert error.value.retryable
    assert not near.contents
    assert not far.contents


async def test_when_all_fail_all_are_named(cluster: Any) -> None:
    for name in ("w1", "w2"):
        worker = await cluster.worker(name, local=False)
        worker.cut_writes_after = 0
    with pytest.raises(NoWorker, match=r"w[12]: .*; w[12]: "):
        await write(await cluster.client(), os.urandom(1000))


async def test_draining_workers_are_written_to_last(cluster: Any) -> None:
    near, far = await cluster.worker("w1"), await cluster.worker("w2", local=False)
    near.draining = True
    client = await cluster.client()
    assert (await write(client, b"x" * 1000)).worker_id == "w2"
    content = near.add(7, b"y" * 10)
    assert client.workers.for_read(content, 0, ())[0].worker_id == "w1"  # still read from
    await far.stop()
    assert (await write(client, b"x" * 1000)).worker_id == "w1"

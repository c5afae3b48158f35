"""A peer that is killed, as a process of its own."""

# ruff: noqa: PT012 - a stream is opened, used and left within what raises

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.rpc.messages import Download, Echo, Hang, OpenFile, Upload

from zerohop.errors import OutcomeUnknown, PeerUnavailable
from zerohop.rpc.client import RpcClient
from zerohop.rpc.descriptors import DescriptorClient, close_descriptors

MakeClient = Callable[..., RpcClient]
Eventually = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture
async def victim(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A server process at `rpc.sock` and `fd.sock` in the folder."""
    root = Path(__file__).parents[2]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.rpc.messages",
        str(folder),
        stdout=asyncio.subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "core")])},
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    yield process
    if process.returncode is None:
        process.kill()
    await process.communicate()


async def test_calls_in_flight_fail_at_once(
    victim: asyncio.subprocess.Process, clients: MakeClient, folder: Path
) -> None:
    client = clients(f"unix:{folder}/rpc.sock")
    await client.call(Echo("x"))
    calls = [asyncio.create_task(client.call(Hang(), timeout_s=600)) for _ in range(10)]
    await client.call(Echo("x"))
    victim.send_signal(signal.SIGKILL)
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [OutcomeUnknown] * 10
    with pytest.raises(PeerUnavailable):
        await client.call(Echo("x"), timeout_s=600)


async def test_a_stream_that_is_cut_never_ends_well(
    victim: asyncio.subprocess.Process, clients: MakeClient, folder: Path
) -> None:
    client = clients(f"unix:{folder}/rpc.sock")
    received = 0
    with pytest.raises(OutcomeUnknown):
        async with client.open_stream_out(Download(1 << 30), timeout_s=600) as source:
            async for chunk in source:
                if not received:
                    victim.send_signal(signal.SIGKILL)
                received += len(chunk)
    assert 0 < received < 1 << 30


async def test_a_stream_to_a_killed_server_fails(
    victim: asyncio.subprocess.Process, clients: MakeClient, folder: Path
) -> None:
    client = clients(f"unix:{folder}/rpc.sock")
    with pytest.raises(OutcomeUnknown):
        async with client.open_stream_in(Upload(), timeout_s=600) as sink:
            await sink.write(bytes(1 << 20))
            victim.send_signal(signal.SIGKILL)
            for _ in range(10_000):
                await sink.write(bytes(1 << 20))


async def test_a_killed_lender_is_noticed_and_what_it_lent_still_reads(
    victim: asyncio.subprocess.Process, folder: Path, eventually: Eventually
) -> None:
    (folder / "file").write_bytes(b"content")
    lost: list[bool] = []
    client = DescriptorClient(f"{folder}/fd.sock", name="holder", on_lost=lambda: lost.append(True))
    _, descriptors = await client.call(OpenFile(f"{folder}/file"))
    victim.send_signal(signal.SIGKILL)
    await eventually(lambda: bool(lost))
    assert os.pread(descriptors[0], 100, 0) == b"content"
    close_descriptors(descriptors)
    with pytest.raises(PeerUnavailable):
        await client.call(OpenFile(f"{folder}/file"))
    await client.close()

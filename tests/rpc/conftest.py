"""Fixtures of the RPC tests: both event loops, sockets in short folders, servers that are closed again."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from zerohop.rpc.client import RpcClient
from zerohop.rpc.server import RpcServer


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every async test here runs on both loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for Unix sockets."""
    path = Path(tempfile.mkdtemp(prefix="zh-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
async def clients() -> AsyncIterator[Callable[..., RpcClient]]:
    """Makes clients, and closes them."""
    made: list[RpcClient] = []

    def make(address: object, **options: object) -> RpcClient:
        client = RpcClient(str(address), **{"name": "test-client", **options})  # type: ignore[arg-type]
        made.append(client)
        return client

    yield make
    for client in made:
        await client.close()


@pytest.fixture
async def servers() -> AsyncIterator[Callable[..., RpcServer]]:
    """Makes servers, and closes them; checks that no call is left running."""
    made: list[RpcServer] = []

    def make(**options: object) -> RpcServer:
        server = RpcServer("test-server", **options)  # type: ignore[arg-type]
        made.append(server)
        return server

    yield make
    for server in made:
        await server.close()
        assert server._calls == 0


@pytest.fixture
async def eventually() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Waits until a condition holds, turn by turn of the loop."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0)

    return wait


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))

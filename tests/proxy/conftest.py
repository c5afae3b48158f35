"""A cluster in one process for each test that asks for one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop
from tests.inprocess import InProcessCluster, in_process_cluster
from tests.proxy.raw_http import RawConnection
from tests.proxy.users import add_user

from zerohop.model import UserRecord


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that proxies run on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def cluster() -> AsyncIterator[InProcessCluster]:
    async with in_process_cluster() as running:
        yield running


@pytest.fixture
async def raw(cluster: InProcessCluster) -> AsyncIterator[RawConnection]:
    """A connection, with the bucket `bucket` at hand."""
    async with RawConnection(cluster.port) as connection:
        assert (await connection.request("PUT /bucket HTTP/1.1", "Content-Length: 0")).status == 200
        yield connection


@pytest.fixture
async def user(cluster: InProcessCluster) -> UserRecord:
    """A user with one access key."""
    return await add_user(cluster, "alice")

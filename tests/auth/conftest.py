"""A cluster with a user, for tests of what signatures let through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop
from tests.auth.signer import Signer
from tests.inprocess import InProcessCluster, in_process_cluster
from tests.proxy.raw_http import RawConnection
from tests.proxy.users import add_user

from zerohop.model import UserRecord


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that proxies run on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def cluster() -> AsyncIterator[InProcessCluster]:
    async with in_process_cluster(proxy={"domains": ("s3.example.test", "example.test")}) as running:
        yield running


@pytest.fixture
async def alice(cluster: InProcessCluster) -> UserRecord:
    return await add_user(cluster, "alice")


@pytest.fixture
def signer(alice: UserRecord) -> Signer:
    return Signer(alice.credentials[0])


@pytest.fixture
async def raw(cluster: InProcessCluster, signer: Signer) -> AsyncIterator[RawConnection]:
    """A connection, with alice's bucket `bucket` at hand."""
    async with RawConnection(cluster.port) as connection:
        answer = await signer.send(connection, "PUT", "/bucket", b"")
        assert answer.status == 200, answer.body
        yield connection

"""Somebody else's S3 for tests: moto behind a proxy that spoils the way to it, and counts what was asked for."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

import boto3
from botocore.config import Config
from tests.support.faulty_proxy import Exchange, FaultyProxy
from tests.support.origin_servers import moto_server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["ACCESS_KEY", "SECRET_KEY", "Remote", "eventually", "running_remote"]

ACCESS_KEY = "AKIAREMOTEORIGIN"
SECRET_KEY = "verysecretkeyoftheorigin"

_PATIENCE_S = 30.0
R = TypeVar("R")


def eventually(what: Callable[[], R], why: str) -> R:
    """The first true answer of `what`, which is asked again and again for a bounded time."""
    deadline = time.monotonic() + _PATIENCE_S
    turn = threading.Event()
    while not (found := what()):
        assert time.monotonic() < deadline, f"waited in vain: {why}"
        turn.wait(0.01)
    return found


class Remote:
    """The faults of `proxy` are set from the threads of tests; what needs its loop is done there."""

    def __init__(self, client: S3Client, proxy: FaultyProxy, loop: asyncio.AbstractEventLoop) -> None:
        self.s3 = client  # behind the back of zerohop, and not through the proxy
        self.proxy = proxy
        self._loop = loop
        self._numbers = itertools.count(1)

    @property
    def url(self) -> str:
        return self.proxy.url

    def new_bucket(self) -> str:
        bucket = f"remote-{next(self._numbers)}"
        self.s3.create_bucket(Bucket=bucket)
        return bucket

    def do(self, action: Callable[..., Any], *arguments: Any) -> None:
        """Calls a method of the proxy in its loop."""

        async def act() -> None:
            action(*arguments)

        asyncio.run_coroutine_threadsafe(act(), self._loop).result(_PATIENCE_S)

    def heal(self) -> None:
        """No faults, and nothing counted."""
        self.do(self.proxy.heal)
        self.forget()

    def forget(self) -> None:
        """What was counted."""
        self.proxy.exchanges.clear()
        self.proxy.requests.clear()

    def exchanges(self, key: str, method: str = "") -> list[Exchange]:
        """The requests for a key, named as in its bucket."""
        found = []
        for one in list(self.proxy.exchanges):
            used, target, _ = one.line.split(" ", 2)
            path = unquote(target.partition("?")[0])
            if path.endswith(f"/{key}") and used.startswith(method):
                found.append(one)
        return found

    def fetched(self, key: str) -> int:
        """How many bytes of the key were sent."""
        return sum(one.body_bytes for one in self.exchanges(key, "GET"))

    def listings(self) -> list[str]:
        """Requests for pages."""
        return [line for line in self.proxy.requests if "list-type=2" in line]


@contextmanager
def running_remote() -> Iterator[Remote]:
    """moto in a process, the proxy in a thread."""
    with moto_server() as port, _proxy_in_thread(port) as (proxy, loop):
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )
        try:
            yield Remote(client, proxy, loop)
        finally:
            client.close()


@contextmanager
def _proxy_in_thread(port: int) -> Iterator[tuple[FaultyProxy, asyncio.AbstractEventLoop]]:
    started = threading.Event()
    made: list[tuple[FaultyProxy, asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        async with FaultyProxy("127.0.0.1", port) as proxy:
            stop = asyncio.Event()
            made.append((proxy, asyncio.get_running_loop(), stop))
            started.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(_PATIENCE_S)
        proxy, loop, stop = made[0]
        yield proxy, loop
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()

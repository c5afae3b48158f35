"""The admin port of a process: health and metrics over HTTP, on sockets of its own, never beside the S3 namespace.

    GET /health/live    200 while the event loop turns
    GET /health/ready   200 when the process can do its work, else 503 with a reason a line
    GET /metrics        Prometheus' text format

It knows nothing of users: whoever can connect may read, and nobody can change anything.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Final

from aiohttp import web
from prometheus_client.registry import Collector

from zerohop.errors import ConfigError
from zerohop.metrics import Exposition, LoopWatch
from zerohop.rpc.address import Address
from zerohop.rpc.listener import UnixSocketFile, start_listening

__all__ = ["AdminPort", "Readiness", "admin_port"]

Readiness = Callable[[], Awaitable[Sequence[str]]]
"""Answers why the process is not ready; empty when it is."""

_MAX_CONNECTIONS: Final = 64
"""A scraper, a health checker and some people: more is a mistake, and must not cost S3 its descriptors."""
_IDLE_S: Final = 30.0
_READY_TIMEOUT_S: Final = 5.0
"""What readiness may take to be found out; a store that takes longer to answer is not ready."""


class AdminPort:
    """Made before the parts of its process, which are added as they come to be: `add`, `on_readiness`, `on_scrape`."""

    def __init__(self, process: str) -> None:
        """`process` is the kind: `master`, `worker` or `proxy`."""
        self._exposition = Exposition(process)
        self._watch = LoopWatch()
        self._exposition.add(self._watch)
        self._readiness: Readiness = _starting
        self._before_scrape: Callable[[], Awaitable[None]] | None = None
        self._http = web.Server(self._handle, access_log=None, keepalive_timeout=_IDLE_S)
        self._listening: list[tuple[asyncio.AbstractServer, Address, UnixSocketFile | None]] = []

    @property
    def address(self) -> str:
        """Where others find it: the first address; "" when it is off."""
        return str(self._listening[0][1]) if self._listening else ""

    def add(self, *collectors: Collector) -> None:
        """Their metrics are shown from now on."""
        for collector in collectors:
            self._exposition.add(collector)

    def on_readiness(self, readiness: Readiness) -> None:
        """Who is asked; until then the process is starting."""
        self._readiness = readiness

    def begin_drain(self) -> None:
        """From now on the process is alive, but not ready."""
        self._readiness = _draining

    def on_scrape(self, prepare: Callable[[], Awaitable[None]]) -> None:
        """Awaited before the metrics are collected: for what cannot be read in one turn of the loop."""
        self._before_scrape = prepare

    async def listen(self, addresses: Iterable[str]) -> None:
        """Begins to answer. Raises ConfigError."""
        self._watch.start()
        for text in addresses:
            address = Address.parse(text)
            if address.scheme == "tls":
                raise ConfigError(f"the admin port speaks plain HTTP: write tcp:// instead of {address}")
            self._listening.append(await start_listening(address, self._connection, None))

    async def close(self) -> None:
        """Stops answering."""
        self._watch.stop()
        for server, _, file in self._listening:
            server.close()
            if file is not None:
                file.remove()
        await self._http.shutdown(0.1)
        for server, _, _ in self._listening:
            await server.wait_closed()
        self._listening.clear()

    def _connection(self) -> asyncio.BaseProtocol:
        return _Full() if len(self._http.connections) >= _MAX_CONNECTIONS else self._http()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={"Allow": "GET, HEAD"}, text="only GET and HEAD\n")
        if request.path == "/metrics":
            if self._before_scrape is not None:
                await self._before_scrape()
            body, content_type = self._exposition.render(request.headers.get("Accept", ""))
            return web.Response(body=body, headers={"Content-Type": content_type})
        if request.path == "/health/live":
            return web.Response(text="live\n")
        if request.path == "/health/ready":
            reasons = await self._reasons()
            if reasons:
                return web.Response(status=503, text="".join(f"{reason}\n" for reason in reasons))
            return web.Response(text="ready\n")
        return web.Response(status=404, text="there are /health/live, /health/ready and /metrics\n")

    async def _reasons(self) -> Sequence[str]:
        try:
            async with asyncio.timeout(_READY_TIMEOUT_S):
                return await self._readiness()
        except TimeoutError:
            return [f"it could not be found out within {_READY_TIMEOUT_S:g} s"]


async def _starting() -> Sequence[str]:
    return ["starting"]


async def _draining() -> Sequence[str]:
    return ["draining"]


class _Full(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        transport.close()


@contextlib.asynccontextmanager
async def admin_port(process: str, addresses: Iterable[str]) -> AsyncIterator[AdminPort]:
    """The admin port of a process, open from the beginning of the block to its end. Raises ConfigError."""
    port = AdminPort(process)
    try:
        await port.listen(addresses)
        yield port
    finally:
        await port.close()

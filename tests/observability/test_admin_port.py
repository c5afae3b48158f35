"""The admin port by itself."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from tests.observability.admin_http import Reply, ask

from zerohop.admin_port import AdminPort, admin_port
from zerohop.errors import ConfigError


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[AdminPort]:
    async with admin_port("worker", [f"unix:{tmp_path}/admin.sock", "tcp://127.0.0.1:0"]) as opened:
        yield opened


async def _ask(port: AdminPort, path: str, method: str = "GET") -> Reply:
    return await asyncio.to_thread(ask, port.address, path, method=method)


async def test_it_is_alive_before_it_is_ready(port: AdminPort) -> None:
    assert (await _ask(port, "/health/live")).status == 200
    assert (await _ask(port, "/health/ready"))[::2] == (503, "starting\n")

    reasons: list[str] = []

    async def readiness() -> Sequence[str]:
        return reasons

    port.on_readiness(readiness)
    assert (await _ask(port, "/health/ready"))[::2] == (200, "ready\n")
    reasons += ["no disk", "no network"]
    assert (await _ask(port, "/health/ready"))[::2] == (503, "no disk\nno network\n")
    port.begin_drain()
    assert (await _ask(port, "/health/ready"))[::2] == (503, "draining\n")
    assert (await _ask(port, "/health/live")).status == 200


async def test_it_answers_nothing_else(port: AdminPort) -> None:
    assert (await _ask(port, "/")).status == 404
    assert (await _ask(port, "/bucket/key")).status == 404
    refused = await _ask(port, "/metrics", "POST")
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")
    head = await _ask(port, "/health/live", "HEAD")
    assert (head.status, head.text) == (200, "")


async def test_the_socket_is_its_owners_and_goes_with_the_port(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    async with admin_port("proxy", [f"unix:{path}"]) as port:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert port.address == f"unix:{path}"
    assert not path.exists()


async def test_it_can_be_off() -> None:
    async with admin_port("proxy", []) as port:
        assert port.address == ""


async def test_an_address_that_cannot_be_used_is_refused(port: AdminPort, tmp_path: Path) -> None:
    for address in ("tls://127.0.0.1:0", port.address, "tcp://203.0.113.1:9"):
        with pytest.raises(ConfigError):
            async with admin_port("proxy", [address]):
                raise AssertionError("it listens")
    assert not list(tmp_path.glob("*.new"))


async def test_further_connections_than_it_takes_are_closed(port: AdminPort) -> None:
    path = port.address.removeprefix("unix:")
    held = [await asyncio.open_unix_connection(path) for _ in range(64)]
    assert (await _ask_on(held[0])).startswith(b"HTTP/1.1 200")  # all of them are accepted by now
    reader, writer = await asyncio.open_unix_connection(path)
    assert await reader.read() == b""
    for _, one in [*held, (reader, writer)]:
        one.close()
        await one.wait_closed()


async def _ask_on(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> bytes:
    reader, writer = connection
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    return await reader.readuntil(b"\r\n\r\n")

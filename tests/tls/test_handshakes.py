"""Connections whose handshake is not over yet count like others, and have an end."""

from __future__ import annotations

import asyncio
import ssl

from tests.inprocess import InProcessCluster, in_process_cluster
from tests.tls.certificates import Authority


def _options(authority: Authority, **limits: float) -> dict[str, object]:
    authority.issue()
    return {"tls_cert": str(authority.certificate), "tls_key": str(authority.key), **limits}


async def _is_served(cluster: InProcessCluster, context: ssl.SSLContext) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", cluster.port, ssl=context)
    except OSError:
        return False
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return (await reader.read()).startswith(b"HTTP/1.1 200")
    except OSError:
        return False
    finally:
        writer.close()


async def test_a_handshake_takes_the_place_of_a_connection(
    authority: Authority, client_context: ssl.SSLContext
) -> None:
    async with in_process_cluster(proxy=_options(authority, max_connections=1)) as cluster:
        assert await _is_served(cluster, client_context)
        silent, writer = await asyncio.open_connection("127.0.0.1", cluster.port)
        async with asyncio.timeout(20):
            while await _is_served(cluster, client_context):
                pass  # the end of the connection before may still have to be noticed
        writer.close()  # before the handshake
        async with asyncio.timeout(20):
            while not await _is_served(cluster, client_context):
                pass
        assert await silent.read() == b""


async def test_a_handshake_that_does_not_go_on_is_cut(authority: Authority) -> None:
    async with in_process_cluster(proxy=_options(authority, header_timeout_s=0.1)) as cluster:
        reader, writer = await asyncio.open_connection("127.0.0.1", cluster.port)
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()


async def test_a_drain_does_not_wait_for_handshakes(authority: Authority) -> None:
    async with in_process_cluster(proxy=_options(authority, header_timeout_s=3600.0)) as cluster:
        reader, writer = await asyncio.open_connection("127.0.0.1", cluster.port)
        other, other_writer = await asyncio.open_connection("127.0.0.1", cluster.port)
        other_writer.write(b"\x16\x03\x01")  # the beginning of a hello
        async with asyncio.timeout(20):
            await cluster.stop("proxy-0")
            assert await reader.read() == b""
            assert await other.read() == b""
        for each in (writer, other_writer):
            each.close()

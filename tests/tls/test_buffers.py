"""What is encrypted on its way out is held in memory, and counts."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack

from tests.inprocess import in_process_cluster
from tests.proxy.raw_http import RawConnection
from tests.tls.certificates import Authority
from tests.tls.test_https import _SecureConnection

from zerohop_proxy.sendfile import TransportSender

_MIB = 1024 * 1024


async def _status(connection: RawConnection, line: str) -> int:
    """Of the answer, whose body is left where it is."""
    await connection.send(f"{line}\r\nHost: localhost\r\n\r\n")
    head = await connection.reader.readuntil(b"\r\n\r\n")
    return int(head.split()[1])


async def test_slow_readers_use_up_the_buffers_and_no_more(
    authority: Authority, client_context: ssl.SSLContext
) -> None:
    authority.issue()
    options = {
        "tls_cert": str(authority.certificate),
        "tls_key": str(authority.key),
        "max_buffered_bytes": 8 * _MIB,
        "max_share": 0.75,
    }
    room = 6 * _MIB // TransportSender.HELD_BYTES
    async with in_process_cluster(proxy=options) as cluster, AsyncExitStack() as stack, asyncio.timeout(60):

        async def connect() -> RawConnection:
            return await stack.enter_async_context(_SecureConnection(cluster.port, client_context))

        first = await connect()
        await first.request("PUT /bucket HTTP/1.1", "Content-Length: 0")
        # More than the buffers of both sockets take in.
        assert (await first.request("PUT /bucket/large HTTP/1.1", body=bytes(40 * _MIB))).status == 200
        assert (await first.request("PUT /bucket/small HTTP/1.1", body=b"x")).status == 200
        statuses = [await _status(await connect(), "GET /bucket/large HTTP/1.1") for _ in range(room + 1)]
        assert statuses == [200] * room + [503]
        assert (await first.request("GET /bucket/small HTTP/1.1")).body == b"x"

"""Certificates that are replaced while the proxy runs."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from tests.inprocess import InProcessCluster, in_process_cluster
from tests.tls.certificates import Authority

from zerohop_proxy.certificate import Certificate

_REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def _open(port: int, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, ssl=context)


def _shown(writer: asyncio.StreamWriter) -> str:
    encoded = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    subject = x509.load_der_x509_certificate(encoded).subject
    return str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


async def _name_of_new_connection(port: int, context: ssl.SSLContext) -> str:
    _, writer = await _open(port, context)
    try:
        return _shown(writer)
    finally:
        writer.close()
        await writer.wait_closed()


async def _until_shown(port: int, context: ssl.SSLContext, name: str) -> None:
    async with asyncio.timeout(20):
        while await _name_of_new_connection(port, context) != name:
            await asyncio.sleep(0)


async def _answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    writer.write(_REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
    await reader.readexactly(length)
    return head.startswith(b"HTTP/1.1 200")


async def test_a_new_certificate_is_taken_while_connections_are_open(
    cluster: InProcessCluster, authority: Authority, client_context: ssl.SSLContext
) -> None:
    reader, writer = await _open(cluster.port, client_context)
    assert _shown(writer) == "first"
    assert await _answers(reader, writer)
    authority.issue("second")
    await _until_shown(cluster.port, client_context, "second")
    assert await _answers(reader, writer)  # the old connection goes on
    writer.close()


async def test_a_signal_reloads_at_once(authority: Authority, client_context: ssl.SSLContext) -> None:
    authority.issue()
    options = {"tls_cert": str(authority.certificate), "tls_key": str(authority.key), "tls_check_s": 3600.0}
    async with in_process_cluster(proxy=options) as running:
        authority.issue("second")
        os.kill(os.getpid(), signal.SIGHUP)
        await _until_shown(running.port, client_context, "second")


async def test_files_that_cannot_be_used_keep_the_old_certificate_and_warn_once(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    authority.issue()
    good_chain, good_key = authority.certificate.read_bytes(), authority.key.read_bytes()
    certificate = Certificate(str(authority.certificate), str(authority.key))
    assert not await certificate.refresh()

    authority.issue("other")
    other_key = authority.key.read_bytes()
    for chain, key in ((b"garbage", good_key), (good_chain, other_key), (good_chain, b"")):
        caplog.clear()
        authority.replace(chain, key)
        assert not await certificate.refresh()
        assert not await certificate.refresh()
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert await _shakes_hands(certificate.context, authority) == "first"
    caplog.clear()
    authority.certificate.unlink()
    assert not await certificate.refresh()
    assert not await certificate.refresh()
    assert [record.levelname for record in caplog.records] == ["WARNING"]

    authority.issue("third")
    assert await certificate.refresh()
    assert await _shakes_hands(certificate.context, authority) == "third"


async def _shakes_hands(server_context: ssl.SSLContext, authority: Authority) -> str:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return await _name_of_new_connection(port, ssl.create_default_context(cafile=authority.ca_file))

"""Who is let in: versions, the cluster secret, TLS, strangers who send garbage."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.rpc.messages import Answer, Download, Echo, Upload, fill

from zerohop.errors import ConfigError, IncompatiblePeer, PeerRejected, PeerUnavailable, ProtocolViolation
from zerohop.rpc import handshake
from zerohop.rpc.client import RpcClient
from zerohop.rpc.frames import FrameKind, frame
from zerohop.rpc.handshake import ClientHandshake, ServerHandshake
from zerohop.rpc.server import RpcServer

Make = Callable[..., RpcServer]
MakeClient = Callable[..., RpcClient]


async def test_the_same_secret_lets_in(servers: Make, clients: MakeClient) -> None:
    address = await fill(servers(cluster_secret="s3cret")).listen("tcp://127.0.0.1:0")
    assert (await clients(address, cluster_secret="s3cret").call(Echo("x"))).text == "x"


@pytest.mark.parametrize(("server_has", "client_has"), [("a", "b"), ("a", None), (None, "b")])
async def test_another_secret_or_none_does_not(
    servers: Make,
    clients: MakeClient,
    server_has: str | None,
    client_has: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    address = await fill(servers(cluster_secret=server_has)).listen("tcp://127.0.0.1:0")
    with pytest.raises(PeerRejected, match="secret"):
        await clients(address, cluster_secret=client_has).call(Echo("x"))
    assert "s3cret" not in caplog.text
    caplog.clear()


async def test_a_request_before_the_proof_is_refused(servers: Make, caplog: pytest.LogCaptureFixture) -> None:
    address = await fill(servers(cluster_secret="a")).listen("tcp://127.0.0.1:0")
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(
        ClientHandshake("thief", b"guess").start() + frame(FrameKind.REQUEST, 1, b"\0\0\0\1\x92\xa4echo\xa1x")
    )
    answer = await reader.read()
    assert b"ProtocolViolation" in answer
    writer.close()
    await writer.wait_closed()
    caplog.clear()


async def test_another_major_version_is_refused_naming_both(
    servers: Make, clients: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = await fill(servers()).listen("tcp://127.0.0.1:0")
    client = clients(address)
    monkeypatch.setattr(handshake, "PROTOCOL_MAJOR", 7)
    hello = ClientHandshake("new", None)
    monkeypatch.undo()
    with pytest.raises(IncompatiblePeer, match=r"protocol 7\.0.*speaks 1\.0"):
        ServerHandshake("old", None).receive(FrameKind.HELLO, hello.start()[9:])
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(hello.start())
    answer = await reader.read()
    assert b"IncompatiblePeer" in answer
    assert b"7.0" in answer
    writer.close()
    await writer.wait_closed()
    assert (await client.call(Echo("x"))).text == "x"


def _shake(
    client: ClientHandshake, server: ServerHandshake, change: Callable[[bytes], bytes] = bytes
) -> None:
    """Runs both sides against each other; `change` is the man in the middle, on frames to the server."""
    to_server, to_client = [client.start()], list[bytes]()
    while to_server or to_client:
        for each in to_server:
            sent = change(each)
            to_client += server.receive(sent[4], sent[9:])
        to_server = [answer for each in to_client for answer in client.receive(each[4], each[9:])]
        to_client = []


def test_nobody_in_between_can_change_the_hello() -> None:
    client, server = ClientHandshake("proxy-1", b"k"), ServerHandshake("master", b"k")
    _shake(client, server)
    assert client.done
    assert server.done
    with pytest.raises(PeerRejected):
        _shake(
            ClientHandshake("proxy-1", b"k"),
            ServerHandshake("master", b"k"),
            lambda sent: sent.replace(b"proxy-1", b"proxy-2"),
        )


def test_a_server_that_does_not_know_the_secret_is_not_believed() -> None:
    client = ClientHandshake("proxy-1", b"k")
    impostor = ServerHandshake("master", b"other")
    client.start()
    hello, challenge = impostor.receive(FrameKind.HELLO, client.start()[9:])
    client.receive(FrameKind.HELLO, hello[9:])
    (proof,) = client.receive(FrameKind.CHALLENGE, challenge[9:])
    with pytest.raises(PeerRejected):
        client.receive(FrameKind.PROOF, proof[9 + 32 :])  # its own proof, reflected
    assert not client.done


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes(64), b"\xff" * 64])
async def test_garbage_ends_the_connection_and_nothing_else(
    servers: Make, clients: MakeClient, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    address = await fill(servers()).listen("tcp://127.0.0.1:0")
    client = clients(address)
    await client.wait_ready(5)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(garbage)
    async with asyncio.timeout(10):
        await reader.read()
    writer.close()
    await writer.wait_closed()
    assert (await client.call(Echo("x"))).text == "x"
    caplog.clear()


async def test_a_server_of_another_kind_is_no_peer(clients: MakeClient) -> None:
    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    other = await asyncio.start_server(speak, "127.0.0.1", 0)
    client = clients(f"tcp://127.0.0.1:{other.sockets[0].getsockname()[1]}")
    with pytest.raises((ProtocolViolation, PeerUnavailable)):
        await client.call(Echo("x"), timeout_s=5)
    other.close()
    await other.wait_closed()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


async def test_calls_and_streams_run_over_tls(servers: Make, clients: MakeClient, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = fill(servers(cluster_secret="k", ssl_context=context))
    address = await server.listen("tls://127.0.0.1:0")
    trusting = ssl.create_default_context(cafile=str(certificate))
    client = clients(address, cluster_secret="k", ssl_context=trusting)
    assert (await client.call(Echo("x"))).text == "x"
    async with client.open_stream_in(Upload()) as sink:
        await sink.write(bytes(5 << 20))
        assert await sink.finish() == Answer("stored", 5 << 20)
    async with client.open_stream_out(Download(5 << 20)) as source:
        assert sum([len(chunk) async for chunk in source]) == 5 << 20
    doubting = ssl.create_default_context()
    with pytest.raises(PeerUnavailable, match="certificate"):
        await clients(address, cluster_secret="k", ssl_context=doubting).call(Echo("x"))


async def test_no_server_beyond_loopback_without_secret_and_tls(servers: Make) -> None:
    with pytest.raises(ConfigError, match="secret"):
        await servers(plaintext_allowed=True).listen("tcp://0.0.0.0:0")
    with pytest.raises(ConfigError, match="tls"):
        await servers(cluster_secret="k").listen("tcp://0.0.0.0:0")

"""The S3 port is claimed for one cluster, and shared by its proxies."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from zerohop.cli.s3_port import claim_s3_port, is_loopback
from zerohop.errors import ConfigError


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    claimed = claim_s3_port("127.0.0.1", 0, 3)
    yield claimed
    for sock in claimed:
        sock.close()


def test_every_socket_listens_on_the_one_port(sockets: list[socket.socket]) -> None:
    assert len({sock.getsockname() for sock in sockets}) == 1
    assert len({sock.fileno() for sock in sockets}) == 3
    assert all(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for sock in sockets)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_second_cluster_is_refused(sockets: list[socket.socket], host: str) -> None:
    with pytest.raises(ConfigError, match="is in use"):
        claim_s3_port(host, sockets[0].getsockname()[1], 2)


def test_a_port_that_another_shares_out_is_refused_too() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ConfigError, match="is in use"):
            claim_s3_port("127.0.0.1", other.getsockname()[1], 2)


def test_clients_reach_every_socket(sockets: list[socket.socket]) -> None:
    address = sockets[0].getsockname()
    clients = [socket.create_connection(address, timeout=10) for _ in range(64)]
    reached = 0
    for sock in sockets:
        accepted = 0
        try:
            while True:
                sock.accept()[0].close()
                accepted += 1
        except BlockingIOError:
            reached += bool(accepted)
    for client in clients:
        client.close()
    assert reached == len(sockets)


def test_an_address_of_another_machine_is_an_error_that_says_so() -> None:
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1"):
        claim_s3_port("192.0.2.1", 0, 1)


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("h", False),
    ],
)
def test_loopback(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer

"""Our own generator counts whole answers, in every framing that a server may choose, and fails for wrong ones."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from zerohop_bench.http_exchanges import exchanges
from zerohop_bench.http_load import Address, LoadFailed, get_streams, request_once
from zerohop_bench.small_requests import zipf_keys


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        self.send_response(404 if self.path == "/absent" else 200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in (b"5\r\nhello\r\n", b"0\r", b"\n\r", b"\n"):
                self.wfile.write(part)
                self.wfile.flush()
            return
        self.send_header("Content-Length", "100000")
        if self.path == "/last":
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(bytes(100_000))

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def log_message(self, *arguments: object) -> None:
        """Tests say nothing."""


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def address(asked: list[str]) -> Iterator[Address]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.asked = asked  # type: ignore[attr-defined]
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield ("127.0.0.1", server.server_address[1])
    server.shutdown()
    thread.join()
    server.server_close()


def request(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


@pytest.mark.parametrize("path", ["/plain", "/chunked", "/last"])
def test_each_request_is_answered_once(address: Address, asked: list[str], path: str) -> None:
    work = exchanges(address, [request(path)] * 25, seconds=30, cpu=None, connections=3)
    assert work.units == 25 == len(asked)
    assert work.rate > 0


def test_head_has_no_body(address: Address) -> None:
    assert exchanges(address, [request("/plain", "HEAD")] * 9, seconds=30, cpu=None, connections=2).units == 9


def test_requests_go_round(address: Address, asked: list[str]) -> None:
    work = exchanges(
        address, [request("/plain"), request("/chunked")], seconds=0.2, cpu=None, connections=2, again=True
    )
    assert work.units == len(asked)
    assert {"/plain", "/chunked"} == set(asked)


def test_a_wrong_answer_fails_the_run(address: Address) -> None:
    with pytest.raises(LoadFailed, match="404"):
        exchanges(address, [request("/absent")] * 4, seconds=30, cpu=None, connections=2)
    with pytest.raises(LoadFailed, match="404"):
        request_once(address, request("/absent"))


def test_streams_take_whole_bodies_and_repeat(address: Address, asked: list[str]) -> None:
    work = get_streams(address, "/plain", 100_000, streams=2, cpu=None, times=3)
    assert (work.units, len(asked)) == (600_000, 6)


def test_zipf_keys_favour_the_first() -> None:
    drawn = zipf_keys(1000, 20_000)
    assert all(0 <= number < 1000 for number in drawn)
    first, tenth = (sum(number == wanted for number in drawn) for wanted in (0, 9))
    assert 5 < first / tenth < 20
    assert drawn == zipf_keys(1000, 20_000)


def test_a_request_once_gives_the_whole_body(address: Address) -> None:
    assert request_once(address, request("/plain")) == bytes(100_000)
    assert re.match(rb"5\r\nhello", request_once(address, request("/chunked")))

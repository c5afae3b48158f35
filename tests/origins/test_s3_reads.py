"""GETs and HEADs of objects after the first one: made without botocore's client, and yet like its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from tests.origins.conftest import S3_SECRETS, mount

from zerohop.errors import KeyNotFound, OriginChanged, OriginRefused
from zerohop_proxy.raw_request import RawRequest
from zerohop_proxy.signature_v4 import parse_header_v4
from zerohop_worker.origins.interface import OriginStore, Validator
from zerohop_worker.origins.opening import open_origin

_OK = (
    b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nETag: "abc"\r\nLast-Modified: Sun, 01 Nov 2026 10:00:00 GMT\r\n'
    b"X-Amz-Meta-Color: red\r\nx-amz-tagging-count: 2\r\nExpires: -1\r\nCache-Control: no-cache\r\n\r\nbody"
)
_NEW_IN_EACH = {"x-amz-date", "authorization", "amz-sdk-invocation-id", "amz-sdk-request"}


class _Store:
    """Gives the answers that it is told, one a request, and keeps the requests."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.requests: list[RawRequest] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                first, *lines = head[:-4].split(b"\r\n")
                method, target, _ = first.decode().split(" ")
                fields = [line.split(b": ", 1) for line in lines]
                self.requests.append(RawRequest.from_wire(method, target, [(n, v) for n, v in fields]))
                answer = self.answers.pop(0)
                writer.write(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if method == "HEAD" else answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()


@pytest.fixture
async def store() -> _Store:
    return _Store()


@pytest.fixture
async def url(store: _Store) -> AsyncIterator[str]:
    server = await asyncio.start_server(store.serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await server.wait_closed()


@pytest.fixture
async def origin(url: str) -> AsyncIterator[OriginStore]:
    settings = mount("s3://bucket/a prefix", endpoint=url, region="eu-west-3", max_attempts="1")
    origin = open_origin(settings, {**S3_SECRETS, "session_token": "a/token+="})
    yield origin
    await origin.close()


async def _read(origin: OriginStore, key: str, match: Validator | None = None) -> bytes:
    opened = await origin.open(key, 0, None, match)
    try:
        return b"".join([bytes(piece) async for piece in opened.pieces()])
    finally:
        await opened.close()


def _error(status: str, code: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>because</Message></Error>".encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _assert_signed(request: RawRequest) -> None:
    signed = parse_header_v4(request, request.headers["authorization"], "", "eu-west-3")
    signed.verify(S3_SECRETS["secret_key"], time.time())
    assert {"host", "x-amz-security-token", "x-amz-checksum-mode"} <= set(signed.signed_headers.split(";"))


@pytest.mark.parametrize(
    "key", ["plain", "a b/c+d%20e", "//two//", "dots/../up/./", "ümläut-日本", "q?a=b&c#d", "~'(!*)@:,;$=[]"]
)
async def test_they_are_like_the_first(store: _Store, origin: OriginStore, key: str) -> None:
    store.answers = [_OK] * 3
    opened = [await origin.open(key, 0, None) for _ in range(2)]
    for read in opened:
        assert b"".join([bytes(piece) async for piece in read.pieces()]) == b"body"
        await read.close()
    head = await origin.head(key)
    assert opened[0].found == opened[1].found == head
    assert (head.validator.etag, head.validator.size_bytes, head.tag_count) == ("abc", 4, 2)
    assert head.attributes.metadata == {"color": "red"}
    assert head.attributes.headers == {"expires": "-1", "cache-control": "no-cache"}
    by_client, ours, look = store.requests
    _assert_signed(by_client)
    _assert_signed(ours)
    _assert_signed(look)
    assert (by_client.method, by_client.path, by_client.query) == (ours.method, ours.path, ours.query)
    assert (look.method, look.path) == ("HEAD", ours.path)
    kept = {name: value for name, value in by_client.headers.items() if name not in _NEW_IN_EACH}
    assert {name: value for name, value in ours.headers.items() if name not in _NEW_IN_EACH} == kept


async def test_without_a_signature(store: _Store, url: str) -> None:
    anonymous = open_origin(mount("s3://bucket", endpoint=url, anonymous="true"), {})
    store.answers = [_OK] * 2
    try:
        assert await _read(anonymous, "key") == await _read(anonymous, "other") == b"body"
    finally:
        await anonymous.close()
    assert [request.path for request in store.requests] == ["/bucket/key", "/bucket/other"]
    assert not any("authorization" in request.headers for request in store.requests)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (_error("404 Not Found", "NoSuchKey"), KeyNotFound),
        (_error("412 Precondition Failed", "PreconditionFailed"), OriginChanged),
        (_error("403 Forbidden", "SignatureDoesNotMatch"), OriginRefused),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", KeyNotFound),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 8000000\r\n\r\n" + b"x" * 8_000_000, KeyNotFound),
    ],
)
async def test_refusals_are_those_of_the_first(
    store: _Store, origin: OriginStore, answer: bytes, error: type[Exception]
) -> None:
    store.answers = [answer, _OK, answer, _OK]
    told: list[str] = []
    for _ in range(2):
        with pytest.raises(error) as refused:
            await _read(origin, "key", Validator("abc", 4, 0))
        told.append(str(refused.value))
        assert await _read(origin, "key") == b"body"
    assert told[0] == told[1]
    assert len(store.requests) == 4


async def test_what_is_missing_has_no_head(store: _Store, origin: OriginStore) -> None:
    store.answers = [_OK, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"]
    await _read(origin, "key")
    with pytest.raises(KeyNotFound):
        await origin.head("key")


async def test_the_client_finds_a_bucket_that_has_moved(store: _Store, origin: OriginStore) -> None:
    moved = _error("301 Moved Permanently", "PermanentRedirect").replace(
        b"\r\n\r\n", b"\r\nx-amz-bucket-region: ap-south-1\r\n\r\n"
    )
    store.answers = [_OK, moved, moved, _OK, _OK]
    for _ in range(3):
        assert await _read(origin, "key") == b"body"
    scopes = [request.headers["authorization"].split("/")[2] for request in store.requests]
    assert scopes == ["eu-west-3", "eu-west-3", "eu-west-3", "ap-south-1", "ap-south-1"]

"""S3 over https: whole objects both ways, clients, and what is no TLS at all."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import ssl
import subprocess
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.inprocess import InProcessCluster, in_process_cluster
from tests.proxy.raw_http import RawConnection
from tests.tls.certificates import Authority

from zerohop.errors import ConfigError

_LARGE = 40 * 1024 * 1024 + 17


class _SecureConnection(RawConnection):
    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__(port)
        self._context = context

    async def __aenter__(self) -> _SecureConnection:
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self.port, limit=1 << 20, ssl=self._context
        )
        return self


@pytest.fixture
async def secure(
    cluster: InProcessCluster, client_context: ssl.SSLContext
) -> AsyncIterator[_SecureConnection]:
    async with _SecureConnection(cluster.port, client_context) as connection:
        assert (await connection.request("PUT /bucket HTTP/1.1", "Content-Length: 0")).status == 200
        yield connection


async def test_the_endpoint_says_https(cluster: InProcessCluster) -> None:
    assert cluster.processes["proxy-0"].ready == f"https://127.0.0.1:{cluster.port}"


@pytest.mark.parametrize("size", [0, 10, 100_000, 131_073, 9_000_001])
async def test_objects_of_every_size_come_back(secure: _SecureConnection, size: int) -> None:
    body = os.urandom(size)
    put = await secure.request(
        "PUT /bucket/key HTTP/1.1", *([] if body else ["Content-Length: 0"]), body=body
    )
    assert put.status == 200
    for _ in range(2):
        assert (await secure.request("GET /bucket/key HTTP/1.1")).body == body
    if size > 200:
        part = await secure.request("GET /bucket/key HTTP/1.1", f"Range: bytes=100-{size - 2}")
        assert (part.status, part.body) == (206, body[100 : size - 1])


async def test_boto3_moves_a_large_object_both_ways(s3: Any) -> None:
    body = os.urandom(_LARGE)

    def work() -> None:
        s3.create_bucket(Bucket="large")
        s3.put_object(Bucket="large", Key="one", Body=body)  # aws-chunked with a trailer, over https
        got = s3.get_object(Bucket="large", Key="one", ChecksumMode="ENABLED")
        assert hashlib.sha256(got["Body"].read()).digest() == hashlib.sha256(body).digest()
        ranged = s3.get_object(Bucket="large", Key="one", Range=f"bytes=1000-{_LARGE - 1000}")
        assert ranged["Body"].read() == body[1000 : _LARGE - 999]
        upload = s3.create_multipart_upload(Bucket="large", Key="parts")["UploadId"]
        cut = [body[start : start + (16 << 20)] for start in range(0, _LARGE, 16 << 20)]
        parts = []
        for number, piece in enumerate(cut, 1):
            part = s3.upload_part(Bucket="large", Key="parts", UploadId=upload, PartNumber=number, Body=piece)
            parts.append({"PartNumber": number, "ETag": part["ETag"]})
        done = s3.complete_multipart_upload(
            Bucket="large", Key="parts", UploadId=upload, MultipartUpload={"Parts": parts}
        )
        assert done["Location"].startswith("https://")
        assert s3.get_object(Bucket="large", Key="parts")["Body"].read() == body

    await asyncio.to_thread(work)


async def test_curl(cluster: InProcessCluster, authority: Authority, tmp_path: Path) -> None:
    body = os.urandom(3_000_000)
    (tmp_path / "up").write_bytes(body)
    url = f"https://localhost:{cluster.port}/curls"

    async def curl(*arguments: str) -> None:
        await asyncio.to_thread(
            subprocess.run,
            ["curl", "-sSf", "--max-time", "30", "--cacert", authority.ca_file, "--noproxy", "*", *arguments],
            check=True,
            timeout=60,
        )

    await curl("-X", "PUT", url)
    await curl("-T", str(tmp_path / "up"), f"{url}/key")
    await curl("-o", str(tmp_path / "down"), f"{url}/key")
    assert (tmp_path / "down").read_bytes() == body


async def test_a_stalled_reader_is_cut_and_the_object_is_not_buffered_for_it(
    authority: Authority, client_context: ssl.SSLContext
) -> None:
    authority.issue()
    options = {
        "tls_cert": str(authority.certificate),
        "tls_key": str(authority.key),
        "min_progress_timeout_s": 0.5,
    }
    async with in_process_cluster(proxy=options) as running:
        async with _SecureConnection(running.port, client_context) as quick:
            await quick.request("PUT /bucket HTTP/1.1", "Content-Length: 0")
            await quick.request("PUT /bucket/key HTTP/1.1", body=bytes(_LARGE))
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", running.port, ssl=client_context, limit=4096
        )
        writer.write(b"GET /bucket/key HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"200" in head
        async with asyncio.timeout(20):
            while "proxy-0" in running.processes:  # it drains only once the stalled request has been cut
                await running.stop("proxy-0")
        # What the sockets of both sides held when it was cut: the proxy had not buffered the rest.
        assert await _bytes_until_the_end(reader) < _LARGE // 2
        writer.close()


async def _bytes_until_the_end(reader: asyncio.StreamReader) -> int:
    received = 0
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(1 << 20):
            received += len(data)
    return received


async def test_an_answer_before_the_body_is_not_lost(secure: _SecureConnection) -> None:
    answer = await secure.request("PUT /no-such-bucket/key HTTP/1.1", body=bytes(2_000_000))
    assert (answer.status, answer.code) == (404, "NoSuchBucket")


async def test_plain_http_is_closed_without_noise(
    cluster: InProcessCluster, caplog: pytest.LogCaptureFixture
) -> None:
    async with RawConnection(cluster.port) as plain:
        await plain.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await plain.reader.read(1) in (b"", b"\x15")  # closed, perhaps after a TLS alert
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


async def test_versions_below_1_2_are_refused(cluster: InProcessCluster, authority: Authority) -> None:
    old = ssl.create_default_context(cafile=authority.ca_file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("127.0.0.1", cluster.port, ssl=old)


async def test_a_certificate_without_its_key_is_a_configuration_error(authority: Authority) -> None:
    authority.issue()
    with pytest.raises(ConfigError, match="go together"):
        async with in_process_cluster(proxy={"tls_cert": str(authority.certificate)}):
            raise AssertionError("it started")
    authority.replace(key=b"no key")
    options = {"tls_cert": str(authority.certificate), "tls_key": str(authority.key)}
    with pytest.raises(ConfigError, match="cannot serve TLS"):
        async with in_process_cluster(proxy=options):
            raise AssertionError("it started")

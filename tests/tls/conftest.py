"""A cluster whose S3 port speaks HTTPS, with certificates of an authority of its own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import trustme
import uvloop
from botocore import UNSIGNED
from botocore.config import Config
from tests.inprocess import InProcessCluster, in_process_cluster
from tests.tls.certificates import Authority


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that proxies run on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def issuer() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def authority(issuer: trustme.CA, tmp_path: Path) -> Authority:
    return Authority(issuer, tmp_path)


@pytest.fixture
async def cluster(authority: Authority) -> AsyncIterator[InProcessCluster]:
    authority.issue()
    options = {"tls_cert": str(authority.certificate), "tls_key": str(authority.key), "tls_check_s": 0.05}
    async with in_process_cluster(proxy=options) as running:
        yield running


@pytest.fixture
def client_context(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.ca_file)


@pytest.fixture
def s3(cluster: InProcessCluster, authority: Authority) -> Any:
    """An unsigned boto3 client over https. Its calls block: run them in a thread."""
    return boto3.client(
        "s3",
        endpoint_url=f"https://127.0.0.1:{cluster.port}",
        region_name="us-east-1",
        aws_access_key_id="",
        aws_secret_access_key="",
        verify=authority.ca_file,
        config=Config(
            signature_version=UNSIGNED,
            s3={"addressing_style": "path"},
            retries={"max_attempts": 1},
        ),
    )

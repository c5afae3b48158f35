"""Fixtures: a bucket made by the client under test, the client, and boto3 to look at what it did."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
import trustme
from tests.clients.access import PART_BYTES, REGION, Access, Client
from tests.clients.catalogue import CLIENTS
from tests.clients.driven import CLIENTS_BIN, ROOT
from tests.clients.secure_proxy import proxy_over_https
from tests.support.cluster import Cluster
from tests.tls.certificates import Authority

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture(scope="session", autouse=True)
def environments() -> None:
    """They are made by the test command, not here: a download belongs to no test."""
    for made in (CLIENTS_BIN / "python", ROOT / "tests/clients/node/node_modules"):
        assert made.exists(), f"{made} is missing: `make test` creates it"


@pytest.fixture(scope="session")
def client_keys(cluster: Cluster) -> tuple[str, str]:
    user = cluster.user("clients")
    return user.access_key, user.secret_key


@pytest.fixture(scope="session")
def judge(cluster: Cluster, client_keys: tuple[str, str]) -> Iterator[S3Client]:
    """Looks at what the clients did, and prepares what they find."""
    s3 = boto3.client(
        "s3",
        endpoint_url=cluster.endpoint,
        aws_access_key_id=client_keys[0],
        aws_secret_access_key=client_keys[1],
        region_name=REGION,
    )
    yield s3
    s3.close()


@pytest.fixture(scope="module")
def access(
    cluster: Cluster, client_keys: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Access:
    """A fresh bucket name at the root of the endpoint."""
    return Access(
        endpoint=cluster.endpoint,
        prefix="",
        access_key=client_keys[0],
        secret_key=client_keys[1],
        bucket=f"clients-{random.randbytes(6).hex()}",
        folder=str(tmp_path_factory.mktemp("client")),
    )


@pytest.fixture(scope="module")
def secure_access(
    cluster: Cluster, access: Access, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Access]:
    """The same over https: one more proxy of the cluster, with a certificate of an authority of its own."""
    folder = tmp_path_factory.mktemp("https")
    authority = Authority(trustme.CA(), folder)
    authority.issue()
    with proxy_over_https(cluster, authority) as endpoint:
        yield replace(access, endpoint=endpoint, ca_file=authority.ca_file)


@pytest.fixture(scope="module")
def addressed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Access]:
    """Parametrized with `ADDRESSED` and `OVER_HTTPS`."""
    name, prefix, is_secure = request.param
    folder = str(tmp_path_factory.mktemp(name))
    bucket = f"{name}-{random.randbytes(6).hex()}"
    found: Access = request.getfixturevalue("secure_access" if is_secure else "access")
    return name, replace(found, prefix=prefix, bucket=bucket, folder=folder)


@pytest.fixture(scope="module")
def bucket(addressed: tuple[str, Access]) -> str:
    return addressed[1].bucket


@pytest.fixture(scope="module")
def client(addressed: tuple[str, Access], judge: S3Client) -> Iterator[Client]:
    """Each client with each form of endpoint, in a bucket of its own that it made itself if it can."""
    name, access = addressed
    kind = CLIENTS[name]
    if not kind.makes_buckets:
        judge.create_bucket(Bucket=access.bucket)
    made = kind.connect(access)
    try:
        if kind.makes_buckets:
            made.make_bucket()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def parts_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two parts and a little more."""
    path = tmp_path_factory.mktemp("bodies") / "parts"
    path.write_bytes(random.randbytes(2 * PART_BYTES + 3))
    return path

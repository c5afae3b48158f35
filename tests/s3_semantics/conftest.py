"""A client of boto3, a raw requester and a fresh bucket, against the shared cluster, and against three workers and two
proxies too, which take the requests in turn: what one has answered, the other must know.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.s3_semantics.signed_http import SignedHttp
from tests.support.cluster import Cluster
from tests.support.proxies_in_turn import in_turn
from tests.support.real_cluster import RealCluster

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Refused = Callable[..., tuple[int, str]]


@pytest.fixture(
    scope="session",
    params=["up", pytest.param("several-workers", marks=pytest.mark.several_workers)],
)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster | RealCluster]:
    """In place of the shared one."""
    if request.param == "up":
        yield request.getfixturevalue("cluster")
        return
    with RealCluster(one_port=False) as several:
        yield several


@pytest.fixture(scope="session")
def s3(cluster: Cluster | RealCluster) -> S3Client:
    user = cluster.user("semantics")
    made = boto3.client(
        "s3",
        endpoint_url=cluster.endpoint,
        aws_access_key_id=user.access_key,
        aws_secret_access_key=user.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )
    in_turn(made, cluster.endpoints)
    return made


@pytest.fixture(scope="session")
def send(cluster: Cluster | RealCluster) -> SignedHttp:
    return SignedHttp(cluster, cluster.user("semantics"))


@pytest.fixture(scope="session")
def send_other(cluster: Cluster | RealCluster) -> SignedHttp:
    """Another user."""
    return SignedHttp(cluster, cluster.user("somebody-else"))


@pytest.fixture
def bucket(s3: S3Client) -> str:
    name = f"semantics-{secrets.token_hex(6)}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture(scope="session")
def refused() -> Refused:
    """Status and code of the error that a call of boto3 meets."""

    def call(function: Callable[..., Any], **arguments: Any) -> tuple[int, str]:
        with pytest.raises(ClientError) as error:
            function(**arguments)
        response = error.value.response
        return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]

    return call

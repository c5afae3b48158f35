"""A client of boto3, a raw requester and a fresh bucket, against the shared cluster."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.s3_semantics.signed_http import SignedHttp
from tests.support.cluster import Cluster

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Refused = Callable[..., tuple[int, str]]


@pytest.fixture(scope="session")
def s3(cluster: Cluster) -> S3Client:
    user = cluster.user("semantics")
    return boto3.client(
        "s3",
        endpoint_url=cluster.endpoint,
        aws_access_key_id=user.access_key,
        aws_secret_access_key=user.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )


@pytest.fixture(scope="session")
def send(cluster: Cluster) -> SignedHttp:
    return SignedHttp(cluster, cluster.user("semantics"))


@pytest.fixture(scope="session")
def send_other(cluster: Cluster) -> SignedHttp:
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

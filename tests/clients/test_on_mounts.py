"""Every client on a bucket that is a mount: of a prefix of another bucket, through the same S3 endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from tests.clients.access import REGION, Access, Client
from tests.clients.catalogue import CLIENTS
from tests.clients.test_round_trips import (
    test_a_small_object,
    test_an_object_of_another_client,
    test_an_upload_in_parts,
)
from tests.mounts.mounted import Site
from tests.support.cluster import Cluster

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["test_a_small_object", "test_an_object_of_another_client", "test_an_upload_in_parts"]

IN_TEST = ("boto3", "rclone")
"""What `make test` tries; the rest is for `make soak`."""


pytestmark = pytest.mark.parametrize(
    "addressed",
    [
        pytest.param((name, "", False), id=name, marks=[] if name in IN_TEST else pytest.mark.soak(cost_s=2))
        for name in CLIENTS
    ],
    indirect=True,
)


@pytest.fixture(scope="module")
def client(addressed: tuple[str, Access], judge: S3Client, cluster: Cluster) -> Iterator[Client]:
    """In place of the one whose bucket is its own."""
    name, access = addressed
    origin = f"{access.bucket}-origin"
    judge.create_bucket(Bucket=origin)
    site = Site(cluster, "clients")
    site.mount(
        f"s3://{origin}/below",
        options={"endpoint": cluster.endpoint, "path_style": "true", "region": REGION},
        secrets={"access_key": access.access_key, "secret_key": access.secret_key},
        bucket=access.bucket,
    )
    made = CLIENTS[name].connect(access)
    try:
        yield made
    finally:
        made.close()
    site.unmount(access.bucket)
    assert judge.list_multipart_uploads(Bucket=origin).get("Uploads", []) == []

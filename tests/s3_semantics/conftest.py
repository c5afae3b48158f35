"""A client of boto3, a raw requester and a fresh bucket, against the shared cluster, and against three workers and two
proxies too, which take the requests in turn: what one has answered, the other must know. And with buckets that are
mounts, of another cluster, of moto and of a folder: what a client sees must be the same.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.s3_semantics.mounted_buckets import (
    FOLDER,
    MOTO,
    ZEROHOP,
    MountedBuckets,
    MountKind,
    Origin,
    is_held,
    running_origin,
)
from tests.s3_semantics.signed_http import SignedHttp
from tests.support.cluster import Cluster
from tests.support.proxies_in_turn import in_turn
from tests.support.real_cluster import RealCluster

from zerohop.model import WritePolicy

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Refused = Callable[..., tuple[int, str]]
Place = str | MountKind
NewBucket = Callable[[], AbstractContextManager[str]]

_USER = "semantics"


MOUNTS = [
    *(MountKind(ZEROHOP, ttl_s, policy) for ttl_s in (0, 60) for policy in WritePolicy),
    MountKind(MOTO, 0),
    MountKind(FOLDER, 60),
]
SHOWN = MountKind(ZEROHOP, 0)
"""The kind of which `make test` takes one test of each function; the rest is for `make soak`."""

NO_OBJECTS = {"test_configurations", "test_signing"}
"""Modules for which all buckets are alike."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that has to do with a cluster runs in all places."""
    if "place" in metafunc.fixturenames:
        several = pytest.param("several-workers", marks=pytest.mark.several_workers)
        places: list[Any] = ["up", several]
        module, function = metafunc.module.__name__.rpartition(".")[2], metafunc.function.__name__
        if module not in NO_OBJECTS:
            places += [
                pytest.param(kind, id=str(kind)) for kind in MOUNTS if is_held(kind.origin, module, function)
            ]
        metafunc.parametrize("place", places, indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what of the mounts `make test` leaves out."""
    taken = set()
    for item in items:
        parameters = (
            item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        )
        kind = parameters.get("place")
        if isinstance(kind, MountKind):
            function = item.nodeid.partition("[")[0]
            if kind == SHOWN and function not in taken:
                taken.add(function)
            else:
                item.add_marker(pytest.mark.soak(cost_s=0.2))


@pytest.fixture(scope="session")
def place(request: pytest.FixtureRequest) -> Place:
    """Where the buckets are."""
    found: Place = request.param
    return found


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, place: Place) -> Iterator[Cluster | RealCluster]:
    """In place of the shared one."""
    if place != "several-workers":
        yield request.getfixturevalue("cluster")
        return
    with RealCluster(one_port=False) as several:
        yield several


@pytest.fixture(scope="session")
def origins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Origin]]:
    """What is mounted, by name, running from when it is first asked for."""
    with ExitStack() as stack:

        @cache
        def running(name: str) -> Origin:
            return stack.enter_context(running_origin(name, tmp_path_factory.mktemp(name)))

        yield running


@pytest.fixture(scope="session")
def new_bucket(
    s3: S3Client,
    place: Place,
    cluster: Cluster | RealCluster,
    origins: Callable[[str], Origin],
) -> NewBucket:
    """Makes a bucket of a new name for the user of `s3`, for as long as the context lasts."""
    mounts = None
    if isinstance(place, MountKind):
        assert isinstance(cluster, Cluster)
        mounts = MountedBuckets(cluster, _USER, origins(place.origin), place)

    @contextmanager
    def made() -> Iterator[str]:
        name = f"semantics-{secrets.token_hex(6)}"
        if mounts is None:
            s3.create_bucket(Bucket=name)
            yield name
            return
        with mounts.bucket(name):
            yield name

    return made


@pytest.fixture(scope="session")
def s3(cluster: Cluster | RealCluster) -> S3Client:
    user = cluster.user(_USER)
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
    return SignedHttp(cluster, cluster.user(_USER))


@pytest.fixture(scope="session")
def send_other(cluster: Cluster | RealCluster) -> SignedHttp:
    """Another user."""
    return SignedHttp(cluster, cluster.user("somebody-else"))


@pytest.fixture
def bucket(new_bucket: NewBucket) -> Iterator[str]:
    with new_bucket() as name:
        yield name


@pytest.fixture(scope="session")
def refused() -> Refused:
    """Status and code of the error that a call of boto3 meets."""

    def call(function: Callable[..., Any], **arguments: Any) -> tuple[int, str]:
        with pytest.raises(ClientError) as error:
            function(**arguments)
        response = error.value.response
        return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]

    return call

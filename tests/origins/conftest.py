"""The stores of all kinds, behind real servers, each test with a bucket or folder of its own."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from hdfs_native import Client
from tests.support.origin_servers import (
    AZURITE_ACCOUNT,
    AZURITE_KEY,
    HAS_GO,
    HAS_HADOOP,
    azurite,
    create_container,
    hadoop_cluster,
    moto_server,
)
from tests.support.xml_gcs import XmlGcs, xml_gcs

from zerohop.model import MountInfo
from zerohop_worker.origins.interface import OriginStore
from zerohop_worker.origins.opening import open_origin

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Those need programs that few machines have.
collect_ignore = [] if HAS_HADOOP else ["test_hdfs_cluster.py"]
collect_ignore += [] if HAS_GO else ["test_gcs.py"]

_numbers = itertools.count(1)


def mount(uri: str, *, read_only: bool = False, **options: str) -> MountInfo:
    return MountInfo(mount_id=b"\0\0\0\1", bucket="data", uri=uri, options=options, read_only=read_only)


@pytest.fixture(scope="session")
def moto_port() -> Iterator[int]:
    with moto_server() as port:
        yield port


@pytest.fixture(scope="session")
def azurite_port() -> Iterator[int]:
    with azurite() as port:
        yield port


@pytest.fixture(scope="session")
def running_gcs() -> Iterator[XmlGcs]:
    with xml_gcs() as running:
        yield running


@pytest.fixture
def gcs(running_gcs: XmlGcs) -> Iterator[XmlGcs]:
    """One for all tests; what one of them has it do ends with that test."""
    yield running_gcs
    running_gcs.meanwhile = running_gcs.afterwards = None


@pytest.fixture(scope="session")
def hadoop_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with hadoop_cluster(tmp_path_factory.mktemp("hadoop")) as port:
        yield port


@pytest.fixture(scope="session")
def hdfs(hadoop_port: int) -> Client:
    """Looks behind our back, and changes things there."""
    return Client(f"hdfs://127.0.0.1:{hadoop_port}")


@pytest.fixture
def hdfs_folder(hdfs: Client) -> str:
    folder = f"/mounted-{next(_numbers)}/base"
    hdfs.mkdirs(folder, create_parent=True)
    return folder


@pytest.fixture(scope="session")
def s3(moto_port: int) -> Iterator[S3Client]:
    """Looks behind our back, and changes things there."""
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{moto_port}",
        aws_access_key_id="AKIAORIGIN",
        aws_secret_access_key="secret",
        region_name="us-east-1",
    )
    yield client
    client.close()


@pytest.fixture
def s3_bucket(s3: S3Client) -> str:
    bucket = f"bucket-{next(_numbers)}"
    s3.create_bucket(Bucket=bucket)
    return bucket


@dataclass(frozen=True)
class Place:
    """Where a mount of one kind is: what `open_origin` takes."""

    kind: str
    mount: MountInfo
    secrets: dict[str, str]

    @property
    def keeps_attributes(self) -> bool:
        """Whether headers and metadata are stored with an object."""
        return self.kind != "hdfs"

    @property
    def has_paths(self) -> bool:
        """Whether keys are paths: nothing is below a file."""
        return self.kind in ("folder", "hdfs")

    def open(self) -> OriginStore:
        return open_origin(self.mount, self.secrets)


S3_SECRETS = {"access_key": "AKIAORIGIN", "secret_key": "secret"}


KINDS = ["s3", "folder", "azure", "gcs"]
HADOOP = [pytest.param("hdfs", marks=pytest.mark.soak(cost_s=3))] if HAS_HADOOP else []


@pytest.fixture(params=[*KINDS, *HADOOP])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        folder = tmp_path / "mounted"
        folder.mkdir()
        return Place("folder", mount(f"file://{folder}"), {})
    if request.param == "s3":
        bucket = request.getfixturevalue("s3_bucket")
        endpoint = f"http://127.0.0.1:{request.getfixturevalue('moto_port')}"
        return Place("s3", mount(f"s3://{bucket}/base", endpoint=endpoint), S3_SECRETS)
    if request.param == "hdfs":
        folder_at = request.getfixturevalue("hdfs_folder")
        return Place(
            "hdfs", mount(f"hdfs://127.0.0.1:{request.getfixturevalue('hadoop_port')}{folder_at}"), {}
        )
    if request.param == "gcs":
        gcs = request.getfixturevalue("gcs")
        return Place("gcs", mount(f"gs://bucket-{next(_numbers)}/base", endpoint=gcs.url), {"token": "any"})
    endpoint = f"http://127.0.0.1:{request.getfixturevalue('azurite_port')}/{AZURITE_ACCOUNT}"
    container = f"container-{next(_numbers)}"
    create_container(endpoint, container)
    return Place(
        "azure",
        mount(f"az://{container}/base", endpoint=endpoint, account=AZURITE_ACCOUNT),
        {"account_key": AZURITE_KEY},
    )


@pytest.fixture
async def origin(place: Place) -> AsyncIterator[OriginStore]:
    store = place.open()
    yield store
    await store.close()

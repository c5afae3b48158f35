"""Buckets of the suite that are mounts, each of its own prefix of one origin: clients must find no difference."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from tests.mounts.mounted import Site
from tests.mounts.remote import eventually
from tests.support.cluster import Cluster, User
from tests.support.origin_servers import moto_server

from zerohop.model import WritePolicy

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["FOLDER", "MOTO", "ZEROHOP", "MountKind", "MountedBuckets", "Origin", "is_held", "running_origin"]

ZEROHOP, MOTO, FOLDER = "zerohop", "moto", "folder"
_BUCKET = "origin"

_NOT_HELD = {
    # Neither lists nor deletes keys with control characters; passes over a group in which a page begins; tells of no
    # part where it lies.
    MOTO: {
        "test_listings",
        "test_what_is_no_path",
        "test_reading_parts",
        "test_parts",
    },
    # Keys are paths, and a "/" at the end is a folder's; there are no parts.
    FOLDER: {
        "test_listings",
        "test_what_is_no_path",
        "test_a_key_and_a_folder_of_one_name",
        "test_keys_that_are_too_long",
        "test_reading_parts",
        "test_parts",
    },
}
"""Modules and tests that an origin cannot pass, whoever is in front of it."""


def is_held(origin: str, module: str, function: str) -> bool:
    """Whether a test can be run on mounts of an origin."""
    return _NOT_HELD.get(origin, set()).isdisjoint((module, function))


@dataclass(frozen=True)
class MountKind:
    """What is mounted, and how."""

    origin: str
    metadata_ttl_s: int = 60
    write_policy: WritePolicy = WritePolicy.CACHE_THROUGH

    def __str__(self) -> str:
        return f"{self.origin}-{self.metadata_ttl_s}s-{self.write_policy}"


@dataclass(frozen=True)
class Origin:
    """A store that buckets are mounted from. `s3` sees it from behind; None for a folder."""

    uri: str
    options: dict[str, str]
    secrets: dict[str, str]
    s3: S3Client | None = None

    def open_uploads(self, bucket: str) -> list[str]:
        """Keys of the uploads that a mounted bucket has left open at the origin."""
        if self.s3 is None:
            return []
        found = self.s3.list_multipart_uploads(Bucket=_BUCKET, Prefix=f"{bucket}/")
        return [upload["Key"] for upload in found.get("Uploads", [])]


@contextmanager
def running_origin(name: str, folder: Path) -> Iterator[Origin]:
    """One of `MountKind.origin`."""
    with ExitStack() as stack:
        if name == FOLDER:
            yield Origin(f"file://{folder}", {}, {})
            return
        if name == MOTO:
            endpoint = f"http://127.0.0.1:{stack.enter_context(moto_server())}"
            user = User("moto", "AKIAREMOTEORIGIN", "verysecretkeyoftheorigin")
        else:
            cluster = Cluster(folder, proxies=1)
            stack.callback(cluster.kill_whatever_is_left)
            cluster.start()
            stack.callback(cluster.stop)
            endpoint, user = cluster.endpoint, cluster.user("origin")
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id=user.access_key,
            aws_secret_access_key=user.secret_key,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )
        client.create_bucket(Bucket=_BUCKET)
        options = {"endpoint": endpoint, "path_style": "true", "region": "us-east-1"}
        secrets = {"access_key": user.access_key, "secret_key": user.secret_key}
        yield Origin(f"s3://{_BUCKET}", options, secrets, client)


class MountedBuckets:
    """Makes them, and ends them again: a mount has a client of its own for its origin."""

    def __init__(self, cluster: Cluster, user: str, origin: Origin, kind: MountKind) -> None:
        self._site = Site(cluster, user)
        self._origin = origin
        self._kind = kind

    @contextmanager
    def bucket(self, name: str) -> Iterator[None]:
        """A mount of that name, of a prefix of that name. At its end nothing half-done may be at the origin."""
        if self._origin.s3 is None:
            Path(self._origin.uri.removeprefix("file://"), name).mkdir()
        self._site.mount(
            f"{self._origin.uri}/{name}",
            options=self._origin.options,
            secrets=self._origin.secrets,
            bucket=name,
            metadata_ttl_s=float(self._kind.metadata_ttl_s),
            write_policy=self._kind.write_policy,
        )
        yield
        self._site.unmount(name)
        eventually(lambda: not self._origin.open_uploads(name), f"no upload of {name} is left at the origin")

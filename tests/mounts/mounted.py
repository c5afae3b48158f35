"""A mount of a remote bucket or of a folder, seen through an S3 client and from behind."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.mounts.remote import ACCESS_KEY, SECRET_KEY, Remote, eventually
from tests.support.cluster import Cluster
from tests.support.proxies_in_turn import in_turn
from tests.support.real_cluster import RealCluster

from zerohop.client.cluster import ClusterClient
from zerohop.model import ADMIN, MountInfo, WritePolicy
from zerohop.rpc.master_api import (
    AddMount,
    ListLocal,
    ListUsers,
    MountResult,
    RemoveMount,
    SyncMount,
)
from zerohop.rpc.message import Request
from zerohop.rpc.mutation import new_mutation_id

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

__all__ = ["BLOCK_BYTES", "Mounted", "Site", "noise", "source", "status_of", "upload"]

BLOCK_BYTES = 1 << 20
"""Of most mounts here: many blocks of few bytes."""

PREFIX = "some/prefix"
_USER = "mount-user"
_numbers = itertools.count(1)


def noise(size_bytes: int) -> bytes:
    return random.randbytes(size_bytes)


class Site:
    """A cluster that mounts things."""

    def __init__(self, cluster: Cluster | RealCluster, user: str = _USER) -> None:
        self.cluster = cluster
        self.user = cluster.user(user)
        self.s3 = self.client(in_turns=True)

    @property
    def master(self) -> str:
        """Its address."""
        cluster = self.cluster
        return cluster.master_address if isinstance(cluster, RealCluster) else cluster.running.master

    def client(
        self, *, in_turns: bool = False, endpoint: str = "", headers: Mapping[str, str] | None = None
    ) -> S3Client:
        """An S3 client that sends `headers` with each request; `in_turns`: to one proxy after the other, where they
        have ports of their own.
        """
        client = boto3.client(
            "s3",
            endpoint_url=endpoint or self.cluster.endpoints[0],
            aws_access_key_id=self.user.access_key,
            aws_secret_access_key=self.user.secret_key,
            region_name="us-east-1",
            config=Config(
                s3={"addressing_style": "path"},
                retries={"max_attempts": 0},
                read_timeout=60,
                max_pool_connections=50,
            ),
        )
        given = dict(headers or {})

        def add(request: Any, **_event: object) -> None:
            for name, value in given.items():
                request.headers[name] = value

        client.meta.events.register("before-sign.s3", add)
        if in_turns and len(self.cluster.endpoints) > 1:
            in_turn(client, self.cluster.endpoints)
        return client

    def ask(self, request: Request[Any], timeout_s: float = 30.0) -> Any:
        """Asks the master."""

        async def call() -> Any:
            client = await ClusterClient.connect([self.master], name="test", heartbeat=False)
            try:
                return await client.call(request, timeout_s=timeout_s)
            finally:
                await client.close()

        return asyncio.run(call())

    def mount(
        self,
        uri: str,
        *,
        options: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        bucket: str = "",
        **changes: Any,
    ) -> MountInfo:
        """Mounts it for the user of the client, as a bucket of a new name unless one is given."""
        users = self.ask(ListUsers(caller=ADMIN)).users
        (owner,) = (user.canonical_id for user in users if user.name == self.user.name)
        settings: dict[str, Any] = {"block_size_bytes": BLOCK_BYTES, **changes}
        if "write_policy" in settings:
            settings["write_policy"] = WritePolicy(settings["write_policy"])
        info = MountInfo(
            mount_id=b"",
            bucket=bucket or f"mounted-{next(_numbers)}",
            uri=uri,
            options=dict(options or {}),
            owner=owner,
            **settings,
        )
        request = AddMount(caller=ADMIN, mount=info, secrets=dict(secrets or {}), mutation=new_mutation_id())
        result: MountResult = self.ask(request)
        return result.mount

    def unmount(self, bucket: str) -> None:
        """Also what its origin does not have."""
        removal = RemoveMount(caller=ADMIN, bucket=bucket, discard_local=True, mutation=new_mutation_id())
        self.ask(removal)

    def mount_remote(self, remote: Remote, **changes: Any) -> Mounted:
        """A new bucket of the remote, below a prefix."""
        bucket = remote.new_bucket()
        info = self.mount(
            f"s3://{bucket}/{PREFIX}",
            options={"endpoint": remote.url, "path_style": "true", "region": "us-east-1"},
            secrets={"access_key": ACCESS_KEY, "secret_key": SECRET_KEY},
            **changes,
        )
        return Mounted(self, info, remote, bucket)

    def mount_folder(self, folder: Path, **changes: Any) -> MountInfo:
        """A folder of this machine."""
        folder.mkdir(exist_ok=True)
        return self.mount(f"file://{folder}", **changes)


@dataclass
class Mounted:
    """A mount of a bucket of the remote."""

    site: Site
    info: MountInfo
    remote: Remote
    remote_bucket: str
    bodies: dict[str, bytes] = field(default_factory=dict)

    @property
    def s3(self) -> S3Client:
        return self.site.s3

    @property
    def name(self) -> str:
        """The bucket that clients see."""
        return self.info.bucket

    # ------------------------------------------------------------------------------------- behind our back

    def place(self, key: str, body: bytes, **more: Any) -> bytes:
        """Puts an object at the origin."""
        self.remote.s3.put_object(Bucket=self.remote_bucket, Key=f"{PREFIX}/{key}", Body=body, **more)
        return body

    def take_away(self, key: str) -> None:
        self.remote.s3.delete_object(Bucket=self.remote_bucket, Key=f"{PREFIX}/{key}")

    def at_origin(self, key: str) -> dict[str, Any]:
        """The answer of the origin to a GET."""
        found: Any = self.remote.s3.get_object(Bucket=self.remote_bucket, Key=f"{PREFIX}/{key}")
        return {**found, "Body": found["Body"].read()}

    def origin_keys(self) -> list[str]:
        pages = self.remote.s3.get_paginator("list_objects_v2").paginate(Bucket=self.remote_bucket)
        return [
            entry["Key"].removeprefix(f"{PREFIX}/") for page in pages for entry in page.get("Contents", [])
        ]

    def origin_uploads(self) -> list[str]:
        """Keys of uploads that are open there."""
        found = self.remote.s3.list_multipart_uploads(Bucket=self.remote_bucket)
        return [upload["Key"] for upload in found.get("Uploads", [])]

    # ---------------------------------------------------------------------------------------- what is seen

    def get(self, key: str, *, cache: str = "", **more: Any) -> dict[str, Any]:
        """A GET, its body read. `cache`: the read policy that is asked for."""
        client = self.s3
        if cache:
            client = self.site.client(headers={"x-zerohop-cache": cache})
        found: Any = client.get_object(Bucket=self.name, Key=key, **more)
        return {**found, "Body": found["Body"].read()}

    def read(self, key: str, **more: Any) -> bytes:
        body: bytes = self.get(key, **more)["Body"]
        return body

    def status(self, key: str) -> int:
        """HTTP status of a HEAD."""
        try:
            self.s3.head_object(Bucket=self.name, Key=key)
        except ClientError as error:
            return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
        return 200

    def keys(self, **more: Any) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, **more)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def sync(self, prefix: str = "") -> None:
        """What `fs sync` does."""
        self.site.ask(SyncMount(caller=ADMIN, bucket=self.name, prefix=prefix, mutation=new_mutation_id()))

    def unpersisted(self) -> list[str]:
        """Keys that the origin does not have yet."""
        page = self.site.ask(ListLocal(mount_id=self.info.mount_id))
        return [entry.key for entry in page.entries]

    def persisted(self) -> None:
        """Waits until the origin has all."""
        eventually(lambda: not self.unpersisted(), "the origin has all writes")


def status_of(error: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    """HTTP status and S3 code of a refusal."""
    answer = error.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def source(found: Mapping[str, Any]) -> str:
    """Where the first bytes of an answer came from."""
    headers: dict[str, str] = found["ResponseMetadata"]["HTTPHeaders"]
    return headers["x-zerohop-source"]


def upload(client: S3Client, bucket: str, key: str, parts: list[bytes]) -> str:
    """An upload in parts; answers its ETag."""
    started = client.create_multipart_upload(
        Bucket=bucket, Key=key, ContentType="text/x", Metadata={"m": "1"}
    )
    upload_id = started["UploadId"]
    done: list[CompletedPartTypeDef] = []
    for number, body in enumerate(parts, 1):
        part = client.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=body)
        done.append({"PartNumber": number, "ETag": part["ETag"]})
    completed = client.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": done}
    )
    return completed["ETag"]

"""Where reads of mounted objects are measured: an origin, the way to it, and clusters that have it mounted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

import uvloop

from zerohop.client.cluster import ClusterClient
from zerohop.errors import InvalidRequest
from zerohop.model import ADMIN, MountInfo
from zerohop.rpc.master_api import AddMount, ListUsers, RemoveMount
from zerohop.rpc.message import Request
from zerohop.rpc.mutation import new_mutation_id
from zerohop_bench.cache_reads import Get
from zerohop_bench.http_load import Address, LoadFailed, request_once
from zerohop_bench.servers import BUCKET
from zerohop_bench.sigv4 import Keys, presigned_target, signed_head
from zerohop_bench.zerohop_servers import Zerohop

__all__ = ["Origin", "delayed", "given_origin", "mounted"]

R = TypeVar("R")

_MOUNT_TIMEOUT_S: Final = 60.0
_STORE_TIMEOUT_S: Final = 300.0
_END_S: Final = 10.0
_TTL_S: Final = 3600.0
"""A warm read does not ask the origin: longer than any run."""


class Origin(NamedTuple):
    """An S3 store over HTTP, and where in it our objects are: below `prefix`, which is theirs alone."""

    address: Address
    keys: Keys
    bucket: str = BUCKET
    prefix: str = "zerohop-bench/"

    def get(self, key: str, size_bytes: int) -> Get:
        """The read of an object."""
        path = f"/{self.bucket}/{self.prefix}{key}"
        return Get(presigned_target(self.keys, "GET", self._host, path), size_bytes)

    def store(self, key: str, body: bytes) -> None:
        """Stores an object. Raises LoadFailed, OSError."""
        self._request("PUT", key, body)

    def delete(self, key: str) -> None:
        """Removes it. Raises LoadFailed, OSError."""
        self._request("DELETE", key)

    def _request(self, method: str, key: str, body: bytes = b"") -> None:
        path = f"/{self.bucket}/{self.prefix}{key}"
        head = signed_head(self.keys, method, self._host, path, length_bytes=len(body))
        try:
            request_once(self.address, head, body, timeout_s=_STORE_TIMEOUT_S)
        except LoadFailed as error:
            if method == "DELETE" and " 204 " in str(error):
                return
            raise

    @property
    def _host(self) -> str:
        return f"{self.address[0]}:{self.address[1]}"


def given_origin(endpoint: str, bucket: str, prefix: str, keys: Keys) -> Origin:
    """That of a URL. Raises InvalidRequest unless it is `http://host[:port]`."""
    parts = urlsplit(endpoint)
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/"):
        raise InvalidRequest(
            f"{endpoint!r}: expected http://host:port; the delay cannot pass as another's TLS"
        )
    return Origin((parts.hostname, parts.port or 80), keys, bucket, prefix)


@contextmanager
def delayed(origin: Origin, round_trip_s: float, bytes_per_s: float = 0.0) -> Iterator[Origin]:
    """The same store, `round_trip_s` farther away, on a way that carries `bytes_per_s` (0: anything). Without delay its
    bytes pass through the same process.
    """
    command = [sys.executable, "-m", "zerohop_bench.cache_delay", origin.address[0], str(origin.address[1])]
    command += [str(round_trip_s), str(bytes_per_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            if not port:
                raise LoadFailed("the delay before the origin did not start")
            yield origin._replace(address=("127.0.0.1", int(port)))
        finally:
            process.terminate()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def mounted(cluster: Zerohop, origin: Origin, name: str) -> Iterator[Origin]:
    """The origin as the cluster shows it under `name`, with nothing cached yet."""
    uvloop.run(_add(cluster, origin, name))
    try:
        yield Origin(cluster.address, cluster.keys, name, "")
    finally:
        uvloop.run(_call(cluster, RemoveMount(caller=ADMIN, bucket=name, mutation=new_mutation_id())))


async def _add(cluster: Zerohop, origin: Origin, name: str) -> None:
    (user,) = (await _call(cluster, ListUsers(caller=ADMIN))).users
    info = MountInfo(
        mount_id=b"",
        bucket=name,
        uri=f"s3://{origin.bucket}/{origin.prefix}",
        options={"endpoint": f"http://{origin.address[0]}:{origin.address[1]}", "path_style": "true"},
        metadata_ttl_s=_TTL_S,
        read_only=True,
        owner=user.canonical_id,  # whose keys the reads are signed with
    )
    secrets = {"access_key": origin.keys.access_key, "secret_key": origin.keys.secret_key}
    await _call(cluster, AddMount(caller=ADMIN, mount=info, secrets=secrets, mutation=new_mutation_id()))


async def _call(cluster: Zerohop, request: Request[R]) -> R:
    client = await ClusterClient.connect((cluster.master,), name="zerohop-bench")
    async with client:
        return await client.call(request, timeout_s=_MOUNT_TIMEOUT_S)

"""Users of a cluster under test, and boto3 clients that sign for them."""

from __future__ import annotations

from typing import Any, TypeVar

import boto3
from botocore.config import Config
from tests.inprocess import InProcessCluster

from zerohop.client.cluster import ClusterClient
from zerohop.model import ADMIN, Credential, UserRecord
from zerohop.rpc.master_api import AddUser, RemoveUser
from zerohop.rpc.message import Request
from zerohop.rpc.mutation import new_mutation_id

__all__ = ["add_user", "ask", "remove_user", "s3_client"]

R = TypeVar("R")


async def add_user(cluster: InProcessCluster, name: str) -> UserRecord:
    """A user of the cluster, whose keys follow from the name."""
    record = UserRecord(
        name=name,
        canonical_id=f"id-of-{name}",
        display_name=name.title(),
        credentials=(Credential(access_key=f"KEY{name.upper()}", secret_key=f"secret-of-{name}"),),
    )
    await ask(cluster, AddUser(caller=ADMIN, user=record, mutation=new_mutation_id()))
    return record


async def remove_user(cluster: InProcessCluster, name: str) -> None:
    """Removes the user behind the proxies' backs."""
    await ask(cluster, RemoveUser(caller=ADMIN, name=name, mutation=new_mutation_id()))


async def ask(cluster: InProcessCluster, request: Request[R]) -> R:
    """Asks the master, past the proxies."""
    client = await ClusterClient.connect((cluster.master_address,), name="test", heartbeat=False)
    try:
        return await client.call(request)
    finally:
        await client.close()


def s3_client(cluster: InProcessCluster, user: UserRecord, **options: Any) -> Any:
    """A boto3 client that signs as `user`. Its calls block: run them in a thread."""
    (credential,) = user.credentials
    return boto3.client(
        "s3",
        endpoint_url=cluster.endpoint,
        region_name="us-east-1",
        aws_access_key_id=credential.access_key,
        aws_secret_access_key=credential.secret_key,
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}, **options),
    )

"""`zerohop user`: who may sign requests."""

from __future__ import annotations

import secrets

import click

from zerohop.cli.cluster_options import as_json, on_cluster
from zerohop.cli.user_key import key, new_credential, show_secret
from zerohop.client.objects import ObjectClient
from zerohop.errors import InvalidRequest
from zerohop.model import ADMIN, UserRecord
from zerohop.rpc.master_api import AddUser, ListUsers, RemoveUser
from zerohop.rpc.mutation import new_mutation_id

__all__ = ["user"]

_CANONICAL_ID_BYTES = 32  # 64 hexadecimal digits, as AWS's


@click.group()
def user() -> None:
    """Add, list and remove the users who may sign S3 requests, and their access keys."""


user.add_command(key)


@user.command()
@click.argument("name")
@click.option("--access-key", default="", help="Access key id.  [default: a new random one]")
@click.option("--secret-key", default="", help="Secret key.  [default: a new random one]")
@click.option("--display-name", default="", help="Name that S3 answers show.  [default: NAME]")
@click.option("--email", default="", help="E-mail address.")
@click.option("--canonical-id", default="", help="Id that owns buckets.  [default: a new random one]")
@click.option("--json", "json_output", is_flag=True, help="Print JSON.")
@on_cluster
async def add(
    objects: ObjectClient,
    name: str,
    access_key: str,
    secret_key: str,
    display_name: str,
    email: str,
    canonical_id: str,
    json_output: bool,
) -> None:
    """Add a user. The secret key is printed once, here: it cannot be shown again."""
    if not name or not name.isprintable():
        raise InvalidRequest("a user needs a name of printable characters")
    credential = new_credential(access_key, secret_key)
    record = UserRecord(
        name=name,
        canonical_id=canonical_id or secrets.token_hex(_CANONICAL_ID_BYTES),
        display_name=display_name or name,
        email=email,
        credentials=(credential,),
    )
    request = AddUser(caller=ADMIN, user=record, mutation=new_mutation_id())
    added = (await objects.client.call(request)).user
    facts = {
        "name": added.name,
        "access_key": credential.access_key,
        "secret_key": credential.secret_key,
        "display_name": added.display_name,
        "email": added.email,
        "canonical_id": added.canonical_id,
    }
    show_secret(facts, json_output=json_output)


@user.command("list")
@click.option("--json", "json_lines", is_flag=True, help="One JSON object a line.")
@on_cluster
async def list_users(objects: ObjectClient, json_lines: bool) -> None:
    """List the users; secret keys are never shown."""
    page = await objects.client.call(ListUsers(caller=ADMIN))
    for record in page.users:
        keys = [credential.access_key for credential in record.credentials]
        if json_lines:
            facts = {
                "name": record.name,
                "access_keys": keys,
                "display_name": record.display_name,
                "email": record.email,
                "canonical_id": record.canonical_id,
                "created_ms": record.created_ms,
            }
            click.echo(as_json(facts))
        else:
            click.echo(
                f"{record.name:<20} {','.join(keys):<20} {record.canonical_id}  {record.email}".rstrip()
            )


@user.command()
@click.argument("name")
@on_cluster
async def remove(objects: ObjectClient, name: str) -> None:
    """Remove a user: requests signed with its keys are refused from now on. Its buckets stay."""
    await objects.client.call(RemoveUser(caller=ADMIN, name=name, mutation=new_mutation_id()))

"""`zerohop user key`: the access keys of a user.

To rotate: add a key, move the programs over, then disable the old one, and remove it once nothing misses it.
"""

from __future__ import annotations

import datetime
import secrets
import string
import time
from typing import Final

import click

from zerohop.cli.cluster_options import as_json, on_cluster
from zerohop.client.objects import ObjectClient
from zerohop.errors import InvalidRequest, UserNotFound
from zerohop.model import ADMIN, Credential
from zerohop.rpc.master_api import AddKey, ChangeKey, ListUsers, RemoveKey
from zerohop.rpc.mutation import new_mutation_id
from zerohop.units import parse_duration

__all__ = ["key", "new_credential", "show_secret"]

_ACCESS_KEY_CHARACTERS: Final = string.ascii_uppercase + "234567"
_ACCESS_KEY_LENGTH: Final = 20
_SECRET_KEY_BYTES: Final = 30  # 40 characters of base64, as long as AWS's

_MIN_SECRET_KEY_LENGTH: Final = 8
_MAX_KEY_LENGTH: Final = 128

_WHEN: Final = (
    "never, now, a time from now such as 12h or 90d, or a date such as 2027-01-31 or 2027-01-31T12:00:00Z"
)


def new_credential(access_key: str, secret_key: str, expires_ms: int = 0) -> Credential:
    """A credential of these keys, random where they are "". Raises InvalidRequest for what no signature could carry."""
    access_key = access_key or "".join(
        secrets.choice(_ACCESS_KEY_CHARACTERS) for _ in range(_ACCESS_KEY_LENGTH)
    )
    secret_key = secret_key or secrets.token_urlsafe(_SECRET_KEY_BYTES)
    # The access key stands in `Credential=KEY/date/region/...` and in `AWS KEY:signature`.
    if len(access_key) > _MAX_KEY_LENGTH or not all(
        c.isascii() and (c.isalnum() or c in "-_.") for c in access_key
    ):
        raise InvalidRequest(f"an access key has up to {_MAX_KEY_LENGTH} letters, digits, '-', '_' and '.'")
    if not _MIN_SECRET_KEY_LENGTH <= len(secret_key) <= _MAX_KEY_LENGTH:
        raise InvalidRequest(f"a secret key has {_MIN_SECRET_KEY_LENGTH} to {_MAX_KEY_LENGTH} characters")
    return Credential(access_key=access_key, secret_key=secret_key, expires_ms=expires_ms)


def show_secret(facts: dict[str, str], *, json_output: bool) -> None:
    """Print a new key, for the first and last time; empty facts are left out."""
    if json_output:
        click.echo(as_json(facts))
        return
    for field, value in facts.items():
        if value:
            click.echo(f"{field:<14} {value}")
    click.echo("Keep the secret key now: it cannot be shown again.", err=True)


def _expires_ms(text: str, now_s: float) -> int:
    """The moment that `--expires` names, in ms since the epoch; 0 for never. Raises InvalidRequest."""
    if text == "never":
        return 0
    if text == "now":
        return int(now_s * 1000)
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        try:
            return int((now_s + parse_duration(text)) * 1000)
        except ValueError:
            raise InvalidRequest(f"{text!r} is no time to expire at; write {_WHEN}") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return max(1, int(moment.timestamp() * 1000))


def _changing(access_key: str, *, enabled: bool | None = None, expires_ms: int | None = None) -> ChangeKey:
    return ChangeKey(
        caller=ADMIN,
        access_key=access_key,
        enabled=enabled,
        expires_ms=expires_ms,
        mutation=new_mutation_id(),
    )


def _state(credential: Credential, now_s: float) -> str:
    if not credential.enabled:
        return "disabled"
    return "expired" if 0 < credential.expires_ms <= now_s * 1000 else "enabled"


def _shown_time(expires_ms: int) -> str:
    if not expires_ms:
        return "never"
    moment = datetime.datetime.fromtimestamp(expires_ms / 1000, datetime.UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


@click.group()
def key() -> None:
    """Add, list, disable, enable, expire and remove access keys. Each takes effect with the very next request."""


@key.command()
@click.argument("user_name", metavar="USER")
@click.option("--access-key", default="", help="Access key id.  [default: a new random one]")
@click.option("--secret-key", default="", help="Secret key.  [default: a new random one]")
@click.option("--expires", default="never", help=f"When the key stops working: {_WHEN}.  [default: never]")
@click.option("--json", "json_output", is_flag=True, help="Print JSON.")
@on_cluster
async def add(
    objects: ObjectClient, user_name: str, access_key: str, secret_key: str, expires: str, json_output: bool
) -> None:
    """Add an access key. The secret key is printed once, here: it cannot be shown again."""
    credential = new_credential(access_key, secret_key, _expires_ms(expires, time.time()))
    request = AddKey(caller=ADMIN, name=user_name, credential=credential, mutation=new_mutation_id())
    await objects.client.call(request)
    facts = {
        "name": user_name,
        "access_key": credential.access_key,
        "secret_key": credential.secret_key,
        "expires": _shown_time(credential.expires_ms),
    }
    show_secret(facts, json_output=json_output)


@key.command("list")
@click.argument("user_name", metavar="[USER]", required=False)
@click.option("--json", "json_lines", is_flag=True, help="One JSON object a line.")
@on_cluster
async def list_keys(objects: ObjectClient, user_name: str | None, json_lines: bool) -> None:
    """List the access keys of a user, or of all; secret keys are never shown."""
    page = await objects.client.call(ListUsers(caller=ADMIN))
    users = [one for one in page.users if user_name in (None, one.name)]
    if user_name is not None and not users:
        raise UserNotFound(f"there is no user {user_name!r}")
    now_s = time.time()
    for one in users:
        for credential in one.credentials:
            state, expires = _state(credential, now_s), _shown_time(credential.expires_ms)
            if json_lines:
                facts = {
                    "name": one.name,
                    "access_key": credential.access_key,
                    "state": state,
                    "expires": expires,
                }
                click.echo(as_json(facts))
            else:
                click.echo(f"{one.name:<20} {credential.access_key:<20} {state:<8} {expires}")


@key.command()
@click.argument("access_key")
@on_cluster
async def disable(objects: ObjectClient, access_key: str) -> None:
    """Refuse requests that are signed with the key, until it is enabled again."""
    await objects.client.call(_changing(access_key, enabled=False))


@key.command()
@click.argument("access_key")
@on_cluster
async def enable(objects: ObjectClient, access_key: str) -> None:
    """Accept a disabled key again."""
    await objects.client.call(_changing(access_key, enabled=True))


@key.command()
@click.argument("access_key")
@click.argument("when")
@on_cluster
async def expire(objects: ObjectClient, access_key: str, when: str) -> None:
    """Say when the key stops working: never, now, 12h, 90d, 2027-01-31 or 2027-01-31T12:00:00Z."""
    await objects.client.call(_changing(access_key, expires_ms=_expires_ms(when, time.time())))


@key.command()
@click.argument("access_key")
@on_cluster
async def remove(objects: ObjectClient, access_key: str) -> None:
    """Remove an access key for good. The user and its buckets stay."""
    await objects.client.call(RemoveKey(caller=ADMIN, access_key=access_key, mutation=new_mutation_id()))

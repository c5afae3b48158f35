"""`zerohop user key` against a running cluster, with the keys in use."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.support.cluster import Cluster


def _answer(cluster: Cluster, access_key: str, secret_key: str) -> str:
    """ "" when the key is accepted, else the error code."""
    s3: Any = boto3.client(
        "s3",
        endpoint_url=cluster.endpoint,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )
    try:
        s3.list_buckets()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def _keys(cluster: Cluster, *user: str) -> dict[str, dict[str, str]]:
    lines = cluster.cli("user", "key", "list", *user, "--json").stdout.splitlines()
    return {facts["access_key"]: facts for facts in map(json.loads, lines)}


def test_a_key_through_its_whole_life(cluster: Cluster) -> None:
    first = cluster.user("rotating")
    made = json.loads(cluster.cli("user", "key", "add", "rotating", "--json").stdout)
    second = made["access_key"], made["secret_key"]
    assert (made["name"], made["expires"]) == ("rotating", "never")
    assert _answer(cluster, *second) == _answer(cluster, first.access_key, first.secret_key) == ""

    cluster.cli("user", "key", "disable", first.access_key)
    assert _answer(cluster, first.access_key, first.secret_key) == "InvalidAccessKeyId"
    assert {key: facts["state"] for key, facts in _keys(cluster, "rotating").items()} == {
        first.access_key: "disabled",
        second[0]: "enabled",
    }
    cluster.cli("user", "key", "enable", first.access_key)
    assert _answer(cluster, first.access_key, first.secret_key) == ""

    cluster.cli("user", "key", "expire", second[0], "now")
    assert _answer(cluster, *second) == "ExpiredToken"
    assert _keys(cluster)[second[0]]["state"] == "expired"
    cluster.cli("user", "key", "expire", second[0], "90d")
    assert _answer(cluster, *second) == ""
    cluster.cli("user", "key", "expire", second[0], "2001-01-31T12:00:00Z")
    assert _answer(cluster, *second) == "ExpiredToken"
    assert _keys(cluster, "rotating")[second[0]]["expires"] == "2001-01-31T12:00:00Z"

    cluster.cli("user", "key", "remove", first.access_key)
    assert _answer(cluster, first.access_key, first.secret_key) == "InvalidAccessKeyId"
    assert list(_keys(cluster, "rotating")) == [second[0]]


def test_chosen_keys_and_text(cluster: Cluster) -> None:
    cluster.user("choosing")
    arguments = ("--access-key", "CHOSEN-KEY", "--secret-key", "chosen-secret", "--expires", "2100-01-01")
    added = cluster.cli("user", "key", "add", "choosing", *arguments)
    assert "CHOSEN-KEY" in added.stdout
    assert "2100-01-01T00:00:00Z" in added.stdout
    assert "cannot be shown again" in added.stderr
    assert _answer(cluster, "CHOSEN-KEY", "chosen-secret") == ""
    listed = cluster.cli("user", "key", "list", "choosing").stdout
    assert "chosen-secret" not in listed
    assert any(
        line.split()[1:] == ["CHOSEN-KEY", "enabled", "2100-01-01T00:00:00Z"] for line in listed.splitlines()
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "nobody-here"), "there is no user"),
        (("list", "nobody-here"), "there is no user"),
        (("disable", "NOBODYS"), "there is no access key"),
        (("expire", "NOBODYS", "someday"), "is no time to expire at"),
        (("add", "nobody-here", "--secret-key", "short"), "a secret key has 8 to"),
        (("add", "nobody-here", "--access-key", "a/b"), "an access key has up to"),
    ],
)
def test_refusals_say_why(cluster: Cluster, arguments: tuple[str, ...], words: str) -> None:
    done = cluster.cli("user", "key", *arguments, check=False)
    assert done.returncode != 0
    assert words in done.stderr

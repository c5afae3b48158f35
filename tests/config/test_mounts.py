"""Mounts in the configuration, and the options that they share with the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from zerohop.config import MasterConfig, fields_of, format_value, load
from zerohop.errors import ConfigError, InvalidRequest
from zerohop.model import WritePolicy
from zerohop.mount_options import SECRET_OPTIONS, read_mount_options
from zerohop_worker.origins import options


def test_a_file_and_the_environment_say_the_same(tmp_path: Path) -> None:
    file = tmp_path / "zerohop.toml"
    file.write_text('[master.mounts.data]\nuri = "s3://b/p"\nmetadata_ttl = 5\nread_only = true\n')
    expected = (("data", (("uri", "s3://b/p"), ("metadata_ttl", "5"), ("read_only", "true"))),)
    assert load(MasterConfig, file=file).config.mounts == expected
    text = '{"data": {"uri": "s3://b/p", "metadata_ttl": 5, "read_only": true}}'
    assert load(MasterConfig, environ={"ZEROHOP_MASTER_MOUNTS": text}).config.mounts == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "table of mounts"),
        ("nonsense", "expected JSON"),
        ('{"data": {}}', "table with a uri"),
        ('{"data": {"uri": "s3://b", "x": []}}', "expected a text"),
        ('{"data": {"uri": "s3://b", "write_policy": "sometimes"}}', "one of through"),
        ('{"data": {"uri": "s3://b", "metadata_ttl": "soon"}}', "duration"),
    ],
)
def test_what_cannot_be_a_mount_is_told(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(MasterConfig, environ={"ZEROHOP_MASTER_MOUNTS": text})


def test_secrets_of_mounts_are_not_shown() -> None:
    field = fields_of(MasterConfig)["mounts"]
    value = (("data", (("uri", "s3://b"), ("secret_key", "hidden"))),)
    assert format_value(field.setting, value) == "data"


def test_options_are_told_apart() -> None:
    given = ["endpoint=http://h", "secret_key=s", "metadata_ttl=2m", "write_policy=must_cache", "quota=1GiB"]
    found = read_mount_options(given)
    assert (found.options, found.secrets) == ({"endpoint": "http://h"}, {"secret_key": "s"})
    assert (found.metadata_ttl_s, found.write_policy) == (120.0, WritePolicy.MUST_CACHE)
    assert found.quota_bytes == 1 << 30
    assert read_mount_options(["metadata_ttl=never"]).metadata_ttl_s == -1


@pytest.mark.parametrize("text", ["endpoint", "=x", "block_size=big", "read_only=perhaps"])
def test_an_option_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        read_mount_options([text])
    with pytest.raises(InvalidRequest, match="twice"):
        read_mount_options(["endpoint=a", "endpoint=b"])


def test_every_secret_of_an_origin_is_known_as_one() -> None:
    assert SECRET_OPTIONS == options.SECRET_OPTIONS

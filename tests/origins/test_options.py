"""URIs and options of mounts, and that no secret is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from zerohop.errors import InvalidRequest, OriginRefused
from zerohop_worker.origins.options import (
    AzureSettings,
    FolderSettings,
    GcsSettings,
    S3Settings,
    parse_settings,
)


def test_uris() -> None:
    s3 = parse_settings("s3://bucket/a/b", {}, {})
    assert isinstance(s3, S3Settings)
    assert (s3.bucket, s3.prefix) == ("bucket", "a/b/")
    whole = parse_settings("s3://bucket", {}, {})
    assert isinstance(whole, S3Settings)
    assert whole.prefix == ""
    assert isinstance(parse_settings("gs://bucket/x/", {}, {}), GcsSettings)
    assert isinstance(parse_settings("az://container", {"account": "me"}, {}), AzureSettings)
    assert parse_settings("file:///srv/data/", {}, {}) == FolderSettings(folder="/srv/data")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("ftp://host/x", "s3://"),
        ("bucket", "s3://"),
        ("s3:///key", "names no bucket"),
        ("s3://key:secret@bucket", "no credentials"),
        ("file://host/folder", "absolute path"),
        ("file:///a/../b", "'..'"),
        ("az://container", "account"),
    ],
)
def test_wrong_uris(uri: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as refused:
        parse_settings(uri, {}, {})
    assert "secret" not in refused.value.message


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"endpont": "x"}, "endpont.*access_key.*endpoint"),
        ({"endpoint": "host:9000"}, "http://"),
        ({"endpoint": "http://key:hidden@host"}, "no credentials"),
        ({"path_style": "maybe"}, "neither true nor false"),
        ({"max_connections": "0"}, "1 to 1024"),
        ({"read_timeout": "5x"}, "read_timeout"),
        ({"access_key": "hidden"}, "together"),
        ({"anonymous": "true", "access_key": "hidden", "secret_key": "hidden"}, "either anonymous"),
    ],
)
def test_wrong_options(options: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as refused:
        parse_settings("s3://bucket", options, {})
    assert "hidden" not in refused.value.message


def test_options_are_typed() -> None:
    options = {"endpoint": "http://host:9000", "path_style": "false", "read_timeout": "500ms", "region": "eu"}
    found = parse_settings("s3://bucket", options, {"access_key": "AKIA-shown", "secret_key": "hush"})
    assert isinstance(found, S3Settings)
    assert (found.path_style, found.read_timeout, found.region) == (False, 0.5, "eu")
    assert (found.access_key, found.secret_key) == ("AKIA-shown", "hush")
    assert "AKIA-shown" not in repr(found)
    assert "hush" not in repr(found)


def test_references_are_resolved_here(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-file\n")
    (tmp_path / "credentials").write_text(
        "[team]\naws_access_key_id = theirs\naws_secret_access_key = hidden\n[half]\naws_access_key_id = x\n"
    )
    environment = {"KEY": "from-env", "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}

    def found(access: str, secret: str) -> tuple[str, str]:
        given = {"access_key": access, "secret_key": secret}
        parsed = parse_settings("s3://bucket", {}, given, environment)
        assert isinstance(parsed, S3Settings)
        return parsed.access_key, parsed.secret_key

    assert found("env:KEY", f"file:{tmp_path}/key") == ("from-env", "from-file")
    assert found("profile:team", "profile:team") == ("theirs", "hidden")
    for wrong, said in (
        ("env:NONE", "no variable NONE"),
        (f"file:{tmp_path}/none", "No such file"),
        ("profile:none", "no profile none"),
        ("profile:half", "has no aws_secret_access_key"),
    ):
        with pytest.raises(OriginRefused, match=said):
            found("env:KEY", wrong)

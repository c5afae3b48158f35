"""`zerohop fs mount`, `unmount` and `sync`: what succeeds, and how what is wrong is told."""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path

import boto3
import pytest
from tests.support.cluster import Cluster, User
from tests.support.origin_servers import moto_server

_SECRETS = "wrong-and-secret"


@pytest.fixture
def name() -> str:
    return f"mount-{random.randbytes(4).hex()}"


@pytest.fixture(scope="module")
def user(cluster: Cluster) -> User:
    return cluster.user("cli-mounts")


@pytest.fixture(scope="module")
def origin(cluster: Cluster, user: User) -> str:
    """A bucket of the cluster's own S3, which checks signatures: an origin like another."""
    client = boto3.client(
        "s3",
        endpoint_url=cluster.endpoint,
        aws_access_key_id=user.access_key,
        aws_secret_access_key=user.secret_key,
        region_name="us-east-1",
    )
    bucket = f"origin-{random.randbytes(4).hex()}"
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="pre/file", Body=b"hello")
    client.close()
    return bucket


def options(cluster: Cluster, user: User, **changes: str) -> list[str]:
    given = {
        "endpoint": cluster.endpoint,
        "path_style": "true",
        "region": "us-east-1",
        "access_key": user.access_key,
        "secret_key": user.secret_key,
        **changes,
    }
    return [f"--option={name}={value}" for name, value in given.items()]


def refused(cluster: Cluster, *arguments: str) -> str:
    """Standard error of a command that fails: one line, without a traceback."""
    done = cluster.cli("fs", *arguments, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr


def test_mount_read_and_unmount(cluster: Cluster, user: User, origin: str, name: str) -> None:
    given = options(cluster, user, metadata_ttl="5m", write_policy="through")
    cluster.cli("fs", "mount", f"s3://{origin}/pre", f"/{name}", *given, "--read-only")
    assert cluster.cli("fs", "cat", f"/{name}/file").stdout == "hello"
    shown = cluster.cli("fs", "mount").stdout
    (line,) = [line for line in shown.splitlines() if line.startswith(f"/{name} ")]
    assert f"s3://{origin}/pre" in line
    assert "ro,through,ttl=300s" in line
    assert "secret_key=***" in line
    listed = [json.loads(line) for line in cluster.cli("fs", "mount", "--json").stdout.splitlines()]
    (facts,) = [one for one in listed if one["path"] == f"/{name}"]
    assert facts["secret_options"] == ["access_key", "secret_key"]
    assert (facts["read_only"], facts["metadata_ttl_s"]) == (True, 300.0)
    assert user.secret_key not in shown + json.dumps(listed)
    cluster.cli("fs", "sync", f"/{name}")
    cluster.cli("fs", "unmount", f"/{name}")
    assert f"/{name} " not in cluster.cli("fs", "mount").stdout
    refused(cluster, "cat", f"/{name}/file")


def test_secrets_by_reference(cluster: Cluster, user: User, origin: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(user.secret_key + "\n")
    given = options(cluster, user, secret_key=f"file:{tmp_path}/secret")
    cluster.cli("fs", "mount", f"s3://{origin}/pre", f"/{name}", *given)
    assert cluster.cli("fs", "cat", f"/{name}/file").stdout == "hello"
    cluster.cli("fs", "unmount", f"/{name}")
    given = options(cluster, user, secret_key="file:/does/not/exist")
    assert "/does/not/exist" in refused(cluster, "mount", f"s3://{origin}", f"/{name}", *given)
    given = options(cluster, user, secret_key="env:NOT_SET_ANYWHERE")
    assert "NOT_SET_ANYWHERE" in refused(cluster, "mount", f"s3://{origin}", f"/{name}", *given)


def _unused_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.mark.parametrize(
    ("uri", "changes", "told"),
    [
        ("s3://{origin}", {"endpoint": "http://127.0.0.1:{port}"}, ["127.0.0.1:{port}"]),
        ("s3://{origin}", {"endpoint": "http://no-such-host.invalid"}, ["no-such-host.invalid"]),
        ("s3://{origin}", {"secret_key": _SECRETS}, ["SignatureDoesNotMatch"]),
        ("s3://{origin}", {"access_key": _SECRETS}, ["InvalidAccessKeyId"]),
        ("s3://missing-{origin}", {}, ["missing-{origin}", "no such bucket"]),
        ("s3://{origin}", {"endpiont": "x"}, ["endpiont", "endpoint"]),
        ("s3://{origin}", {"write_policy": "never"}, ["write_policy", "cache_through"]),
        ("s3://{origin}", {"metadata_ttl": "soon"}, ["metadata_ttl"]),
        ("s3://{origin}", {"block_size": "5MB"}, ["block size"]),
        ("ftp://{origin}", {}, ["ftp", "s3"]),
        ("file:///does/not/exist", None, ["/does/not/exist"]),
        ("file://relative/folder", None, ["relative"]),
    ],
)
def test_what_is_wrong_is_told(
    cluster: Cluster,
    user: User,
    origin: str,
    name: str,
    uri: str,
    changes: dict[str, str] | None,
    told: list[str],
) -> None:
    port = _unused_port()
    known = {"origin": origin, "port": port}
    filled = {option: value.format(**known) for option, value in (changes or {}).items()}
    given = [] if changes is None else options(cluster, user, **filled)
    said = refused(cluster, "mount", uri.format(**known), f"/{name}", *given)
    for text in told:
        assert text.format(**known) in said, said
    assert user.secret_key not in said
    assert _SECRETS not in said
    assert f"/{name} " not in cluster.cli("fs", "mount").stdout
    assert _SECRETS not in cluster.log


def test_bad_places(cluster: Cluster, user: User, origin: str, name: str, tmp_path: Path) -> None:
    uri = f"file://{tmp_path}"
    assert origin in refused(cluster, "mount", uri, f"/{origin}")
    assert "/" in refused(cluster, "mount", uri, f"/{name}/deeper")
    assert "UPPER" in refused(cluster, "mount", uri, "/UPPER")
    assert "NAME=VALUE" in refused(cluster, "mount", uri, f"/{name}", "--option=nonsense")
    assert "twice" in refused(
        cluster, "mount", uri, f"/{name}", "--option=metadata_ttl=1", "--option=metadata_ttl=2"
    )
    assert origin in refused(cluster, "unmount", f"/{origin}")  # no mount
    assert name in refused(cluster, "unmount", f"/{name}")


def test_unmount_with_writes_that_the_origin_does_not_have(
    cluster: Cluster, name: str, tmp_path: Path
) -> None:
    folder = tmp_path / "origin"
    folder.mkdir()
    cluster.cli("fs", "mount", f"file://{folder}", f"/{name}", "--option=write_policy=must_cache")
    cluster.cli("fs", "cp", "-", f"/{name}/file", stdin="only here")
    assert not (folder / "file").exists()
    said = refused(cluster, "unmount", f"/{name}")
    assert "does not have yet" in said
    assert cluster.cli("fs", "cat", f"/{name}/file").stdout == "only here"
    cluster.cli("fs", "unmount", f"/{name}", "--discard-local")
    assert f"/{name} " not in cluster.cli("fs", "mount").stdout
    assert not (folder / "file").exists()


def test_keys_that_a_folder_cannot_hold(cluster: Cluster, name: str, tmp_path: Path) -> None:
    folder = tmp_path / "origin"
    folder.mkdir()
    cluster.cli("fs", "mount", f"file://{folder}", f"/{name}")
    cluster.cli("fs", "cp", "-", f"/{name}/a", stdin="a file")
    said = refused(cluster, "cp", "-", f"/{name}/a/b")
    assert "a/b" in said
    assert (folder / "a").read_text() == "a file"
    cluster.cli("fs", "unmount", f"/{name}")


def test_the_clusters_own_folders_are_nobodys_objects(cluster: Cluster, name: str) -> None:
    """Else whoever may write there could overwrite what others were told is durable."""
    (cluster.data.parent / "link").symlink_to(cluster.data)
    for folder in (
        cluster.data,
        cluster.data / "store",
        cluster.data.parent,
        cluster.data.parent / "link",
        "/",
    ):
        assert "keeps its own data" in refused(cluster, "mount", f"file://{folder}", f"/{name}")


def test_remount_after_credentials_were_rotated(
    cluster: Cluster, user: User, origin: str, name: str, tmp_path: Path
) -> None:
    """What was read before stays cached, and what cannot be opened changes nothing."""
    secret = tmp_path / "secret"
    secret.write_text(user.secret_key)
    given = options(cluster, user, secret_key=f"file:{secret}", metadata_ttl="1h")
    cluster.cli("fs", "mount", f"s3://{origin}/pre", f"/{name}", *given)
    assert cluster.cli("fs", "cat", f"/{name}/file").stdout == "hello"

    added = json.loads(cluster.cli("user", "key", "add", user.name, "--json").stdout)
    secret.write_text(added["secret_key"])
    said = refused(cluster, "remount", f"/{name}")  # the new secret, and still the old access key
    assert "SignatureDoesNotMatch" in said
    assert "hello" in cluster.cli("fs", "cat", f"/{name}/file").stdout

    shown = cluster.cli(
        "fs",
        "remount",
        f"/{name}",
        f"--option=access_key={added['access_key']}",
        "--option=quota=64MiB",
        "--option=metadata_ttl=0",
        "--option=read_only=true",
    ).stdout
    assert "ro,cache_through,ttl=0s,quota=64MiB" in shown
    assert "secret_key=***" in shown
    assert cluster.cli("fs", "cat", f"/{name}/file").stdout == "hello"
    refused(cluster, "touch", f"/{name}/new")
    assert (
        "ro,cache_through,ttl=never"
        in cluster.cli("fs", "remount", f"/{name}", "--option=metadata_ttl=-1").stdout
    )
    assert "block size" in refused(cluster, "remount", f"/{name}", "--option=block_size=1MiB")
    assert "no option 'acces_key'" in refused(cluster, "remount", f"/{name}", "--option=acces_key=x")
    assert "no mount" in refused(cluster, "remount", f"/{origin}")
    cluster.cli("fs", "unmount", f"/{name}")
    cluster.cli("user", "key", "remove", added["access_key"])


def test_what_is_not_there_is_not_loaded(cluster: Cluster, user: User, origin: str, name: str) -> None:
    """A path that was mistyped is told from a folder with nothing to do; a rule may come before what it is for."""
    cluster.cli("fs", "mount", f"s3://{origin}/pre", f"/{name}", *options(cluster, user))
    for command in (("load", "-R"), ("load",), ("free", "-R"), ("persist",)):
        done = cluster.cli("fs", *command, f"/{name}/fiel", check=False)
        assert (done.returncode, "does not exist" in done.stderr) == (3, True)
    assert cluster.cli("fs", "pin", "-R", f"/{name}/later").stdout == "pin done: 0 objects\n"
    assert cluster.cli("fs", "load", f"/{name}/file").stdout == "load done: 1 object, 5B\n"
    cluster.cli("fs", "unmount", f"/{name}")


def test_what_is_known_while_the_origin_is_down(cluster: Cluster, user: User, name: str) -> None:
    with moto_server() as port:
        given = options(cluster, user, endpoint=f"http://127.0.0.1:{port}", write_policy="must_cache")
        s3 = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id="any",
            aws_secret_access_key="any",
            region_name="us-east-1",
        )
        s3.create_bucket(Bucket=name)
        for key in ("dir/read", "dir/deep/read", "dir/unread"):
            s3.put_object(Bucket=name, Key=key, Body=b"hello")
        s3.close()
        more = ["--option=max_attempts=1", "--option=metadata_ttl=0"]
        cluster.cli("fs", "mount", f"s3://{name}", f"/{name}", *given, *more)
        for key in ("dir/read", "dir/deep/read"):
            cluster.cli("fs", "cat", f"/{name}/{key}")
        cluster.cli("fs", "cp", "-", f"/{name}/dir/local", stdin="only here")

    def known(*arguments: str) -> dict[str, dict[str, object]]:
        done = cluster.cli("fs", "ls", "--json", *arguments, check=False)
        assert done.returncode == 7, done.stderr
        assert done.stderr.count(f"warning: the origin of /{name} cannot be asked") == 1
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        return {str(row["path"]).removeprefix(f"/{name}/"): row for row in rows}

    assert "quota=1MiB" in cluster.cli("fs", "remount", f"/{name}", "--option=quota=1MiB").stdout
    refused(cluster, "remount", f"/{name}")  # the origin has to be opened
    rows = known("-R", f"/{name}")
    assert list(rows) == ["dir/deep/read", "dir/local", "dir/read"]
    assert [row["persisted"] for row in rows.values()] == [True, False, True]
    assert [row["cached_bytes"] for row in rows.values()] == [5, 9, 5]
    assert list(known(f"/{name}")) == ["dir/"]
    assert list(known(f"/{name}/dir")) == ["dir/deep/", "dir/local", "dir/read"]
    assert list(known(f"/{name}/dir/local")) == ["dir/local"]
    assert list(known(f"/{name}/dir/read", f"/{name}/dir/deep")) == ["dir/read", "dir/deep/read"]
    assert "does not exist" in refused(cluster, "ls", f"/{name}/dir/unread")

    for command in (["pin"], ["unpin"], ["set-ttl"], ["free"]):
        ttl = ["1h"] if command == ["set-ttl"] else []
        done = cluster.cli("fs", *command, "-R", f"/{name}/dir", *ttl)
        assert "cannot be asked" in done.stderr
        assert "done: 3 objects" in done.stdout
    assert [row["cached_bytes"] for row in known("-R", f"/{name}").values()] == [0, 9, 0]
    assert "add -R" in refused(cluster, "free", f"/{name}/dir")
    refused(cluster, "load", "-R", f"/{name}/dir")

    job = cluster.cli("fs", "persist", "--detach", "-R", f"/{name}/dir").stdout.strip()
    cluster.cli("admin", "jobs", "cancel", job)
    cluster.cli("fs", "unmount", f"/{name}", "--discard-local")

"""The client commands against a real cluster, as a script would use them."""

from __future__ import annotations

import array
import fcntl
import hashlib
import json
import os
import re
import signal
import subprocess
import termios
from pathlib import Path

import pytest
from tests.support.cluster import Cluster


def names(listing: str) -> list[str]:
    return [line.split()[-1] for line in listing.splitlines()]


@pytest.fixture
def bucket(cluster: Cluster, request: pytest.FixtureRequest) -> str:
    path = "/cli-" + re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:50].strip("-")
    cluster.cli("fs", "mkdir", path)
    return path


def test_file_goes_up_and_comes_back(cluster: Cluster, bucket: str, tmp_path: Path) -> None:
    data = os.urandom(9_000_000)
    (tmp_path / "up.bin").write_bytes(data)
    cluster.cli("fs", "cp", "./up.bin", f"{bucket}/d/", cwd=tmp_path)
    cluster.cli("fs", "cp", f"{bucket}/d/up.bin", f"file:{tmp_path}/down.bin")
    assert (tmp_path / "down.bin").read_bytes() == data
    facts = json.loads(cluster.cli("fs", "stat", "--json", f"{bucket}/d/up.bin").stdout)
    assert (facts["type"], facts["size_bytes"], facts["persisted"]) == ("object", len(data), True)
    sums = json.loads(cluster.cli("fs", "checksum", "--json", f"{bucket}/d/up.bin").stdout)
    assert sums["md5"] == hashlib.md5(data).hexdigest()
    where = json.loads(cluster.cli("fs", "location", "--json", f"{bucket}/d/up.bin").stdout)
    assert [worker["cached_bytes"] for worker in where["workers"]] == [len(data)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["down.bin", "up.bin"]


def test_small_text_through_pipes(cluster: Cluster, bucket: str) -> None:
    cluster.cli("fs", "cp", "-", f"{bucket}/t", stdin="0123456789")
    assert cluster.cli("fs", "cat", f"{bucket}/t", f"{bucket}/t").stdout == "0123456789" * 2
    assert cluster.cli("fs", "head", "-c", "3", f"{bucket}/t").stdout == "012"
    assert cluster.cli("fs", "tail", "-c", "3", f"{bucket}/t").stdout == "789"
    assert cluster.cli("fs", "tail", f"{bucket}/t").stdout == "0123456789"
    assert cluster.cli("fs", "cp", f"{bucket}/t", "-").stdout == "0123456789"


def test_cat_into_a_closed_pipe_ends_quietly(cluster: Cluster, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(5_000_000))
    cluster.cli("fs", "cp", "./big", bucket, cwd=tmp_path)
    command = [cluster.python, "-m", "zerohop.cli", "fs", "cat", f"{bucket}/big", "--data", str(cluster.data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == ""


def test_interrupt_while_waiting_for_input_ends_at_once_and_leaves_nothing(
    cluster: Cluster, bucket: str
) -> None:
    command = [
        cluster.python,
        "-m",
        "zerohop.cli",
        "fs",
        "cp",
        "-",
        f"{bucket}/x",
        "--data",
        str(cluster.data),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        process.stdin.write("begun")
        process.stdin.flush()
        # It has read what was written: it is connected, and waits for more.
        while _unread_bytes(process.stdin.fileno()):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert cluster.cli("fs", "test", "-e", f"{bucket}/x", check=False).returncode == 1


def _unread_bytes(fd: int) -> int:
    waiting = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, waiting)
    return waiting[0]


def test_folders(cluster: Cluster, bucket: str) -> None:
    for key in ("a", "d/x", "d/e/y"):
        cluster.cli("fs", "touch", f"{bucket}/{key}")
    cluster.cli("fs", "mkdir", f"{bucket}/empty")
    assert names(cluster.cli("fs", "ls", bucket).stdout) == [f"{bucket}/{n}" for n in ("a", "d/", "empty/")]
    assert names(cluster.cli("fs", "ls", f"{bucket}/d").stdout) == [f"{bucket}/d/{n}" for n in ("e/", "x")]
    everything = names(cluster.cli("fs", "ls", "-R", bucket).stdout)
    assert everything == [f"{bucket}/{name}" for name in ("a", "d/e/y", "d/x", "empty/")]
    assert f"{bucket}" in names(cluster.cli("fs", "ls", "/").stdout)
    answers = {"-e": 0, "-d": 0, "-f": 1, "-z": 1, "-s": 1}
    for question, answer in answers.items():
        assert cluster.cli("fs", "test", question, f"{bucket}/d", check=False).returncode == answer
    assert cluster.cli("fs", "test", "-z", f"{bucket}/a", check=False).returncode == 0
    assert json.loads(cluster.cli("fs", "du", "--json", bucket).stdout)["objects"] == 4


def test_moves(cluster: Cluster, bucket: str) -> None:
    cluster.cli("fs", "cp", "-", f"{bucket}/d/x", stdin="one")
    cluster.cli("fs", "cp", "-", f"{bucket}/d/e/y", stdin="two")
    said = cluster.cli("fs", "mv", f"{bucket}/d", f"{bucket}/new").stderr
    assert "not atomic" in said
    assert names(cluster.cli("fs", "ls", "-R", bucket).stdout) == [f"{bucket}/new/e/y", f"{bucket}/new/x"]
    cluster.cli("fs", "mv", f"{bucket}/new/x", f"{bucket}/new/e/")
    assert cluster.cli("fs", "cat", f"{bucket}/new/e/x").stdout == "one"
    refused = cluster.cli("fs", "mv", "-n", f"{bucket}/new/e/x", f"{bucket}/new/e/y", check=False)
    assert refused.returncode == 6
    cluster.cli("fs", "mv", f"{bucket}/new/e/x", f"{bucket}/new/e/y")
    assert cluster.cli("fs", "cat", f"{bucket}/new/e/y").stdout == "one"
    into_itself = cluster.cli("fs", "mv", f"{bucket}/new", f"{bucket}/new/e", check=False)
    assert (into_itself.returncode, "into itself" in into_itself.stderr) == (2, True)


def test_recursive_copies_both_ways(cluster: Cluster, bucket: str, tmp_path: Path) -> None:
    source = tmp_path / "tree"
    (source / "d" / "empty").mkdir(parents=True)
    contents = {f"d/{number}.txt": os.urandom(number * 700) for number in range(20)} | {"top": b"t"}
    for name, data in contents.items():
        (source / name).write_bytes(data)
    cluster.cli("fs", "cp", "-R", "./tree", bucket, cwd=tmp_path)
    cluster.cli("fs", "cp", "-R", f"{bucket}/tree", f"{bucket}/copy")
    cluster.cli("fs", "cp", "-R", f"{bucket}/copy", f"file:{tmp_path}/back")
    assert {name: (tmp_path / "back" / name).read_bytes() for name in contents} == contents
    assert (tmp_path / "back" / "d" / "empty").is_dir()


def test_key_that_is_no_file_name_is_reported_and_the_rest_copied(
    cluster: Cluster, bucket: str, tmp_path: Path
) -> None:
    cluster.cli("fs", "cp", "-", f"{bucket}/d/../../evil", stdin="x")
    cluster.cli("fs", "cp", "-", f"{bucket}/d/good", stdin="y")
    done = cluster.cli("fs", "cp", "-R", f"{bucket}/d", f"file:{tmp_path}/out/in", check=False)
    assert done.returncode == 2
    assert "evil" in done.stderr
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["good"]


def test_removal(cluster: Cluster, bucket: str) -> None:
    for key in ("d/x", "d/y", "z"):
        cluster.cli("fs", "touch", f"{bucket}/{key}")
    refused = cluster.cli("fs", "rm", f"{bucket}/d", check=False)
    assert (refused.returncode, "-R" in refused.stderr) == (2, True)
    assert cluster.cli("fs", "rm", bucket, check=False).returncode == 6
    assert "not atomic" in cluster.cli("fs", "rm", "-R", f"{bucket}/d").stderr
    assert names(cluster.cli("fs", "ls", "-R", bucket).stdout) == [f"{bucket}/z"]
    cluster.cli("fs", "rm", "-R", bucket)
    assert cluster.cli("fs", "test", "-e", bucket, check=False).returncode == 1


def test_touch_keeps_the_bytes_and_moves_the_time(cluster: Cluster, bucket: str) -> None:
    cluster.cli("fs", "cp", "-", f"{bucket}/x", stdin="kept")
    before = json.loads(cluster.cli("fs", "stat", "--json", f"{bucket}/x").stdout)
    cluster.cli("fs", "touch", f"{bucket}/x")
    after = json.loads(cluster.cli("fs", "stat", "--json", f"{bucket}/x").stdout)
    assert after["modified_ms"] > before["modified_ms"]
    assert cluster.cli("fs", "cat", f"{bucket}/x").stdout == "kept"


@pytest.mark.parametrize(
    "arguments, status, said",
    [
        (("fs", "cat", "/no-such-bucket/x"), 3, "no-such-bucket"),
        (("fs", "ls", "/no-such-bucket"), 3, "no-such-bucket"),
        (("fs", "cp", "x", "/no-such-bucket/x"), 2, "./x"),
        (("fs", "cp", "./no-such-file", "/b/x"), 3, "does not exist"),
        (("fs", "rm", "-R", "/"), 2, "every bucket"),
        (("fs", "mkdir", "/UPPER"), 2, ""),
        (("user", "remove", "nobody"), 3, "nobody"),
        (("user", "add", "x", "--access-key", "a/b"), 2, "access key"),
        (("fs", "ls", "--master", "unix:/nowhere/master.sock", "/"), 5, "zerohop up"),
        (("fs", "ls", "--data", "/nowhere", "/"), 5, "zerohop up"),
    ],
)
def test_errors_say_what_to_do(cluster: Cluster, arguments: tuple[str, ...], status: int, said: str) -> None:
    done = cluster.cli(*arguments, check=False)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_users_are_as_given_or_made_up(cluster: Cluster) -> None:
    given = {
        "--access-key": "AKIDCLI",
        "--secret-key": "very-secret",
        "--display-name": "C. L. I.",
        "--email": "cli@example.com",
        "--canonical-id": "c" * 64,
    }
    options = [word for pair in given.items() for word in pair]
    made = json.loads(cluster.cli("user", "add", "cli-given", *options, "--json").stdout)
    assert [made[name.removeprefix("--").replace("-", "_")] for name in given] == list(given.values())
    plain = cluster.cli("user", "add", "cli-plain").stdout
    assert re.search(r"secret_key +\S{40}", plain)
    listed = cluster.cli("user", "list", "--json").stdout
    users = {user["name"]: user for user in map(json.loads, listed.splitlines())}
    assert users["cli-given"]["access_keys"] == ["AKIDCLI"]
    assert "very-secret" not in listed
    assert cluster.cli("user", "add", "cli-given", check=False).returncode == 6
    for name in ("cli-given", "cli-plain"):
        cluster.cli("user", "remove", name)


def test_report(cluster: Cluster) -> None:
    facts = json.loads(cluster.cli("admin", "report", "--json").stdout)
    (worker,) = facts["workers"]
    assert worker["live"]
    assert {tier["name"] for tier in worker["tiers"]} == {"MEM", "SSD"}
    assert len(facts["proxies"]) == 2
    text = cluster.cli("admin", "report").stdout
    assert "1 live, 0 lost" in text
    assert worker["id"] in text

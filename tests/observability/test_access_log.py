"""The access log: one line a request, whatever the request is made of."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.cluster import Cluster

from zerohop.errors import ConfigError
from zerohop_proxy.access_log import AccessLog, AccessRecord

_RECORD = AccessRecord(
    time_s=1_700_000_000.5,
    request="0123456789ABCDEF",
    remote="127.0.0.1",
    operation="GetObject",
    bucket="bucket",
    key="key",
    status=200,
    error="",
    bytes_in=0,
    bytes_out=4096,
    first_byte_s=0.001,
    total_s=0.0015,
    source="MEM",
    user="anonymous",
)


@given(st.text(), st.text())
def test_no_key_can_forge_a_field_or_a_line(key: str, bucket: str) -> None:
    record = _RECORD._replace(key=key, bucket=bucket)
    text = record.line("text")
    assert text.splitlines() == [text.rstrip("\n")]
    assert text.isascii()
    pairs = [pair.partition("=") for pair in text.split()[1:]]
    assert [name for name, _, _ in pairs] == list(_RECORD.facts())
    found = {name: value for name, _, value in pairs}
    if key and not any("\ud800" <= letter <= "\udfff" for letter in key):
        assert unquote(found["key"]) == key

    line = record.line("json")
    assert line.splitlines() == [line.rstrip("\n")]
    assert line.isascii()
    assert json.loads(line)["key"] == key


def test_the_forms() -> None:
    assert _RECORD._replace(key="a b\n").line("text") == (
        "2023-11-14T22:13:20.500Z request=0123456789ABCDEF remote=127.0.0.1 operation=GetObject bucket=bucket "
        "key=a%20b%0A status=200 error=- bytes_in=0 bytes_out=4096 first_byte_ms=1.0 total_ms=1.5 source=MEM "
        "user=anonymous\n"
    )
    assert json.loads(_RECORD.line("json"))["time"] == "2023-11-14T22:13:20.500Z"


def test_a_file_that_was_moved_away_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = AccessLog("text", str(path))
    log.write(_RECORD._replace(key="first"))
    path.rename(tmp_path / "access.log.1")
    log.write(_RECORD._replace(key="within-a-second", time_s=_RECORD.time_s + 0.5))
    log.write(_RECORD._replace(key="later", time_s=_RECORD.time_s + 2))
    log.close()
    assert re.findall(r"key=(\S+)", (tmp_path / "access.log.1").read_text()) == ["first", "within-a-second"]
    assert re.findall(r"key=(\S+)", path.read_text()) == ["later"]


def test_a_log_that_cannot_be_written_costs_no_request(caplog: pytest.LogCaptureFixture) -> None:
    log = AccessLog("text", "/dev/full")
    for _ in range(3):
        log.write(_RECORD)
    log.close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    with pytest.raises(ConfigError):
        AccessLog("text", "/nowhere/access.log")


def test_a_cluster_writes_a_line_for_each_request(
    cluster_factory: Callable[..., Cluster], tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    cluster = cluster_factory(
        env={
            "ZEROHOP_PROXY_ACCESS_LOG": "true",
            "ZEROHOP_PROXY_ACCESS_LOG_FORMAT": "json",
            "ZEROHOP_PROXY_ACCESS_LOG_FILE": str(path),
            "ZEROHOP_PROXY_SLOW_REQUEST_S": "0.000001",
        }
    )
    key = 'odd " key\nrequest=forged'
    url = f"{cluster.endpoint}/logged"
    _curl(url, "-X", "PUT")
    _curl(f"{url}/{quote(key)}", "-X", "PUT", "-d", "x" * 1000)
    head = _curl(f"{url}/{quote(key)}", "-D", "-", "-o", "/dev/null", "-H", "x-amz-meta-secret: s3cret")
    signed = (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=NOBODY%2F20260101%2Fus-east-1%2Fs3%2Faws4_request"
    )
    _curl(f"{url}/{quote(key)}?{signed}&X-Amz-Signature=s3cret&X-Amz-Date=20260101T000000Z")
    _curl(f"{url}/nothing")
    _curl(f"{url}/x", "-X", "BAD METHOD")

    text = path.read_text()
    assert "s3cret" not in text
    assert "s3cret" not in cluster.log
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["operation"], line["status"]) for line in lines][:3] == [
        ("CreateBucket", 200),
        ("PutObject", 200),
        ("GetObject", 200),
    ]
    put, got = lines[1:3]
    assert (put["key"], put["bucket"], put["bytes_in"], put["bytes_out"]) == (key, "logged", 1000, 0)
    assert (got["bytes_out"], got["source"], got["user"], got["remote"]) == (
        1000,
        "INLINE",
        "anonymous",
        "127.0.0.1",
    )
    assert got["request"] in head
    assert 0 < got["first_byte_ms"] <= got["total_ms"]
    assert lines[3]["status"] >= 400
    assert lines[3]["error"]
    assert (lines[4]["status"], lines[4]["error"]) == (404, "NoSuchKey")
    assert (lines[5]["operation"], lines[5]["status"]) == ("Unknown", 400)
    assert len(lines) == 6

    slow = [line for line in cluster.log.splitlines() if "slow request" in line]
    assert len(slow) == 5  # the one that could not be parsed took no time
    assert "key=odd%20%22%20key%0Arequest%3Dforged" in slow[1]


def _curl(url: str, *arguments: str) -> str:
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "30", *arguments, url], capture_output=True, text=True, check=True
    )
    return done.stdout

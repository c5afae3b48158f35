"""Disks that are really full, folders that are really gone: what a client of the whole cluster sees."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest
from tests.support.cluster import Cluster

_SIZE = 3_000_000
_SMALL_DISK_BYTES = 16 << 20
_PATIENCE_S = 30.0
_BEHIND_A_SMALL_DISK = """#!/bin/sh
exec unshare --mount{user} sh -c 'mount -t tmpfs -o size={size},mode=700 none {disk} && exec "$0" "$@"' {python} "$@"
"""


class _Client:
    """Plain unsigned requests."""

    def __init__(self, cluster: Cluster) -> None:
        self._port = cluster.port

    def __call__(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        http = HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE_S)
        try:
            http.request(method, path, body)
            answer = http.getresponse()
            return answer.status, answer.read()
        finally:
            http.close()

    def put(self, name: str, body: bytes) -> tuple[int, bytes]:
        return self("PUT", f"/disks/{name}", body)

    def get(self, name: str) -> tuple[int, bytes]:
        return self("GET", f"/disks/{name}")


def _body(number: int) -> bytes:
    return bytes([number]) * _SIZE


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A folder where a cluster started behind the script `python` finds a disk of 16 MiB, and nobody else does."""
    folder = tmp_path / "disk"
    folder.mkdir()
    script = tmp_path / "python"
    user = "" if os.getuid() == 0 else " --user --map-root-user"
    script.write_text(
        _BEHIND_A_SMALL_DISK.format(user=user, size=_SMALL_DISK_BYTES, disk=folder, python=sys.executable)
    )
    script.chmod(0o700)
    return folder


def _started(disk: Path, **env: str) -> Cluster:
    folder = disk.parent / "cluster"
    folder.mkdir()
    cluster = Cluster(folder, proxies=1, env=env)
    cluster.python = str(disk.parent / "python")
    cluster.start()
    return cluster


def test_a_full_under_store_refuses_large_objects_and_serves_the_rest(disk: Path) -> None:
    cluster = _started(
        disk,
        ZEROHOP_WORKER_UNDER_STORE=str(disk / "store"),
        ZEROHOP_MASTER_GRACE_S="100ms",
        ZEROHOP_MASTER_SWEEP_INTERVAL_S="100ms",
    )
    try:
        client = _Client(cluster)
        client("PUT", "/disks")
        stored = []
        for number in range(10):
            status, answer = client.put(str(number), _body(number))
            if status != 200:
                assert status == 503, answer
                assert b"<Code>ServiceUnavailable</Code>" in answer
                assert b"no space is left" in answer
                break
            stored.append(number)
        assert 3 <= len(stored) < 10
        assert client.get(str(len(stored)))[0] == 404
        for number in stored:
            assert client.get(str(number)) == (200, _body(number))
        assert client.put("small", b"x")[0] == 200
        assert client("DELETE", f"/disks/{stored[0]}")[0] == 204
        deadline = time.monotonic() + _PATIENCE_S
        while client.put("again", _body(99))[0] != 200:
            assert time.monotonic() < deadline, "the room of a deleted object does not come back"
        cluster.stop()
    finally:
        cluster.kill_whatever_is_left()


@pytest.mark.parametrize("tier", ["MEM", "SSD"])
def test_a_full_disk_below_a_tier_fails_no_request(disk: Path, tier: str) -> None:
    other = {"MEM": "SSD", "SSD": "MEM"}[tier]
    cluster = _started(
        disk,
        **{
            f"ZEROHOP_WORKER_{tier}_DIR": str(disk / "tier"),
            f"ZEROHOP_WORKER_{tier}_QUOTA": "1GiB",
            f"ZEROHOP_WORKER_{other}_QUOTA": "0",
        },
    )
    try:
        client = _Client(cluster)
        client("PUT", "/disks")
        for number in range(10):
            assert client.put(str(number), _body(number))[0] == 200
        for number in range(10):
            assert client.get(str(number)) == (200, _body(number))
        cluster.stop()
    finally:
        cluster.kill_whatever_is_left()


def test_a_cache_that_was_deleted_by_hand_comes_back(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, proxies=1, env={"ZEROHOP_WORKER_MEM_QUOTA": "0"})
    try:
        cluster.start()
        client = _Client(cluster)
        client("PUT", "/disks")
        assert client.put("before", _body(1))[0] == 200
        (folder,) = (path.parent for path in cluster.data.glob("**/blocks"))
        shutil.rmtree(folder)
        assert client.get("before") == (200, _body(1))
        assert client.put("after", _body(2))[0] == 200
        assert client.get("after") == (200, _body(2))
        deadline = time.monotonic() + _PATIENCE_S
        while not any(path.is_file() for path in folder.glob("blocks/*/*")):
            assert time.monotonic() < deadline, "nothing is cached any more"
            assert client.get("after") == (200, _body(2))
        cluster.stop()
    finally:
        cluster.kill_whatever_is_left()


def test_an_under_store_that_is_not_mounted_has_lost_nothing(tmp_path: Path) -> None:
    cluster = Cluster(
        tmp_path, proxies=1, env={"ZEROHOP_WORKER_MEM_QUOTA": "0", "ZEROHOP_WORKER_SSD_QUOTA": "0"}
    )
    try:
        cluster.start()
        client = _Client(cluster)
        client("PUT", "/disks")
        assert client.put("object", _body(1))[0] == 200
        (stamp,) = cluster.data.glob("**/store-id")
        stamp.parent.rename(tmp_path / "elsewhere")
        status, answer = client.get("object")
        assert (status, bool(re.search(b"<Code>ServiceUnavailable</Code>", answer))) == (503, True)
        assert client.put("other", _body(2))[0] == 503
        assert client.put("small", b"x")[0] == 200
        (tmp_path / "elsewhere").rename(stamp.parent)
        assert client.get("object") == (200, _body(1))
        assert client.put("other", _body(2))[0] == 200
        cluster.stop()
    finally:
        cluster.kill_whatever_is_left()


def test_blocks_that_cannot_be_read_are_read_from_the_store(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, proxies=1, env={"ZEROHOP_WORKER_MEM_QUOTA": "0"})
    try:
        cluster.start()
        client = _Client(cluster)
        client("PUT", "/disks")
        assert client.put("object", _body(1))[0] == 200
        cluster.restart()  # so that no process has the block open
        for path in cluster.data.glob("**/blocks/*/*"):
            path.unlink()
            path.symlink_to("/dev/null")  # root may read anything else
        assert _Client(cluster).get("object") == (200, _body(1))
        cluster.stop()
    finally:
        cluster.kill_whatever_is_left()

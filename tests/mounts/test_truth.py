"""What changes at the origin behind our back, is seen when it has to be, and never mixed with what was."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    IncompleteReadError,
    ResponseStreamingError,
)
from tests.mounts.mounted import BLOCK_BYTES, PREFIX, Mounted, Site, noise, source, status_of
from tests.mounts.remote import Remote, eventually

Mount = Callable[..., Mounted]

BROKEN_OFF = (ResponseStreamingError, IncompleteReadError, ConnectionClosedError)


def rest_until_broken(body: Any) -> bytes:
    """What still comes of a body that must not come to its end."""
    got = b""
    try:
        while more := body.read(64 << 10):
            got += more
    except BROKEN_OFF:
        return got
    raise AssertionError("the body came to an end")


def test_change_is_seen_after_the_ttl(mount: Mount) -> None:
    mounted = mount(metadata_ttl_s=1.0)
    mounted.place("file", b"old")
    mounted.place("gone", b"there")
    assert (mounted.read("file"), mounted.read("gone")) == (b"old", b"there")
    with pytest.raises(ClientError):
        mounted.read("new")
    mounted.place("file", b"new!")
    mounted.take_away("gone")
    mounted.place("new", b"appeared")
    eventually(lambda: mounted.read("file") == b"new!", "the change is seen")
    eventually(lambda: mounted.status("new") == 200, "what appeared is seen")
    assert mounted.read("new") == b"appeared"

    eventually(lambda: mounted.status("gone") == 404, "the deletion is seen")
    eventually(lambda: mounted.keys() == ["file", "new"], "the listing is new")
    assert (
        mounted.s3.head_object(Bucket=mounted.name, Key="file")["ETag"] == mounted.at_origin("file")["ETag"]
    )


def test_what_is_not_there_is_not_asked_for_again(mount: Mount, remote: Remote) -> None:
    mounted = mount(metadata_ttl_s=-1.0)
    assert mounted.status("file") == 404
    remote.forget()
    assert mounted.status("file") == 404
    assert remote.proxy.requests == []
    mounted.place("file", b"appeared")
    assert mounted.status("file") == 404
    mounted.sync()
    assert mounted.read("file") == b"appeared"
    mounted.s3.delete_object(Bucket=mounted.name, Key="file")
    assert mounted.status("file") == 404
    mounted.s3.put_object(Bucket=mounted.name, Key="file", Body=b"written")
    assert mounted.read("file") == b"written"


def test_ttl_of_zero_validates_each_read(mount: Mount, remote: Remote) -> None:
    mounted = mount(metadata_ttl_s=0.0)
    for number in range(3):
        body = mounted.place("file", noise(BLOCK_BYTES + number))
        assert mounted.read("file") == body
        remote.forget()
        assert mounted.read("file") == body
        assert [one.line.split()[0] for one in remote.exchanges("file")] == ["HEAD"]
        assert mounted.keys() == ["file"]
    mounted.take_away("file")
    with pytest.raises(ClientError) as missing:
        mounted.read("file")
    assert status_of(missing) == (404, "NoSuchKey")
    assert mounted.keys() == []


def test_unchanged_object_keeps_its_blocks(mount: Mount, remote: Remote) -> None:
    mounted = mount(metadata_ttl_s=0.0)
    body = mounted.place("file", noise(3 * BLOCK_BYTES))
    for _ in range(3):
        assert mounted.read("file") == body
    assert remote.fetched("file") == len(body)


def test_never_asks_again_until_it_is_synced(mount: Mount, remote: Remote) -> None:
    mounted = mount(metadata_ttl_s=-1.0)
    for key in ("a/one", "b/two"):
        mounted.place(key, b"old")
        assert mounted.read(key) == b"old"
        mounted.place(key, b"new")
    remote.forget()
    assert mounted.read("a/one") == b"old"
    assert remote.proxy.requests == []
    mounted.sync("a/")
    assert (mounted.read("a/one"), mounted.read("b/two")) == (b"new", b"old")
    mounted.sync()
    assert (mounted.read("a/one"), mounted.read("b/two")) == (b"new", b"new")


def test_fs_sync_and_ls_sync(mount: Mount, site: Site) -> None:
    mounted = mount(metadata_ttl_s=-1.0)
    mounted.place("d/one", b"old")

    def listed(*flags: str) -> list[str]:
        lines = site.cluster.cli("fs", "ls", *flags, f"/{mounted.name}/d").stdout.splitlines()
        return [line.split()[-1].rpartition("/")[2] for line in lines]

    assert listed() == ["one"]
    assert mounted.read("d/one") == b"old"
    mounted.place("d/one", b"newer")
    mounted.place("d/two", b"too")
    assert listed() == ["one"]
    assert mounted.read("d/one") == b"old"
    assert listed("--sync") == ["one", "two"]
    assert listed() == ["one", "two"]
    assert mounted.read("d/one") == b"newer"
    mounted.place("d/three", b"3")
    mounted.place("d/one", b"newest")
    site.cluster.cli("fs", "sync", f"/{mounted.name}/d")
    assert listed() == ["one", "three", "two"]
    assert mounted.read("d/one") == b"newest"


@pytest.mark.parametrize("ttl_s", [0.0, -1.0])
def test_what_is_stored_with_an_object_changes_alone(mount: Mount, remote: Remote, ttl_s: float) -> None:
    """S3 leaves the ETag as it is then, and says 304 to who asks by it."""
    mounted = mount(metadata_ttl_s=ttl_s)
    body = mounted.place("file", noise(BLOCK_BYTES), ContentType="text/old", Metadata={"v": "1"})
    assert mounted.get("file")["ContentType"] == "text/old"
    mounted.place("file", body, ContentType="text/new", Metadata={"v": "2"}, Tagging="a=1&b=2")
    mounted.sync()
    remote.forget()
    found = mounted.get("file")
    assert (found["ContentType"], found["Metadata"], found["TagCount"]) == ("text/new", {"v": "2"}, 2)
    assert (found["Body"], source(found)) == (body, "MEM")
    assert remote.fetched("file") == 0

    mounted.remote.s3.delete_object_tagging(Bucket=mounted.remote_bucket, Key=f"{PREFIX}/file")
    mounted.sync()
    assert "TagCount" not in mounted.get("file")


def test_cat_shows_what_has_changed_within_the_ttl(mount: Mount, site: Site) -> None:
    mounted = mount(metadata_ttl_s=-1.0)
    mounted.place("file", b"what was believed")
    assert mounted.status("file") == 200
    mounted.place("file", b"what is there")
    assert site.cluster.cli("fs", "cat", f"/{mounted.name}/file").stdout == "what is there"
    mounted.place("other", b"what was believed")
    assert mounted.status("other") == 200
    mounted.place("other", b"what is there")
    assert site.cluster.cli("fs", "tail", "-c", "5", f"/{mounted.name}/other").stdout == "there"


def test_overwritten_within_the_ttl_before_the_first_byte(mounted: Mounted) -> None:
    old = mounted.place("file", noise(4 * BLOCK_BYTES))
    assert mounted.read("file", Range="bytes=0-99") == old[:100]
    new = mounted.place("file", noise(4 * BLOCK_BYTES))
    begin = 3 * BLOCK_BYTES
    found = mounted.get("file", Range=f"bytes={begin}-")  # not cached: the origin says that it has changed
    assert found["Body"] == new[begin:]
    assert found["ETag"] == mounted.at_origin("file")["ETag"]
    assert mounted.read("file") == new


def test_overwritten_in_the_middle_of_a_read(mount: Mount, remote: Remote) -> None:
    mounted = mount(metadata_ttl_s=-1.0)
    old = mounted.place("file", noise(24 * BLOCK_BYTES))
    remote.do(remote.proxy.only, "GET")
    remote.do(remote.proxy.stall_after, 5 * BLOCK_BYTES // 2)
    body: Any = mounted.s3.get_object(Bucket=mounted.name, Key="file")["Body"]
    got = body.read(2 * BLOCK_BYTES)
    new = mounted.place("file", noise(24 * BLOCK_BYTES))
    remote.do(remote.proxy.cut_connections)
    remote.do(remote.proxy.heal)
    got += rest_until_broken(body)
    assert 2 * BLOCK_BYTES <= len(got) < len(old)
    assert old.startswith(got)
    eventually(lambda: mounted.read("file") == new, "the new one is read")


def test_vanished_in_the_middle_of_a_read(mount: Mount, remote: Remote) -> None:
    mounted = mount(metadata_ttl_s=-1.0)
    old = mounted.place("file", noise(24 * BLOCK_BYTES))
    remote.do(remote.proxy.only, "GET")
    remote.do(remote.proxy.stall_after, 5 * BLOCK_BYTES // 2)
    body: Any = mounted.s3.get_object(Bucket=mounted.name, Key="file")["Body"]
    got = body.read(2 * BLOCK_BYTES)
    mounted.take_away("file")
    remote.do(remote.proxy.cut_connections)
    remote.do(remote.proxy.heal)
    got += rest_until_broken(body)
    assert old.startswith(got)
    eventually(lambda: mounted.status("file") == 404, "it is gone")


def test_a_folders_files_change(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "nfs"
    info = site.mount_folder(folder, metadata_ttl_s=0.0)
    mounted = Mounted(site, info, None, "")  # type: ignore[arg-type]
    file = folder / "sub" / "file"
    file.parent.mkdir()
    for body in (noise(3 * BLOCK_BYTES), noise(100), noise(3 * BLOCK_BYTES + 1)):
        file.write_bytes(body)
        assert mounted.read("sub/file") == body
        assert mounted.read("sub/file") == body
    assert mounted.keys() == ["sub/file"]
    body = noise(len(body))
    replacement = folder / "sub" / "other"
    replacement.write_bytes(body)
    os.replace(replacement, file)
    assert mounted.read("sub/file") == body
    file.unlink()
    with pytest.raises(ClientError):
        mounted.read("sub/file")


def test_what_the_origin_tells_of_an_object(mounted: Mounted) -> None:
    mounted.place(
        "file",
        b"body",
        ContentType="text/x-test",
        ContentLanguage="de",
        ContentDisposition='attachment; filename="x"',
        CacheControl="max-age=7",
        ContentEncoding="identity",
        Metadata={"colour": "green", "size": "xl"},
        StorageClass="STANDARD_IA",
        Tagging="team=red&tier=2",
    )
    at_origin = mounted.at_origin("file")
    for found in (
        mounted.get("file"),
        mounted.s3.head_object(Bucket=mounted.name, Key="file"),
        mounted.get("file"),
    ):
        for name in (
            "ETag",
            "LastModified",
            "ContentType",
            "ContentLanguage",
            "ContentDisposition",
            "CacheControl",
            "ContentEncoding",
            "Metadata",
            "StorageClass",
        ):
            assert found[name] == at_origin[name], name
        assert found["TagCount"] == 2
    (entry,) = mounted.s3.list_objects_v2(Bucket=mounted.name)["Contents"]
    assert (entry["ETag"], entry["Size"], entry["StorageClass"]) == (at_origin["ETag"], 4, "STANDARD_IA")
    tags = mounted.s3.get_object_tagging(Bucket=mounted.name, Key="file")["TagSet"]
    assert sorted((tag["Key"], tag["Value"]) for tag in tags) == [("team", "red"), ("tier", "2")]
    mounted.s3.put_object_tagging(
        Bucket=mounted.name, Key="file", Tagging={"TagSet": [{"Key": "team", "Value": "blue"}]}
    )
    (tag,) = mounted.remote.s3.get_object_tagging(Bucket=mounted.remote_bucket, Key="some/prefix/file")[
        "TagSet"
    ]
    assert (tag["Key"], tag["Value"]) == ("team", "blue")
    assert mounted.s3.head_object(Bucket=mounted.name, Key="file")["TagCount"] == 1

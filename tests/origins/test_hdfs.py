"""What of mounts of HDFS needs none: options, keys, what errors mean, and that the library may be missing."""

from __future__ import annotations

import socket
import sys

import pytest
from tests.origins.conftest import mount

from zerohop.errors import InvalidRequest, OriginRefused, OutOfSpace, UnderStoreFailed, ZerohopError
from zerohop_worker.origins.hdfs_client import hdfs_error
from zerohop_worker.origins.hdfs_files import HdfsPaths, key_parts
from zerohop_worker.origins.opening import open_origin
from zerohop_worker.origins.options import HdfsSettings, parse_settings


def test_uris_and_options() -> None:
    one = parse_settings("hdfs://namenode:8020/data/warehouse/", {"threads": "4"}, {})
    assert one == HdfsSettings(authority="namenode:8020", folder="/data/warehouse", threads=4)
    ha = parse_settings("hdfs://cluster", {"namenodes": "nn-1:8020,nn-2.example:8020"}, {})
    assert isinstance(ha, HdfsSettings)
    assert (ha.authority, ha.folder, ha.namenodes) == ("cluster", "/", "nn-1:8020,nn-2.example:8020")


@pytest.mark.parametrize(
    ("uri", "options", "said"),
    [
        ("hdfs:///folder", {}, "names no NameNode"),
        ("hdfs://user:hidden@host/folder", {}, "no credentials"),
        ("hdfs://host:8020/a/../b", {}, "path of the folder"),
        ("hdfs://host:8020/a//b", {}, "path of the folder"),
        ("hdfs://host:8020/a:b", {}, "path of the folder"),
        ("hdfs://host:port/a", {}, "no host:port"),
        ("hdfs://host:8020/a", {"namenodes": "a:1,b:2"}, "either"),
        ("hdfs://cluster/a", {"namenodes": "a,b"}, "host:port"),
        ("hdfs://cluster/a", {"kerberos_principal": "me@REALM"}, "together"),
        ("hdfs://cluster/a", {"endpoint": "x"}, "no option 'endpoint'.*config_dir"),
    ],
)
def test_wrong_uris_and_options(uri: str, options: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as refused:
        parse_settings(uri, options, {})
    assert "hidden" not in refused.value.message


def test_paths() -> None:
    paths = HdfsPaths("/data")
    assert (paths.of("a/b c"), paths.of("a/"), paths.below([])) == ("/data/a/b c", "/data/a", "/data")
    assert (HdfsPaths("/").of("a"), HdfsPaths("/").below([])) == ("/a", "/")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "empty part"),
        ("/", "empty part"),
        ("/a", "empty part"),
        ("a//b", "empty part"),
        ("a//", "empty part"),
        ("a/./b", "no names"),
        ("..", "no names"),
        ("a:b", "':'"),
        ("a\0b", "NUL"),
        ("a\udc80", "Unicode"),
        ("\u00e4" * 128, "255 bytes"),
        ("a/.snapshot/b", "HDFS itself"),
        (".reserved/raw", "HDFS itself"),
        (".zerohop-staging/x", "unfinished"),
    ],
)
def test_keys_that_hdfs_cannot_hold(key: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        key_parts(key)


def test_without_the_library_a_mount_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("zerohop_worker.origins.hdfs")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hdfs_native", None)
    with pytest.raises(OriginRefused, match=r"pip install 'zerohop\[hdfs\]'"):
        open_origin(mount("hdfs://namenode:8020/"), {})


async def test_a_namenode_that_cannot_be_reached_is_named_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    origin = open_origin(mount(f"hdfs://127.0.0.1:{port}/"), {})
    with pytest.raises(OriginRefused, match=rf"NameNode at 127\.0\.0\.1:{port}"):
        await origin.check()
    await origin.close()


def test_a_nameservice_that_nobody_knows_is_refused() -> None:
    with pytest.raises(OriginRefused, match="No NameNode hosts"):
        open_origin(mount("hdfs://nameservice/"), {})


def _rpc(name: str, text: str) -> RuntimeError:
    return RuntimeError(
        f'RPCError("org.apache.hadoop.{name}", "{text}\\n\\tat org.apache.hadoop.X(X.java:1)")'
    )


@pytest.mark.parametrize(
    ("error", "expected", "said"),
    [
        (_rpc("security.AccessControlException", "Permission denied: user=me"), OriginRefused, "user=me"),
        (_rpc("fs.ParentNotDirectoryException", "/a (is not a directory)"), InvalidRequest, "is a file"),
        (_rpc("security.AccessControlException", "/a (is not a directory)"), InvalidRequest, "is a file"),
        (_rpc("hdfs.protocol.DSQuotaExceededException", "quota of /a"), OutOfSpace, "quota of /a"),
        (_rpc("hdfs.server.namenode.SafeModeException", "in safe mode"), UnderStoreFailed, "in safe mode"),
        (
            _rpc("hdfs.protocol.FSLimitException$PathComponentTooLongException", "x"),
            InvalidRequest,
            "too long",
        ),
        (IsADirectoryError(), InvalidRequest, "a folder of that name"),
        (FileExistsError("/a"), InvalidRequest, "something else"),
        (OSError("Connection refused"), UnderStoreFailed, "Connection refused"),
    ],
)
def test_what_errors_mean(error: Exception, expected: type[ZerohopError], said: str) -> None:
    found = hdfs_error(error, "write a")
    assert type(found) is expected
    assert said in found.message
    assert "java" not in found.message

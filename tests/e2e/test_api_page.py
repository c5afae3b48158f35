"""Every example of the S3 API page, word for word: the curl lines, the Python script, and the look at the files."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.support.cluster import Cluster

ROOT = Path(__file__).resolve().parents[2]

BUCKET_ELEMENTS = [
    "Name",
    "Prefix",
    "ContinuationToken",
    "NextContinuationToken",
    "KeyCount",
    "MaxKeys",
    "IsTruncated",
]


class Reply:
    """The last response of one `curl -i`, and the interim ones before it."""

    def __init__(self, raw: bytes) -> None:
        self.interim: list[int] = []
        while True:
            head, _, rest = raw.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            status = int(lines[0].split()[1])
            if status >= 200:
                break
            self.interim.append(status)
            raw = rest
        self.status = status
        self.headers = {
            n.strip().lower(): v.strip() for n, _, v in (line.partition(":") for line in lines[1:])
        }
        self.body = rest

    def xml(self) -> ElementTree.Element:
        assert self.headers["content-type"] == "application/xml"
        return _without_namespaces(ElementTree.fromstring(self.body))


def _without_namespaces(root: ElementTree.Element) -> ElementTree.Element:
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def curl(*arguments: str, cwd: Path | None = None) -> Reply:
    done = subprocess.run(
        ["curl", "-sS", "-i", "--max-time", "30", *arguments], capture_output=True, cwd=cwd, check=True
    )
    return Reply(done.stdout)


@pytest.fixture(scope="module")
def page(cluster: Cluster) -> str:
    return f"{cluster.endpoint}/api/v1/s3"


@pytest.fixture(scope="module")
def license_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "LICENSE"
    path.write_bytes(bytes(range(256)) * 105 + bytes(160))
    assert path.stat().st_size == 27040
    return path


def test_the_rest_examples_in_order(page: str, license_file: Path, cluster: Cluster) -> None:
    _create_and_list_empty(page)
    _put_and_get(page, license_file)
    _list_pages(page, license_file)
    _see_them_as_files(cluster)
    _delete(page)
    _multipart(page)
    reply = curl("-X", "DELETE", f"{page}/testbucket/testobject")
    assert reply.status == 204
    reply = curl("-X", "DELETE", f"{page}/testbucket")
    assert reply.status == 204
    assert curl("-X", "GET", f"{page}/testbucket").status == 404


def _create_and_list_empty(page: str) -> None:
    reply = curl("-X", "PUT", f"{page}/testbucket")
    assert (reply.status, reply.headers["content-length"], reply.body) == (200, "0", b"")
    assert "date" in reply.headers
    assert "server" in reply.headers

    root = curl("-X", "GET", f"{page}/testbucket").xml()
    assert root.tag == "ListBucketResult"
    assert set(BUCKET_ELEMENTS) <= {child.tag for child in root}
    assert root.findtext("KeyCount") == "0"
    assert root.findtext("MaxKeys") == "1000"
    assert root.findtext("IsTruncated") == "false"


def _put_and_get(page: str, license_file: Path) -> None:
    reply = curl(
        "-X",
        "PUT",
        "-T",
        "LICENSE",
        "-H",
        "Expect: 100-continue",
        f"{page}/testbucket/testobject",
        cwd=license_file.parent,
    )
    assert reply.interim == [100]
    assert (reply.status, reply.headers["content-length"]) == (200, "0")
    assert re.fullmatch(r'"[0-9a-f]{32}"', reply.headers["etag"])

    reply = curl("-X", "GET", f"{page}/testbucket/testobject")
    assert (reply.status, reply.headers["content-length"]) == (200, "27040")
    assert "last-modified" in reply.headers
    assert reply.body == license_file.read_bytes()


def _list_pages(page: str, license_file: Path) -> None:
    root = curl("-X", "GET", f"{page}/testbucket").xml()
    assert [c.findtext("Key") for c in root.findall("Contents")] == ["testobject"]
    contents = root.find("Contents")
    assert contents is not None
    assert {"Key", "LastModified", "ETag", "Size", "StorageClass"} <= {child.tag for child in contents}
    assert contents.findtext("Size") == "27040"
    assert contents.findtext("StorageClass") == "STANDARD"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", contents.findtext("LastModified") or "")

    for key in ("key1", "key2", "key3"):
        assert (
            curl("-X", "PUT", "-T", "LICENSE", f"{page}/testbucket/{key}", cwd=license_file.parent).status
            == 200
        )
    first = curl("-X", "GET", f"{page}/testbucket?max-keys=2").xml()
    assert [c.findtext("Key") for c in first.findall("Contents")] == ["key1", "key2"]
    assert first.findtext("IsTruncated") == "true"
    assert first.findtext("NextContinuationToken") == "key3"
    assert first.findtext("KeyCount") == "2"
    second = curl("-X", "GET", f"{page}/testbucket?max-keys=2&continuation-token=key3").xml()
    assert [c.findtext("Key") for c in second.findall("Contents")] == ["key3", "testobject"]
    assert second.findtext("ContinuationToken") == "key3"
    assert second.findtext("IsTruncated") == "false"


def _see_them_as_files(cluster: Cluster) -> None:
    lines = cluster.cli("fs", "ls", "-R", "/testbucket").stdout.splitlines()
    assert len(lines) == 4
    for line, key in zip(lines, ("key1", "key2", "key3", "testobject"), strict=True):
        mode, owner, group, size, state, day, time, cached, path = line.split()
        assert (mode, owner, group) == ("-rw-r--r--", "anonymous", "anonymous")
        assert (size, state, path) == ("27040", "PERSISTED", f"/testbucket/{key}")
        assert re.fullmatch(r"\d\d-\d\d-\d{4}", day)
        assert re.fullmatch(r"\d\d:\d\d:\d\d:\d{3}", time)
        assert cached == "100%"


def _delete(page: str) -> None:
    for key in ("key1", "key2", "key3", "testobject"):
        reply = curl("-X", "DELETE", f"{page}/testbucket/{key}")
        assert (reply.status, reply.body) == (204, b"")
        assert curl("-X", "GET", f"{page}/testbucket/{key}").status == 404


def _multipart(page: str) -> None:
    root = curl("-X", "POST", f"{page}/testbucket/testobject?uploads").xml()
    assert root.tag == "InitiateMultipartUploadResult"
    assert root.findtext("Bucket") == "testbucket"
    assert root.findtext("Key") == "testobject"
    upload = root.findtext("UploadId")

    reply = curl("-X", "PUT", f"{page}/testbucket/testobject?partNumber=1&uploadId={upload}")
    assert (reply.status, reply.headers["etag"]) == (200, '"d41d8cd98f00b204e9800998ecf8427e"')

    root = curl("-X", "GET", f"{page}/testbucket/testobject?uploadId={upload}").xml()
    assert root.tag == "ListPartsResult"
    assert {"Bucket", "Key", "UploadId", "StorageClass", "IsTruncated", "Part"} <= {
        child.tag for child in root
    }
    assert [p.findtext("PartNumber") for p in root.findall("Part")] == ["1"]
    assert root.findtext("Part/Size") == "0"

    root = curl("-X", "POST", f"{page}/testbucket/testobject?uploadId={upload}").xml()
    assert root.tag == "CompleteMultipartUploadResult"
    assert {"Location", "Bucket", "Key", "ETag"} <= {child.tag for child in root}
    reply = curl("-X", "GET", f"{page}/testbucket/testobject")
    assert (reply.status, reply.body) == (200, b"")

    upload = curl("-X", "POST", f"{page}/testbucket/testobject?uploads").xml().findtext("UploadId")
    reply = curl("-X", "DELETE", f"{page}/testbucket/testobject?uploadId={upload}")
    assert (reply.status, reply.body) == (204, b"")
    assert curl("-X", "DELETE", f"{page}/testbucket/testobject?uploadId={upload}").status == 404


def test_the_python_script(cluster: Cluster, tmp_path: Path) -> None:
    """The page's script for boto 2, with what Python 3 needs: bytes, a fresh upload to abort, an emptied bucket."""
    script = Path(__file__).with_name("api_page_script.py")
    done = subprocess.run(
        [cluster.python, str(script), str(cluster.port)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["created", "small", "large", "deleted", "completed", "aborted", "removed"]

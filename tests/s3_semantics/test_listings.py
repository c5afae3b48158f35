"""ListObjects, ListObjectsV2 and ListObjectVersions: every parameter, alone and together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest
from tests.s3_semantics.conftest import NewBucket
from tests.s3_semantics.signed_http import Reply, SignedHttp

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEYS = ["a", "b/1", "b/2", "b/3/x", "b2/", "c d", "c+d", "d%", "e/", "f\x01g", "~t*", "ünï"]
VERSIONS = {"v1": "", "v2": "list-type=2&", "versions": "versions&"}


@pytest.fixture(scope="module")
def path(s3: S3Client, new_bucket: NewBucket) -> Iterator[str]:
    """Path of a bucket that holds KEYS."""
    with new_bucket() as name:
        for key in KEYS:
            s3.put_object(Bucket=name, Key=key, Body=b"x")
        yield f"/{name}"


def keys(reply: Reply) -> list[str]:
    assert reply.status == 200, reply.body
    return reply.texts("Contents/Key") + reply.texts("Version/Key")


def prefixes(reply: Reply) -> list[str]:
    return reply.texts("CommonPrefixes/Prefix")


@pytest.mark.parametrize("start", VERSIONS.values(), ids=list(VERSIONS))
@pytest.mark.parametrize(
    ("query", "expected_keys", "expected_prefixes"),
    [
        (
            "delimiter=/&encoding-type=url",
            ["a", "c+d", "c%2Bd", "d%25", "f%01g", "%7Et*", "%C3%BCn%C3%AF"],
            ["b/", "b2/", "e/"],
        ),
        ("prefix=b/&delimiter=/", ["b/1", "b/2"], ["b/3/"]),
        ("prefix=b&delimiter=/", [], ["b/", "b2/"]),
        ("prefix=b/&delimiter=b", ["b/1", "b/2", "b/3/x"], []),
        ("prefix=b&delimiter=/3/", ["b/1", "b/2", "b2/"], ["b/3/"]),
        ("prefix=b", ["b/1", "b/2", "b/3/x", "b2/"], []),
        ("prefix=b&delimiter=", ["b/1", "b/2", "b/3/x", "b2/"], []),
        ("prefix=d&delimiter=%25", [], ["d%"]),
        ("prefix=f&delimiter=%01&encoding-type=url", [], ["f%01"]),
        ("prefix=c%20", ["c d"], []),
        ("prefix=c+", ["c d"], []),
        ("prefix=c%2B", ["c+d"], []),
        ("prefix=%C3%BC&delimiter=%C3%AF&encoding-type=url", [], ["%C3%BCn%C3%AF"]),
        ("prefix=e/&delimiter=/&max-keys=1", ["e/"], []),
        ("prefix=nothing", [], []),
    ],
)  # fmt: skip
def test_prefixes_and_delimiters(
    send: SignedHttp,
    path: str,
    start: str,
    query: str,
    expected_keys: list[str],
    expected_prefixes: list[str],
) -> None:
    reply = send("GET", path, start + query)
    assert (keys(reply), prefixes(reply)) == (expected_keys, expected_prefixes)
    assert reply.text("IsTruncated") == "false"
    assert reply.text("EncodingType") == ("url" if "encoding-type=url" in query else None)
    assert (
        reply.text("NextMarker") is reply.text("NextContinuationToken") is reply.text("NextKeyMarker") is None
    )
    if start == VERSIONS["v2"]:
        assert reply.text("KeyCount") == str(len(expected_keys) + len(expected_prefixes))


@pytest.mark.parametrize("start", VERSIONS.values(), ids=list(VERSIONS))
@pytest.mark.parametrize(
    ("max_keys", "shown"),
    [("", "1000"), ("0", "0"), ("3", "3"), ("1000", "1000"), ("5000", "1000"), ("2147483647", "1000")],
)
def test_page_sizes(send: SignedHttp, path: str, start: str, max_keys: str, shown: str) -> None:
    reply = send("GET", path, f"{start}prefix=b&max-keys={max_keys}")
    assert reply.text("MaxKeys") == shown
    assert len(keys(reply)) == min(int(shown), 4)
    assert reply.text("IsTruncated") == ("true" if shown == "3" else "false")


@pytest.mark.parametrize("start", VERSIONS.values(), ids=list(VERSIONS))
@pytest.mark.parametrize(
    "query",
    ["max-keys=-1", "max-keys=x", "max-keys=2147483648", "max-keys=1.5", "encoding-type=base64"],
)
def test_bad_parameters(send: SignedHttp, path: str, start: str, query: str) -> None:
    reply = send("GET", path, start + query)
    name, _, value = query.partition("=")
    assert (reply.status, reply.code) == (400, "InvalidArgument")
    assert (reply.text("ArgumentName"), reply.text("ArgumentValue")) == (name, value)


@pytest.mark.parametrize(
    ("start", "parameter"),
    [("", "marker"), ("list-type=2&", "start-after"), ("versions&", "key-marker")],
    ids=list(VERSIONS),
)
@pytest.mark.parametrize(
    ("marker", "rest", "first"),
    [
        ("a", "", "b/1"),
        ("b/1", "&delimiter=/", "b/"),  # in the middle of a group: the rest of it is still to come
        ("b/", "&delimiter=/", "b2/"),  # the group itself, as a page before this one ended: all of it is past
        ("b/2", "&prefix=b/&delimiter=/", "b/3/"),
        ("A", "", "a"),
        ("b/15", "", "b/2"),
        ("zzz", "&prefix=b", None),
    ],
)
def test_markers(
    send: SignedHttp, path: str, start: str, parameter: str, marker: str, rest: str, first: str | None
) -> None:
    reply = send("GET", path, f"{start}{parameter}={marker}{rest}&encoding-type=url")
    names = sorted(keys(reply) + prefixes(reply), key=unquote)
    assert next(iter(names), None) == first
    shown = {"marker": "Marker", "start-after": "StartAfter", "key-marker": "KeyMarker"}[parameter]
    assert reply.text(shown) == marker


@pytest.mark.parametrize("delimiter", ["", "/"])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_pages_of_each_listing_make_the_whole(send: SignedHttp, path: str, delimiter: str, size: int) -> None:
    common = f"max-keys={size}&delimiter={delimiter}&encoding-type=url"
    whole = send("GET", path, f"delimiter={delimiter}&encoding-type=url")
    names = sorted(keys(whole) + prefixes(whole))

    def collect(start: str, next_of: dict[str, str]) -> list[str]:
        found: list[str] = []
        rest = ""
        for _ in range(len(KEYS) + 1):
            page = send("GET", path, f"{start}{common}{rest}")
            found += sorted(keys(page) + prefixes(page))
            if page.text("IsTruncated") == "false":
                return sorted(found)
            rest = "".join(f"&{name}={page.text(tag) or ''}" for name, tag in next_of.items())
        raise AssertionError("the pages do not end")

    v1 = {"marker": "NextMarker" if delimiter else "Contents[last()]/Key"}
    assert collect("", v1) == names
    assert collect("list-type=2&", {"continuation-token": "NextContinuationToken"}) == names
    assert (
        collect("versions&", {"key-marker": "NextKeyMarker", "version-id-marker": "NextVersionIdMarker"})
        == names
    )


def test_next_marker_comes_with_a_delimiter_only(send: SignedHttp, path: str) -> None:
    assert send("GET", path, "max-keys=2").text("NextMarker") is None
    page = send("GET", path, "max-keys=2&delimiter=/")
    assert (page.text("NextMarker"), prefixes(page)) == ("b/", ["b/"])


def test_tokens(send: SignedHttp, path: str) -> None:
    for token in ("", "garbage", "$$", "%FF"):
        assert send("GET", path, f"list-type=2&continuation-token={token}").code == "InvalidArgument"
    given = send("GET", path, "list-type=2&max-keys=2").text("NextContinuationToken")
    page = send("GET", path, f"list-type=2&max-keys=1&start-after=a&continuation-token={given}")
    assert keys(page) == ["b/2"]  # the token counts, and not start-after
    assert page.text("ContinuationToken") == given


def test_owners(send: SignedHttp, s3: S3Client, path: str) -> None:
    owner = s3.list_buckets()["Owner"]
    for query in ("prefix=a", "list-type=2&fetch-owner=true&prefix=a"):
        reply = send("GET", path, query)
        assert (reply.text("Contents/Owner/ID"), reply.text("Contents/Owner/DisplayName")) == (
            owner["ID"],
            "semantics",
        )
    for query in ("list-type=2&prefix=a", "list-type=2&fetch-owner=false&prefix=a"):
        assert send("GET", path, query).text("Contents/Owner") is None


def test_entries(send: SignedHttp, path: str) -> None:
    head = send("HEAD", f"{path}/a").headers
    listed = send("GET", path, "prefix=a")
    assert listed.text("Name") == path[1:]
    assert listed.text("Contents/ETag") == head["etag"]
    assert listed.text("Contents/Size") == head["content-length"]
    assert listed.text("Contents/StorageClass") == "STANDARD"
    version = send("GET", path, "versions&prefix=a")
    assert [version.text(f"Version/{name}") for name in ("VersionId", "IsLatest", "ETag")] == [
        "null",
        "true",
        head["etag"],
    ]
    for reply in (listed.text("Contents/LastModified"), version.text("Version/LastModified")):
        assert reply is not None
        assert reply.endswith(".000Z")  # whole seconds, as in Last-Modified


def test_dates_agree(s3: S3Client, path: str) -> None:
    listed = s3.list_objects_v2(Bucket=path[1:], Prefix="a")["Contents"][0]["LastModified"]
    assert listed == s3.head_object(Bucket=path[1:], Key="a")["LastModified"]


def test_versions_markers(send: SignedHttp, path: str) -> None:
    lone = send("GET", path, "versions&version-id-marker=null")
    assert (lone.status, lone.code) == (400, "InvalidArgument")
    assert keys(send("GET", path, "versions&key-marker=b/1&version-id-marker=null&prefix=b"))[0] == "b/2"


@pytest.mark.parametrize(
    "query", ["", "list-type=2", "versions", "uploads", "max-keys=0", "versions&max-keys=0"]
)
def test_no_such_bucket(send: SignedHttp, query: str) -> None:
    reply = send("GET", "/semantics-no-such-bucket", query)
    assert (reply.status, reply.code, reply.text("BucketName")) == (
        404,
        "NoSuchBucket",
        "semantics-no-such-bucket",
    )

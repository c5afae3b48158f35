"""Answers of S3 stores that are rare, and right."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping

import pytest
from botocore.awsrequest import AWSRequest
from tests.mounts.senseless_origin import SenselessOrigin, senseless_origin, told
from tests.origins.conftest import S3_SECRETS, mount

from zerohop.errors import UnderStoreFailed
from zerohop_worker.origins.interface import Attributes
from zerohop_worker.origins.opening import open_origin
from zerohop_worker.origins.s3 import S3Origin
from zerohop_worker.origins.s3_reads import ObjectReads


@pytest.fixture(scope="module")
def server() -> Iterator[SenselessOrigin]:
    with senseless_origin() as running:
        yield running


@pytest.fixture
async def origin(server: SenselessOrigin) -> AsyncIterator[S3Origin]:
    settings = mount("s3://bucket/base", endpoint=server.url, region="us-east-1", max_attempts="1")
    origin = open_origin(settings, S3_SECRETS)
    assert isinstance(origin, S3Origin)
    yield origin
    await origin.close()


def _groups(*names: str, more: bool = False) -> bytes:
    listed = "".join(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in names)
    page = f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{listed}</ListBucketResult>"
    return told(200, page.encode(), Content_Type="application/xml")


async def test_a_page_that_begins_in_the_middle_of_a_group(server: SenselessOrigin, origin: S3Origin) -> None:
    """Amazon shows the group if it has keys beyond the start, and so the name of the group lies before that."""
    starts: list[str] = []

    def answer(_method: str, query: Mapping[str, str]) -> bytes:
        starts.append(query["start-after"])
        return _groups("base/a/", more=True) if len(starts) == 1 else _groups("base/b/")

    server.answers["base/"] = answer
    page = await origin.list("", "/", "a/in the middle", 1)
    assert (page.prefixes, page.next_after) == (("a/",), "a/")
    assert (await origin.list("", "/", page.next_after, 1)).prefixes == ("b/",)
    assert starts[0] == "base/a/in the middle"
    with pytest.raises(UnderStoreFailed):  # the same from a store that does not heed where it was to begin
        await origin.list("", "/", "b/", 1)


async def test_one_that_is_closed_stays_closed(server: SenselessOrigin, origin: S3Origin) -> None:
    """Whoever had it in hand when its mount was changed would open connections that nobody closes."""
    server.answers["base/key"] = lambda method, _query: told(200, b"body", method=method)
    await origin.head("key")
    await origin.close()
    before = server.connections
    with pytest.raises(UnderStoreFailed, match="closed"):
        await origin.head("key")
    with pytest.raises(UnderStoreFailed, match="closed"):
        await origin.open("key", 0, None)
    assert server.connections == before


async def test_a_store_that_is_slow_is_sent_checksums_still(
    server: SenselessOrigin, origin: S3Origin
) -> None:
    """Amazon's RequestTimeout is a 400, as is the answer of a store that does not know a checksum."""
    answers = [
        told(400, b"<Error><Code>RequestTimeout</Code></Error>"),
        told(200, b""),
        told(400, b"<Error><Code>InvalidRequest</Code></Error>"),
        told(200, b""),
        told(200, b""),
    ]
    server.answers["base/key"] = lambda method, _query: (
        told(200, method=method) if method == "HEAD" else answers.pop(0)
    )
    attributes = Attributes({}, {}, checksums={"crc32": "AAAAAA=="}, checksum_type="FULL_OBJECT")
    with pytest.raises(UnderStoreFailed):
        await origin.put("key", [], attributes)
    assert len(answers) == 4
    await origin.put("key", [], attributes)
    assert len(answers) == 3
    await origin.put("key", [], attributes)  # without
    assert len(answers) == 1


@pytest.mark.parametrize(("service", "is_like"), [("s3", True), ("s3-outposts", True), ("s3express", False)])
def test_requests_that_are_signed_otherwise_are_not_imitated(service: str, *, is_like: bool) -> None:
    """Those to directory buckets carry the token of a session."""
    signature = (
        f"AWS4-HMAC-SHA256 Credential=AK/20261130/us-west-2/{service}/aws4_request, SignedHeaders=host"
    )
    request = AWSRequest("GET", "https://bucket.example.com/key", headers={"Authorization": signature})
    found = ObjectReads.like(request.prepare(), "key", object(), None, None)
    assert (found is not None) == is_like

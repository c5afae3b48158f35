"""Origins that do not keep to S3: what cannot be relied on is refused, and never passed on as if it were whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.mounts.mounted import Site, noise, status_of
from tests.mounts.senseless_origin import Answer, SenselessOrigin, page, senseless_origin, told

from zerohop.errors import OriginRefused
from zerohop.model import MountInfo

_SIZE = 300_000


@pytest.fixture(scope="module")
def origin() -> Iterator[SenselessOrigin]:
    with senseless_origin() as running:
        yield running


def _mount(site: Site, origin: SenselessOrigin) -> MountInfo:
    return site.mount(
        "s3://some-bucket",
        options={"endpoint": origin.url, "region": "us-east-1", "max_attempts": "2"},
        secrets={"access_key": "AKIASENSELESS", "secret_key": "secretsecret"},
        metadata_ttl_s=0.0,
    )


@pytest.fixture(scope="module")
def name(site: Site, origin: SenselessOrigin) -> str:
    return _mount(site, origin).bucket


def _refused(site: Site, operation: str, **params: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as refused:
        getattr(site.s3, operation)(**params)
    return status_of(refused)


def test_a_part_that_does_not_say_which(site: Site, origin: SenselessOrigin, name: str) -> None:
    """The first thousand bytes must not pass for the object."""
    body = noise(_SIZE)

    def answer(method: str, _query: Mapping[str, str]) -> bytes:
        return told(206, body[:1000]) if method == "GET" else told(200, body, method=method)

    origin.answers["part"] = answer
    assert _refused(site, "get_object", Bucket=name, Key="part", Range="bytes=0-999")[0] == 503
    assert site.s3.head_object(Bucket=name, Key="part")["ContentLength"] == _SIZE
    assert _refused(site, "get_object", Bucket=name, Key="part")[0] == 503


def _of(status: int, length: int | None = -1, **headers: str) -> Answer:
    return lambda method, _query: told(status, noise(1000), method=method, length=length, **headers)


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("no-length", _of(200, None)),
        ("no-content", _of(204, None)),
        ("no-date", _of(200, Last_Modified="yesterday")),
        ("no-range", _of(206, Content_Range="bytes 0-99999/*")),
        ("another-range", _of(206, Content_Range="bytes 0-99999/100000")),
    ],
)
def test_what_makes_no_sense_is_the_stores_failure(
    site: Site, origin: SenselessOrigin, name: str, key: str, answer: Answer
) -> None:
    origin.answers[key] = answer
    assert _refused(site, "get_object", Bucket=name, Key=key) == (503, "ServiceUnavailable")
    if key.startswith("no-") and key != "no-range":
        assert _refused(site, "head_object", Bucket=name, Key=key)[0] == 503


def test_a_web_server_is_no_empty_bucket(site: Site, origin: SenselessOrigin, name: str) -> None:
    html = told(200, b"<html><body>please log in</body></html>", Content_Type="text/html")
    origin.answers["portal/"] = lambda _method, _query: html
    assert _refused(site, "list_objects_v2", Bucket=name, Prefix="portal/")[0] == 503
    origin.answers[""] = lambda _method, _query: html
    try:
        with pytest.raises(OriginRefused, match="does not speak S3"):
            _mount(site, origin)
    finally:
        del origin.answers[""]


def test_pages_without_keys_are_not_the_end(site: Site, origin: SenselessOrigin, name: str) -> None:
    """Where much was deleted S3 may find none on the way that it goes for one page."""

    def answer(_method: str, query: Mapping[str, str]) -> bytes:
        gone = int(query.get("continuation-token", "0"))
        return page(more=True, token=str(gone + 1)) if gone < 3 else page("holes/a", "holes/b")

    origin.answers["holes/"] = answer
    found = site.s3.list_objects_v2(Bucket=name, Prefix="holes/")
    assert [entry["Key"] for entry in found["Contents"]] == ["holes/a", "holes/b"]
    assert not found["IsTruncated"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(page(more=True, token="same"), id="pages without keys for ever"),
        pytest.param(page(more=True), id="more follows, nobody knows what"),
        pytest.param(page("aaa", "zzz"), id="keys of another prefix"),
    ],
)
def test_listings_that_lead_nowhere(site: Site, origin: SenselessOrigin, name: str, answer: bytes) -> None:
    origin.answers["nowhere/"] = lambda _method, _query: answer
    assert _refused(site, "list_objects_v2", Bucket=name, Prefix="nowhere/")[0] == 503


def test_a_listing_that_always_begins_anew(site: Site, origin: SenselessOrigin, name: str) -> None:
    origin.answers["loop/"] = lambda _method, _query: page("loop/a", "loop/b", more=True)
    first = site.s3.list_objects_v2(Bucket=name, Prefix="loop/")
    assert first["IsTruncated"]
    token = first["NextContinuationToken"]
    assert _refused(site, "list_objects_v2", Bucket=name, Prefix="loop/", ContinuationToken=token)[0] == 503

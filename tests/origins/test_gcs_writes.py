"""What writes to Google Cloud Storage must not do, beyond what the conformance tests ask of all stores."""

from __future__ import annotations

import pytest
from tests.origins.conftest import Place, mount
from tests.origins.stores import PLAIN, put, read
from tests.support.xml_gcs import XmlGcs

from zerohop.errors import PreconditionFailed
from zerohop_worker.origins.interface import OriginStore, WriteCondition


@pytest.fixture
def place(gcs: XmlGcs) -> Place:
    return Place("gcs", mount("gs://writes/base", endpoint=gcs.url), {"token": "any"})


async def test_a_conditional_overwrite_is_conditional_at_the_store(origin: OriginStore, gcs: XmlGcs) -> None:
    first = await put(origin, "key", b"one")

    def overtake() -> None:
        gcs.meanwhile = None
        gcs.write("/writes/base/key", b"another's", {})

    gcs.meanwhile = overtake
    with pytest.raises(PreconditionFailed):
        await origin.put("key", [b"two"], PLAIN, WriteCondition(only_if_etag=first.validator.etag))
    assert await read(origin, "key") == b"another's"


async def test_what_was_written_is_not_taken_for_what_came_after(origin: OriginStore, gcs: XmlGcs) -> None:
    def replace() -> None:
        gcs.afterwards = None
        gcs.write("/writes/base/key", b"two", {})

    gcs.afterwards = replace
    written = await put(origin, "key", b"one")
    found = await origin.head("key")
    assert found is not None
    assert found.validator.etag != written.validator.etag
    gcs.afterwards = gcs.objects.clear
    assert (await put(origin, "key", b"one")).validator.etag == written.validator.etag


async def test_a_write_that_is_given_up_leaves_no_upload(origin: OriginStore, gcs: XmlGcs) -> None:
    staged = origin.stage("gone", PLAIN)
    for _ in range(3):
        await staged.write_part([bytes(8 << 20)])
    await staged.abort()
    assert gcs.uploads == {}
    assert "/writes/base/gone" not in gcs.objects


async def test_metadata_that_changes_alone_is_told(origin: OriginStore, gcs: XmlGcs) -> None:
    first = await put(origin, "key", b"one")
    gcs.write("/writes/base/key", b"one", {"x-goog-meta-a": "b"})
    found = await origin.head("key", unless=first.validator)
    assert found is not None
    assert (found.validator.etag, found.attributes.metadata) == (first.validator.etag, {"a": "b"})

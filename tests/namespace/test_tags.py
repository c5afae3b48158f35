"""Tags of objects are metadata commits of their own."""

from __future__ import annotations

import msgspec
import pytest
from tests.namespace.harness import Harness
from tests.namespace.invariants import check_invariants

from zerohop.errors import Conflict, KeyNotFound, VersionNotFound
from zerohop.model import ANONYMOUS
from zerohop.rpc import master_api as m
from zerohop_master import objects, tags


def set_tags(harness: Harness, key: str, *, version_id: str = "", **given: str) -> m.SetTags:
    return m.SetTags(
        caller=ANONYMOUS,
        bucket="b",
        key=key,
        version_id=version_id,
        tags=given,
        mutation=harness.mutation(),
    )


async def test_only_the_tags_change(harness: Harness) -> None:
    written = await harness.put("k", harness.new_content(10))
    harness.clock.advance(10.0)
    for given in ({"a": "b"}, {"c": "d"}, {}):
        await tags.set_tags(harness.namespace, set_tags(harness, "k", **given))
        found = await harness.lookup("k")
        assert found.record == msgspec.structs.replace(written.record, tags=given)
        await check_invariants(harness.store)


async def test_a_write_that_was_decided_on_before_the_tags_changed_is_refused(harness: Harness) -> None:
    await harness.put("k", data=b"x")
    seen = await harness.lookup("k")
    await tags.set_tags(harness.namespace, set_tags(harness, "k", a="b"))
    with pytest.raises(Conflict):
        await objects.put_object(
            harness.namespace, harness.put_request("k", data=b"y", expected_version=seen.row_version)
        )


async def test_tags_sent_again_are_set_once(harness: Harness) -> None:
    await harness.put("k", data=b"x")
    first = set_tags(harness, "k", a="b")
    await tags.set_tags(harness.namespace, first)
    await tags.set_tags(harness.namespace, set_tags(harness, "k", c="d"))
    assert (await tags.set_tags(harness.namespace, first)).record.tags == {"a": "b"}
    assert (await harness.lookup("k")).record.tags == {"c": "d"}


async def test_what_does_not_exist_has_no_tags(harness: Harness) -> None:
    with pytest.raises(KeyNotFound):
        await tags.set_tags(harness.namespace, set_tags(harness, "k", a="b"))
    await harness.put("k", data=b"x")
    with pytest.raises(VersionNotFound):
        await tags.set_tags(harness.namespace, set_tags(harness, "k", version_id="v" * 32, a="b"))

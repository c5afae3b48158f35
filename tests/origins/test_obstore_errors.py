"""What the texts of obstore's errors mean."""

from __future__ import annotations

import pytest
from obstore.exceptions import GenericError
from tests.origins.conftest import mount

from zerohop.errors import InvalidRequest, NotSupported, OriginRefused, UnderStoreFailed, ZerohopError
from zerohop_worker.origins.interface import Attributes
from zerohop_worker.origins.obstore_clients import store_error
from zerohop_worker.origins.obstore_store import ObstoreOrigin
from zerohop_worker.origins.opening import open_origin


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("400 Bad Request", InvalidRequest),
        ("403 Forbidden", OriginRefused),
        ("416 Range Not Satisfiable", UnderStoreFailed),
        ("429 Too Many Requests", UnderStoreFailed),
        ("503 Service Unavailable", UnderStoreFailed),
    ],
)
@pytest.mark.parametrize("took", ["496.209\u00b5s", "400ms", "1.403s"])
def test_the_status_decides_and_not_the_time_that_it_took(
    status: str, took: str, expected: type[ZerohopError]
) -> None:
    text = f"Error performing GET http://host/k in {took} - Server returned non-2xx status code: {status}: "
    assert type(store_error(GenericError(text), "read k")) is expected


async def test_one_that_was_closed_in_use() -> None:
    """A mount that is changed closes its origin under those who are at work; they are told to try again."""
    settings = mount("az://container", account="me", endpoint="http://127.0.0.1:1", max_attempts="1")
    origin = open_origin(settings, {"account_key": "a2V5"})
    staged = origin.stage("key", Attributes({}, {}))
    await origin.close()
    await staged.write_part([b"part"])
    with pytest.raises(UnderStoreFailed, match="closed"):
        await staged.commit()
    await staged.abort()
    with pytest.raises(UnderStoreFailed):
        await origin.list("", "/", "", 10)
    with pytest.raises(UnderStoreFailed):
        await origin.head("key")


async def test_tags_that_cannot_be_read_are_not_none() -> None:
    settings = mount("az://container", account="me", endpoint="http://127.0.0.1:1", max_attempts="1")
    origin = open_origin(settings, {"account_key": "a2V5"})
    with pytest.raises(NotSupported) as refused:
        await origin.tags("key")
    assert refused.value.details == {"tags": "unread"}
    await origin.close()


async def test_a_write_stands_that_cannot_be_looked_at() -> None:
    settings = mount("az://container", account="me", endpoint="http://127.0.0.1:1", max_attempts="1")
    origin = open_origin(settings, {"account_key": "a2V5"})
    assert isinstance(origin, ObstoreOrigin)
    written = await origin.written("key", "0x8D", 4, Attributes({}, {"color": "red"}))
    assert written.validator[:2] == ("0x8D", 4)
    assert written.attributes.metadata == {"color": "red"}
    await origin.close()

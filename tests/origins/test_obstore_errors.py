"""What the texts of obstore's errors mean."""

from __future__ import annotations

import pytest
from obstore.exceptions import GenericError

from zerohop.errors import InvalidRequest, OriginRefused, UnderStoreFailed, ZerohopError
from zerohop_worker.origins.obstore_clients import store_error


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

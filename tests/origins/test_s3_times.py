"""When the answer to a write tells the time that the object has, and when it has to be asked for."""

from __future__ import annotations

import pytest

from zerohop_worker.origins.s3_times import is_certain


@pytest.mark.parametrize(
    ("date_s", "began_s", "ended_s", "certain"),
    [
        (100, 100.0, 100.9, True),
        (100, 99.9, 100.1, False),  # a second has ended meanwhile
        (101, 100.2, 100.3, False),  # the clocks differ
        (99, 100.2, 100.3, False),
        (102, 100.5, 102.5, False),
    ],
)
def test_which_second_it_was(date_s: int, began_s: float, ended_s: float, certain: bool) -> None:
    assert is_certain(date_s, began_s, ended_s) == certain

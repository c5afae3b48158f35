"""Conditional requests: precedence, tag lists and dates."""

from __future__ import annotations

import datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerohop_proxy.conditions import (
    Outcome,
    WriteCondition,
    delete_condition,
    evaluate_read,
    failed_copy_condition,
    http_date,
    parse_http_date,
    range_applies,
    write_condition,
)
from zerohop_proxy.s3_errors import S3Error

MODIFIED_MS = 784111777_500  # Sun, 06 Nov 1994 08:49:37.5 GMT
SAME = "Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT"
AFTER = "Sun, 06 Nov 1994 08:49:38 GMT"
OK, NOT_MODIFIED, FAILED = Outcome.PROCEED, Outcome.NOT_MODIFIED, Outcome.PRECONDITION_FAILED

CASES = [
    ({}, OK),
    ({"if-match": '"tag"'}, OK),
    ({"if-match": "tag"}, OK),
    ({"if-match": "*"}, OK),
    ({"if-match": '"a", "tag"'}, OK),
    ({"if-match": '"a,tag"'}, FAILED),
    ({"if-match": '"other"'}, FAILED),
    ({"if-match": 'W/"tag"'}, FAILED),
    ({"if-match": ""}, FAILED),
    ({"if-none-match": '"tag"'}, NOT_MODIFIED),
    ({"if-none-match": 'W/"tag"'}, NOT_MODIFIED),
    ({"if-none-match": '"a",W/"b" , "tag"'}, NOT_MODIFIED),
    ({"if-none-match": "*"}, NOT_MODIFIED),
    ({"if-none-match": '"other"'}, OK),
    ({"if-unmodified-since": SAME}, OK),
    ({"if-unmodified-since": AFTER}, OK),
    ({"if-unmodified-since": BEFORE}, FAILED),
    ({"if-modified-since": SAME}, NOT_MODIFIED),
    ({"if-modified-since": AFTER}, NOT_MODIFIED),
    ({"if-modified-since": BEFORE}, OK),
    ({"if-modified-since": "yesterday"}, OK),
    ({"if-unmodified-since": "yesterday"}, OK),
    # The tag decides, its date is not looked at (S3 API reference, GetObject, "Additional considerations").
    ({"if-match": '"tag"', "if-unmodified-since": BEFORE}, OK),
    ({"if-none-match": '"other"', "if-modified-since": AFTER}, OK),
    ({"if-none-match": '"tag"', "if-modified-since": BEFORE}, NOT_MODIFIED),
    # 412 comes before 304.
    ({"if-match": '"other"', "if-none-match": '"tag"'}, FAILED),
    ({"if-match": '"tag"', "if-none-match": '"tag"'}, NOT_MODIFIED),
    ({"if-unmodified-since": BEFORE, "if-none-match": '"tag"'}, FAILED),
]


@pytest.mark.parametrize(("headers", "outcome"), CASES)
def test_reads_and_copy_sources(headers: dict[str, str], outcome: Outcome) -> None:
    assert evaluate_read(headers, "tag", MODIFIED_MS) is outcome
    of_source = {f"x-amz-copy-source-{name}": value for name, value in headers.items()}
    blamed = failed_copy_condition(of_source, "tag", MODIFIED_MS)
    assert blamed is None if outcome is OK else blamed in of_source
    assert failed_copy_condition(headers, "tag", MODIFIED_MS) is None


@pytest.mark.parametrize(
    ("headers", "condition"),
    [
        ({}, None),
        ({"if-none-match": "*"}, WriteCondition(None, True)),
        ({"if-match": '"tag"'}, WriteCondition("tag", False)),
        ({"if-match": "tag"}, WriteCondition("tag", False)),
        ({"if-match": "*"}, WriteCondition("*", False)),
        ({"if-match": 'W/"tag"'}, WriteCondition('W/"tag"', False)),
    ],
)
def test_writes(headers: dict[str, str], condition: WriteCondition | None) -> None:
    assert write_condition(headers) == condition


@pytest.mark.parametrize(
    "headers",
    [
        {"if-none-match": '"tag"'},
        {"if-none-match": "*", "if-match": '"tag"'},
        {"if-modified-since": SAME},
        {"if-unmodified-since": SAME},
    ],
)
def test_writes_that_s3_does_not_know(headers: dict[str, str]) -> None:
    with pytest.raises(S3Error) as caught:
        write_condition(headers)
    assert caught.value.code == "NotImplemented"


def test_a_delete_knows_if_match_alone() -> None:
    assert delete_condition({"if-match": "*"}) == WriteCondition("*", False)
    with pytest.raises(S3Error, match="NotImplemented"):
        delete_condition({"if-none-match": "*"})


@pytest.mark.parametrize(
    ("value", "applies"),
    [('"tag"', True), ('W/"tag"', False), ('"other"', False), (SAME, True), (BEFORE, False), (AFTER, False)],
)
def test_if_range(value: str, applies: bool) -> None:
    assert range_applies({"if-range": value}, "tag", MODIFIED_MS) is applies
    assert range_applies({}, "tag", MODIFIED_MS)


@pytest.mark.parametrize(
    "text",
    [
        SAME,
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:37 +0000",
    ],
)
def test_the_three_forms_of_a_date(text: str) -> None:
    assert parse_http_date(text) == 784111777


@pytest.mark.parametrize(
    "text",
    [
        "",
        "784111777",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        SAME + "x",
        "1994-11-06",
    ],
)
def test_invalid_dates(text: str) -> None:
    assert parse_http_date(text) is None


@given(st.integers(0, 253_370_764_800))
def test_dates_come_back(epoch_s: int) -> None:
    moment = datetime.datetime.fromtimestamp(epoch_s, datetime.UTC)
    text = http_date(epoch_s * 1000 + 999)
    assert text == format_datetime(moment, usegmt=True)
    assert parse_http_date(text) == epoch_s


@given(st.text(max_size=40))
def test_any_text_is_a_date_or_none(text: str) -> None:
    parse_http_date(text)
    evaluate_read({"if-match": text, "if-none-match": text, "if-modified-since": text}, "tag", 0)

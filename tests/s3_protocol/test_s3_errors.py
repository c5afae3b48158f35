"""S3 errors: the table is well-formed and no domain error is left unmapped."""

from __future__ import annotations

import pytest

from zerohop import errors as domain
from zerohop_proxy import s3_errors
from zerohop_proxy.s3_error_table import S3_ERRORS
from zerohop_proxy.s3_errors import S3Error, from_domain_error, s3_code


def test_every_domain_error_has_a_line_of_its_own_with_a_known_code() -> None:
    for cls in domain.all_error_classes():
        assert cls in s3_errors._CODES, f"{cls.__name__} is not mapped"
        assert s3_code(cls) in S3_ERRORS


def test_statuses_are_errors_and_messages_are_words() -> None:
    for code, (status, message) in S3_ERRORS.items():
        assert 300 <= status < 600, code
        assert message, code
    assert list(S3_ERRORS) == sorted(S3_ERRORS)


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (domain.BucketNotFound(), "NoSuchBucket", 404),
        (domain.BucketNotEmpty(), "BucketNotEmpty", 409),
        (domain.PartTooSmall(), "EntityTooSmall", 400),
        (domain.Overloaded(), "SlowDown", 503),
        (domain.OutcomeUnknown(), "InternalError", 500),
    ],
)
def test_domain_errors_are_translated(error: domain.ZerohopError, code: str, status: int) -> None:
    answer = from_domain_error(error)
    assert (answer.code, answer.status) == (code, status)


def test_inner_words_do_not_reach_the_client() -> None:
    assert "/var/secret" not in from_domain_error(domain.StoreFailed("disk /var/secret is full")).message
    assert from_domain_error(domain.InvalidRequest("copy onto itself")).message == "copy onto itself"


def test_a_subclass_unknown_to_the_table_takes_its_base() -> None:
    class Later(domain.BucketNotFound):
        pass

    try:
        assert s3_code(Later) == "NoSuchBucket"
    finally:
        del Later
        import gc

        gc.collect()  # or the walk over all classes would see it


def test_the_failed_condition_is_named() -> None:
    assert from_domain_error(domain.PreconditionFailed(condition="If-Match")).elements == {
        "Condition": "If-Match"
    }


def test_an_unknown_code_is_a_defect() -> None:
    with pytest.raises(KeyError):
        S3Error("NoSuchThing")

"""Headers that ask for what we do not have."""

from __future__ import annotations

import pytest

from zerohop_proxy.operation import Operation
from zerohop_proxy.refused_headers import check_headers
from zerohop_proxy.s3_errors import S3Error


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("x-amz-acl", "public-read", "NotImplemented"),
        ("x-amz-acl", "everybody", "InvalidArgument"),
        ("x-amz-grant-read", "id=1", "NotImplemented"),
        ("x-amz-server-side-encryption", "AES256", "NotImplemented"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256", "NotImplemented"),
        ("x-amz-server-side-encryption-customer-key-md5", "x", "NotImplemented"),
        ("x-amz-copy-source-server-side-encryption-customer-key", "x", "NotImplemented"),
        ("x-amz-object-lock-mode", "COMPLIANCE", "NotImplemented"),
        ("x-amz-object-lock-event-hold", "ON", "NotImplemented"),
        ("x-amz-bucket-object-lock-enabled", "true", "NotImplemented"),
        ("x-amz-object-ownership", "ObjectWriter", "NotImplemented"),
        ("x-amz-if-match-size", "1", "NotImplemented"),
    ],
)
def test_promises_that_we_cannot_keep_are_refused(name: str, value: str, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        check_headers(Operation.PUT_OBJECT, {"host": "h", name: value})
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("x-amz-server-side-encryption", "InvalidArgument"),
        ("x-amz-server-side-encryption-customer-key", "InvalidRequest"),
    ],
)
def test_reads_of_what_is_not_encrypted(name: str, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        check_headers(Operation.GET_OBJECT, {name: "x"})
    assert caught.value.code == code


def test_requests_for_what_we_do_anyway_pass() -> None:
    harmless = {
        "x-amz-acl": "bucket-owner-full-control",
        "x-amz-bucket-object-lock-enabled": "False",
        "x-amz-object-ownership": "BucketOwnerEnforced",
        "x-amz-object-lock-legal-hold": "OFF",
        "x-amz-date": "x",
        "x-amz-request-payer": "requester",
        "range": "x",
    }
    check_headers(Operation.CREATE_BUCKET, harmless)

"""Location constraints."""

from __future__ import annotations

import pytest

from zerohop_proxy.bucket_region import check_location, region_of
from zerohop_proxy.s3_errors import S3Error


@pytest.mark.parametrize(
    "constraint", ["", "us-east-1", "eu-west-1", "EU", "us-gov-west-1", "ap-southeast-7"]
)
def test_the_global_endpoint_makes_buckets_anywhere(constraint: str) -> None:
    check_location(constraint, "us-east-1")


@pytest.mark.parametrize(
    ("constraint", "region", "code"),
    [
        ("nowhere", "us-east-1", "InvalidLocationConstraint"),
        ("EU-WEST-1", "eu-west-1", "InvalidLocationConstraint"),
        ("eu-west-1", "eu-central-1", "IllegalLocationConstraintException"),
        ("EU", "eu-central-1", "IllegalLocationConstraintException"),
    ],
)
def test_constraints_that_cannot_be_met(constraint: str, region: str, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        check_location(constraint, region)
    assert caught.value.code == code


def test_a_region_of_ones_own_is_fine() -> None:
    for constraint in ("", "lab", "eu-west-1"):
        check_location(constraint, "lab" if constraint == "lab" else "eu-west-1")
    check_location("EU", "eu-west-1")


def test_regions() -> None:
    assert region_of("", "lab") == "lab"
    assert region_of("EU", "us-east-1") == "eu-west-1"
    assert region_of("us-west-2", "us-east-1") == "us-west-2"
